// Networks on volumes and batches of any size. The first line keeps compilers' include stacks in error messages short.
#pragma once

#include <volute/language/failure.hpp>

#include <volute/volumes/batched.hpp>
#include <volute/volumes/family.hpp>
#include <volute/volumes/order.hpp>
#include <volute/volumes/tiled.hpp>
#include <volute/volumes/windowed.hpp>
