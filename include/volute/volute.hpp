// Volute: 3D neural networks as C++ types. This header is everything; the first five lines keep compilers' include stacks in error
// messages short.
#pragma once

#include <volute/language/failure.hpp>
#include <volute/language/expression.hpp>
#include <volute/language/call.hpp>
#include <volute/runtime/files.hpp>
#include <volute/runtime/weights.hpp>

#include <volute/version.hpp>

#include <volute/language/language.hpp>
#include <volute/nn/nn.hpp>
#include <volute/runtime/evaluate.hpp>
#include <volute/runtime/model.hpp>
#include <volute/runtime/parameter_map.hpp>
#include <volute/runtime/report.hpp>
#include <volute/train/trainer.hpp>
