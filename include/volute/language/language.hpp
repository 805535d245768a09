// Everything a user can say. From the bottom upwards, which keeps compilers' include stacks in error messages short.
#pragma once

#include <volute/language/failure.hpp>
#include <volute/language/expression.hpp>
#include <volute/language/call.hpp>
#include <volute/language/elementwise.hpp>
#include <volute/language/options.hpp>
#include <volute/language/tensor.hpp>
#include <volute/language/composite.hpp>
#include <volute/language/attention.hpp>
#include <volute/language/activation.hpp>
#include <volute/language/gather.hpp>
#include <volute/language/grid_sample.hpp>
#include <volute/language/volume.hpp>
#include <volute/language/interpolate.hpp>
#include <volute/language/rearrange.hpp>
#include <volute/language/gradient.hpp>
#include <volute/language/loss.hpp>
#include <volute/language/dice.hpp>
#include <volute/language/mode.hpp>
