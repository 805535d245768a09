// Catch2 3 behind the name that Catch2 2 has; the tests are written for that.
#pragma once

#include <catch2/catch_all.hpp>

using Catch::Approx;
