// Activations, pooling and borders as layers: no parameters, one formula each.
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

namespace detail {
template <std::int64_t K, class... O>
constexpr ops::pool_options pool_options_of() {
  ops::pool_options o{};
  o.kernel = {K, K, K};
  (O::apply(o), ...);
  return o;
}

/// Applies a pooling function with these options.
template <text Kind, class F, std::int64_t K, class... O, expression X>
constexpr auto pool(X x) {
  constexpr int unknown = unknown_option({option_of<O, ops::pool_options>...});
  if constexpr (unknown > 0)
    return refuse_option<Kind, unknown>();
  else
    return apply<F{pool_options_of<K, O...>()}>(x);
}
}  // namespace detail

/// max_pool3d<2>, or max_pool3d<0, kernel<1, 2, 2>, stride<1, 2, 2>>. Options: kernel, stride (default: the kernel), padding, dilation,
/// ceil_mode.
template <std::int64_t K, class... O>
struct max_pool3d : layer<max_pool3d<K, O...>> {
  static constexpr text kind = "max_pool3d";
  static constexpr auto forward(expression auto x) { return detail::pool<kind, ops::max_pool3d, K, O...>(x); }
};
/// As max_pool3d, with count_include_pad<false> and divisor<n> and without dilation.
template <std::int64_t K, class... O>
struct avg_pool3d : layer<avg_pool3d<K, O...>> {
  static constexpr text kind = "avg_pool3d";
  static constexpr auto forward(expression auto x) { return detail::pool<kind, ops::avg_pool3d, K, O...>(x); }
};
/// Means of windows such that the result has these spatial extents.
template <std::int64_t... S>
struct adaptive_avg_pool3d : layer<adaptive_avg_pool3d<S...>> {
  static constexpr text kind = "adaptive_avg_pool3d";
  static constexpr auto forward(expression auto x) { return apply<ops::adaptive_avg_pool3d{option::to_triple<S...>()}>(x); }
};

/// Largest values of windows such that the result has these spatial extents.
template <std::int64_t... S>
struct adaptive_max_pool3d : layer<adaptive_max_pool3d<S...>> {
  static constexpr text kind = "adaptive_max_pool3d";
  static constexpr auto forward(expression auto x) { return apply<ops::adaptive_max_pool3d{option::to_triple<S...>()}>(x); }
};

/// A border around the volume: one number, three (d, h, w), or six (low and high of each). Zeros.
template <std::int64_t... P>
struct zero_pad3d : layer<zero_pad3d<P...>> {
  static constexpr text kind = "zero_pad3d";
  static constexpr auto forward(expression auto x) { return volute::zero_pad3d(x, volute::padding<P...>); }
};
/// The nearest voxels of the volume, repeated.
template <std::int64_t... P>
struct replicate_pad3d : layer<replicate_pad3d<P...>> {
  static constexpr text kind = "replicate_pad3d";
  static constexpr auto forward(expression auto x) { return volute::replicate_pad3d(x, volute::padding<P...>); }
};
/// The volume, mirrored at its outermost voxels.
template <std::int64_t... P>
struct reflect_pad3d : layer<reflect_pad3d<P...>> {
  static constexpr text kind = "reflect_pad3d";
  static constexpr auto forward(expression auto x) { return volute::reflect_pad3d(x, volute::padding<P...>); }
};

}  // namespace volute::nn
