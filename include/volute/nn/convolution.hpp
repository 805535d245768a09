// Layers with a filter bank: convolution and its transpose, and the linear layer. (Document Conv3D.)
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

/// Cross-correlation with a learned bank: (N, In, D, H, W) -> (N, Out, D', H', W'). Options: kernel<k> (or kernel<kd, kh, kw>), stride,
/// padding (1, 3 or 6 numbers; or same, valid, causal), dilation, groups, no_bias. Parameters: weight (Out, In / groups, KD, KH, KW), bias
/// (Out), both U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
template <std::int64_t In, std::int64_t Out, class... O>
struct conv3d : layer<conv3d<In, Out, O...>> {
  static constexpr text kind = "conv3d";
  static constexpr ops::triple kernel = detail::kernel_of<O...>();
  static constexpr ops::conv_options options = detail::conv_options_of<O...>();
  static constexpr int unknown =
      detail::unknown_option({detail::option_of<O, ops::conv_options> || detail::is_kernel<O> || std::is_same_v<O, no_bias>...});
  static constexpr std::int64_t group_in = options.groups > 0 ? In / options.groups : In;
  static constexpr initializer init = detail::uniform_for(group_in * kernel.d * kernel.h * kernel.w);

  template <expression X>
  static constexpr auto forward(X x) {
    // What the bank's shape cannot show: In itself, if groups do not divide it.
    if constexpr (unknown > 0) {
      return detail::refuse_option<kind, unknown>();
    } else if constexpr (!(detail::is_kernel<O> || ...)) {
      return failed<text(""), text("conv3d wants nn::kernel<...>"), text("got none")>{};
    } else if constexpr (options.groups > 0 && In % options.groups != 0) {
      constexpr line got = line("got ") << In << " channels, groups " << options.groups;
      return failed<text(""), text("conv3d wants channels / groups"), to_text<got>()>{};
    } else {
      return convolved<options>(x);
    }
  }
  /// With this padding and stride instead of the layer's own.
  template <ops::conv_options Options, expression X>
  static constexpr auto convolved(X x) {
    const auto y =
        apply<ops::conv3d{Options}>(x, detail::learned<"weight", make_extents(Out, group_in, kernel.d, kernel.h, kernel.w), init>);
    if constexpr (detail::has<no_bias, O...>)
      return y;
    else
      return y + per_channel(detail::learned<"bias", make_extents(Out), init>);
  }
};

/// The adjoint of a convolution: (N, In, D, H, W) -> (N, Out, ...). Options as conv3d and output_padding. weight is (In, Out / groups, KD,
/// KH, KW), as in PyTorch.
template <std::int64_t In, std::int64_t Out, class... O>
struct conv_transpose3d : layer<conv_transpose3d<In, Out, O...>> {
  static constexpr text kind = "conv_transpose3d";
  static constexpr ops::triple kernel = detail::kernel_of<O...>();
  static constexpr ops::conv_options options = detail::conv_options_of<O...>();
  static constexpr int unknown =
      detail::unknown_option({detail::option_of<O, ops::conv_options> || detail::is_kernel<O> || std::is_same_v<O, no_bias>...});
  static constexpr std::int64_t group_out = options.groups > 0 ? Out / options.groups : Out;
  static constexpr initializer init = detail::uniform_for(group_out * kernel.d * kernel.h * kernel.w);

  template <expression X>
  static constexpr auto forward(X x) {
    if constexpr (unknown > 0) {
      return detail::refuse_option<kind, unknown>();
    } else if constexpr (!(detail::is_kernel<O> || ...)) {
      return failed<text(""), text("conv_transpose3d: nn::kernel<...>"), text("got none")>{};
    } else if constexpr (options.groups > 0 && Out % options.groups != 0) {
      constexpr line got = line("got ") << Out << " outputs, groups " << options.groups;
      return failed<text(""), text("conv_transpose3d outputs / groups"), to_text<got>()>{};
    } else {
      const auto y = apply<ops::conv_transpose3d{options}>(
          x, detail::learned<"weight", make_extents(In, group_out, kernel.d, kernel.h, kernel.w), init>);
      if constexpr (detail::has<no_bias, O...>)
        return y;
      else
        return y + per_channel(detail::learned<"bias", make_extents(Out), init>);
    }
  }
};

/// x W^T + b on the last axis: (..., In) -> (..., Out). Option: no_bias. Parameters: weight (Out, In), bias (Out), both U(-1/sqrt(In),
/// 1/sqrt(In)).
template <std::int64_t In, std::int64_t Out, class... O>
struct linear : layer<linear<In, Out, O...>> {
  static constexpr text kind = "linear";
  static constexpr initializer init = detail::uniform_for(In);
  static constexpr int unknown = detail::unknown_option({std::is_same_v<O, no_bias>...});

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    if constexpr (unknown > 0) {
      return detail::refuse_option<kind, unknown>();
    } else if constexpr (e.rank < 1 || e[e.rank - 1] != In) {
      constexpr line wanted = line("linear wants ") << In << " features";
      constexpr line got = line("got ") << (e.rank < 1 ? 1 : e[e.rank - 1]) << " in " << e;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      const auto y = apply<ops::matrix_product{true}>(x, detail::learned<"weight", make_extents(Out, In), init>);
      if constexpr (detail::has<no_bias, O...>)
        return y;
      else
        return y + detail::learned<"bias", make_extents(Out), init>;
    }
  }
};

}  // namespace volute::nn
