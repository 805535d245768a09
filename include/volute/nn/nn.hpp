// Every layer. The first lines keep compilers' include stacks in error messages short.
#pragma once

#include <volute/language/failure.hpp>
#include <volute/language/expression.hpp>
#include <volute/language/call.hpp>

#include <volute/nn/layer.hpp>
#include <volute/nn/activation.hpp>
#include <volute/nn/adaptive_conv3d_mod.hpp>
#include <volute/nn/attention.hpp>
#include <volute/nn/convolution.hpp>
#include <volute/nn/deep_supervision.hpp>
#include <volute/nn/dropout.hpp>
#include <volute/nn/embedding.hpp>
#include <volute/nn/loss.hpp>
#include <volute/nn/normalization.hpp>
#include <volute/nn/planar.hpp>
#include <volute/nn/pooling.hpp>
#include <volute/nn/squeeze_excitation.hpp>
#include <volute/nn/streaming.hpp>
#include <volute/nn/style.hpp>
#include <volute/nn/upsample.hpp>
