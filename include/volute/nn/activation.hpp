// Activations as layers: one formula each, and without parameters but for prelu.
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

/// max(x, 0). Activations have no parameters and keep the shape; docs/semantics.md has their derivatives at special points.
struct relu : layer<relu> {
  static constexpr auto forward(expression auto x) { return volute::relu(x); }
};
/// x > 0 ? x : Slope * x.
template <auto Slope = 0.01>
struct leaky_relu : layer<leaky_relu<Slope>> {
  static constexpr auto forward(expression auto x) { return volute::leaky_relu<Slope>(x); }
};
/// x > 0 ? x : Alpha * (exp(x) - 1).
template <auto Alpha = 1.0>
struct elu : layer<elu<Alpha>> {
  static constexpr auto forward(expression auto x) { return volute::elu<Alpha>(x); }
};
/// x * Phi(x), the exact form with erf.
struct gelu : layer<gelu> {
  static constexpr auto forward(expression auto x) { return volute::gelu(x); }
};
/// x * sigmoid(x).
struct silu : layer<silu> {
  static constexpr auto forward(expression auto x) { return volute::silu(x); }
};
/// 1 / (1 + exp(-x)).
struct sigmoid : layer<sigmoid> {
  static constexpr auto forward(expression auto x) { return volute::sigmoid(x); }
};
/// The hyperbolic tangent.
struct tanh : layer<tanh> {
  static constexpr auto forward(expression auto x) { return volute::tanh(x); }
};
/// log(1 + exp(x)), without overflow.
struct softplus : layer<softplus> {
  static constexpr auto forward(expression auto x) { return volute::softplus(x); }
};
/// exp(x) / sum(exp(x)) along an axis, the channels by default.
template <int Axis = 1>
struct softmax : layer<softmax<Axis>> {
  static constexpr auto forward(expression auto x) { return volute::softmax(x, axis<Axis>); }
};
/// The logarithm of softmax, without its underflow.
template <int Axis = 1>
struct log_softmax : layer<log_softmax<Axis>> {
  static constexpr auto forward(expression auto x) { return volute::log_softmax(x, axis<Axis>); }
};

/// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2: PyTorch's GELU(approximate='tanh').
struct gelu_tanh : layer<gelu_tanh> {
  static constexpr auto forward(expression auto x) { return volute::gelu_tanh(x); }
};
/// x > 0 ? x : weight * x, with one slope, or with N for as many channels. Parameter: weight (N), Init.
template <std::int64_t N = 1, auto Init = 0.25>
struct prelu : layer<prelu<N, Init>> {
  static constexpr text kind = "prelu";
  static constexpr auto forward(expression auto x) {
    return volute::prelu(x, detail::learned<"weight", make_extents(N), initializer{initializer::constant, static_cast<double>(Init)}>);
  }
};
/// x between two limits.
template <auto Low = -1.0, auto High = 1.0>
struct hardtanh : layer<hardtanh<Low, High>> {
  static constexpr auto forward(expression auto x) { return volute::hardtanh<Low, High>(x); }
};
/// x between 0 and 6.
struct relu6 : layer<relu6> {
  static constexpr auto forward(expression auto x) { return volute::relu6(x); }
};
/// (x + 3) / 6 between 0 and 1.
struct hardsigmoid : layer<hardsigmoid> {
  static constexpr auto forward(expression auto x) { return volute::hardsigmoid(x); }
};
/// x * hardsigmoid(x).
struct hardswish : layer<hardswish> {
  static constexpr auto forward(expression auto x) { return volute::hardswish(x); }
};
/// 0 where |x| <= Lambda, else x.
template <auto Lambda = 0.5>
struct hardshrink : layer<hardshrink<Lambda>> {
  static constexpr auto forward(expression auto x) { return volute::hardshrink<Lambda>(x); }
};
/// 0 where |x| <= Lambda, else x moved by Lambda towards 0.
template <auto Lambda = 0.5>
struct softshrink : layer<softshrink<Lambda>> {
  static constexpr auto forward(expression auto x) { return volute::softshrink<Lambda>(x); }
};
/// x where x > Threshold, else Value.
template <auto Threshold, auto Value>
struct threshold : layer<threshold<Threshold, Value>> {
  static constexpr auto forward(expression auto x) { return volute::threshold<Threshold, Value>(x); }
};
/// 1.0507 (x > 0 ? x : 1.6733 (exp(x) - 1)).
struct selu : layer<selu> {
  static constexpr auto forward(expression auto x) { return volute::selu(x); }
};
/// x > 0 ? x : Alpha (exp(x / Alpha) - 1).
template <auto Alpha = 1.0>
struct celu : layer<celu<Alpha>> {
  static constexpr auto forward(expression auto x) { return volute::celu<Alpha>(x); }
};
/// x tanh(softplus(x)).
struct mish : layer<mish> {
  static constexpr auto forward(expression auto x) { return volute::mish(x); }
};
/// log(sigmoid(x)).
struct logsigmoid : layer<logsigmoid> {
  static constexpr auto forward(expression auto x) { return volute::logsigmoid(x); }
};
/// x / (1 + |x|).
struct softsign : layer<softsign> {
  static constexpr auto forward(expression auto x) { return volute::softsign(x); }
};
/// x - tanh(x).
struct tanhshrink : layer<tanhshrink> {
  static constexpr auto forward(expression auto x) { return volute::tanhshrink(x); }
};
/// softmax(-x).
template <int Axis = 1>
struct softmin : layer<softmin<Axis>> {
  static constexpr auto forward(expression auto x) { return volute::softmin(x, axis<Axis>); }
};
/// The first half along an axis, times the sigmoid of the second; the last axis where none is given.
template <int Axis = -1>
struct glu : layer<glu<Axis>> {
  static constexpr text kind = "glu";
  static constexpr auto forward(expression auto x) { return volute::glu(x, axis<Axis>); }
};

}  // namespace volute::nn
