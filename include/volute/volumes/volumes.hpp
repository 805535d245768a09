// Networks on volumes and batches of any size.
#pragma once

#include <volute/volumes/batched.hpp>
#include <volute/volumes/family.hpp>
#include <volute/volumes/order.hpp>
#include <volute/volumes/tiled.hpp>
