// Networks on volumes and batches of any size.
#pragma once

#include <volute/volumes/tiled.hpp>
