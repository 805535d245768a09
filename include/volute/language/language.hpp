// Everything a user can say.
#pragma once

#include <volute/language/composite.hpp>
#include <volute/language/gradient.hpp>
#include <volute/language/volume.hpp>
