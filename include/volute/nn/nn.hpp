// Every layer.
#pragma once

#include <volute/nn/activation.hpp>
#include <volute/nn/adaptive_conv3d_mod.hpp>
#include <volute/nn/convolution.hpp>
