// Pooling and borders as layers.
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

namespace detail {
template <std::int64_t K, class... O>
constexpr ops::pool_options pool_options_of() {
  ops::pool_options o{};
  o.kernel = {K, K, K};
  (O::apply(o), ...);
  o.again = option::said_again<O...>();
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
/// The volume, repeated.
template <std::int64_t... P>
struct circular_pad3d : layer<circular_pad3d<P...>> {
  static constexpr text kind = "circular_pad3d";
  static constexpr auto forward(expression auto x) { return volute::circular_pad3d(x, volute::padding<P...>); }
};

}  // namespace volute::nn
