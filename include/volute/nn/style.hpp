// The parts of style-based generators beside the modulated convolution: noise, layers whose learning rate is equal for all shapes, and the
// mapping network. (StyleGAN2, https://arxiv.org/abs/1912.04958; equalised learning rate: https://arxiv.org/abs/1710.10196.)
#pragma once

#include <volute/nn/convolution.hpp>

namespace volute::nn {

/// x + weight * noise: one map N(0, 1) of voxels a sample, new in every run, for all channels. Parameter: weight (C), zeros.
template <std::int64_t C>
struct noise_injection : layer<noise_injection<C>> {
  static constexpr text kind = "noise_injection";
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    constexpr ops::inferred r = check(e);
    if constexpr (!r.ok())
      return detail::refuse<r>();
    else
      return x + normal_noise<"noise", e[0], 1, e[2], e[3], e[4]> * per_channel(detail::learned<"weight", make_extents(C), initializer{}>);
  }

 private:
  static constexpr ops::inferred check(const extents& x) {
    if (x.rank != 5) return ops::refuse(line("noise_injection wants rank 5"), line("got ") << x);
    if (x[1] != C) return ops::refuse(line("noise_injection: ") << C << " channels", line("got ") << x[1] << " in " << x);
    return {};
  }
};

// clang-format off
/// The first value of a bias.
template <auto V> struct bias_init { static constexpr double value = V; };
/// How much slower than the rest a layer learns: weights begin 1 / lr_mul as large, and weight and bias are multiplied by lr_mul when used.
template <auto V> struct lr_mul { static constexpr double value = V; };
// clang-format on
}  // namespace volute::nn
namespace volute::option {
template <auto V>
inline constexpr int says<nn::lr_mul<V>> = 14;
template <auto V>
inline constexpr int says<nn::bias_init<V>> = 15;
}  // namespace volute::option
namespace volute::nn {

namespace detail {
struct equalized_settings {
  double bias_init = 0, lr_mul = 1;
  bool bias = true;
  int unknown = 0;

  template <auto V>
  constexpr bool set(nn::bias_init<V>) {
    return bias_init = V, true;
  }
  template <auto V>
  constexpr bool set(nn::lr_mul<V>) {
    return lr_mul = V, true;
  }
  constexpr bool set(no_bias) { return bias = false, true; }
  template <class O>
  constexpr bool set(O) {
    return false;
  }
};
template <class... O>
constexpr equalized_settings equalized_settings_of() {
  equalized_settings s;
  s.unknown = refused_setting<O...>(s);
  return s;
}
}  // namespace detail

/// x W^T * gain + bias * lr_mul with gain = lr_mul / sqrt(In): (N, In) -> (N, Out). Options: lr_mul<1>, bias_init<0>, no_bias. Parameters:
/// weight (Out, In), N(0, 1 / lr_mul^2), and bias (Out), bias_init.
template <std::int64_t In, std::int64_t Out, class... O>
struct equalized_linear : layer<equalized_linear<In, Out, O...>> {
  static constexpr text kind = "equalized_linear";
  static constexpr detail::equalized_settings settings = detail::equalized_settings_of<O...>();

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    if constexpr (settings.unknown != 0) {
      return detail::refuse_option<kind, settings.unknown>();
    } else if constexpr (e.rank < 1 || e[e.rank - 1] != In) {
      constexpr line wanted = line("equalized_linear: ") << In << " features";
      constexpr line got = line("got ") << (e.rank < 1 ? 1 : e[e.rank - 1]) << " in " << e;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      constexpr initializer init{initializer::normal, 1 / settings.lr_mul};
      const auto y = apply<ops::matrix_product{true}>(x, detail::learned<"weight", make_extents(Out, In), init>) *
                     constant<settings.lr_mul / detail::root(static_cast<double>(In))>;
      if constexpr (settings.bias)
        return y + detail::learned<"bias", make_extents(Out), initializer{initializer::constant, settings.bias_init}> *
                       constant<settings.lr_mul>;
      else
        return y;
    }
  }
};

/// conv3d(x, weight) * gain + bias with gain = 1 / sqrt(fan_in). Options as conv3d. Parameters: weight, N(0, 1), and bias (Out), zeros.
template <std::int64_t In, std::int64_t Out, class... O>
struct equalized_conv3d : layer<equalized_conv3d<In, Out, O...>> {
  static constexpr text kind = "equalized_conv3d";
  using plain = conv3d<In, Out, O...>;

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::triple k = plain::kernel;
    using y_type = decltype(plain::forward(x));
    if constexpr (is_failed<y_type>) {
      return y_type{};
    } else {
      constexpr initializer init{initializer::normal, 1};
      constexpr double fan_in = static_cast<double>(plain::group_in * k.d * k.h * k.w);
      const auto y =
          apply<ops::conv3d{plain::options}>(x, detail::learned<"weight", make_extents(Out, plain::group_in, k.d, k.h, k.w), init>) *
          constant<1 / detail::root(fan_in)>;
      if constexpr (!detail::has<no_bias, O...>)
        return y + per_channel(detail::learned<"bias", make_extents(Out), initializer{}>);
      else
        return y;
    }
  }
};

/// The style of a modulated convolution, learned from w: an equalized_linear whose bias begins at 1. Where the layer adds 1 itself, as
/// adaptive_conv3d_mod does without scale_is_mod, say bias_init<0>.
template <std::int64_t W, std::int64_t C, class... O>
struct style_affine : layer<style_affine<W, C, O...>> {
  static constexpr text kind = "style_affine";
  static constexpr auto forward(expression auto x) {
    if constexpr (((option::says<O> == option::says<nn::bias_init<1>>) || ...))
      return equalized_linear<W, C, O...>::forward(x);
    else
      return equalized_linear<W, C, O..., bias_init<1>>::forward(x);
  }
};

namespace detail {
/// x * rsqrt(mean of x^2 over the features + 1e-8).
struct pixel_norm : layer<pixel_norm> {
  static constexpr auto forward(expression auto x) { return x * rsqrt(mean(square(x), axes<1>, keepdims) + 1e-8_c); }
};
template <std::int64_t In, std::int64_t Out, double LrMul>
struct mapping_layer : layer<mapping_layer<In, Out, LrMul>> {
  static constexpr text kind = "equalized_linear";
  static constexpr auto forward(expression auto x) {
    return volute::leaky_relu<0.2>(equalized_linear<In, Out, lr_mul<LrMul>>::forward(x)) * constant<1.41421356237309504880>;
  }
};
template <int I>
constexpr auto mapping_name() {
  constexpr line l = line("fc") << I;
  return to_text<l>();
}
template <std::int64_t Z, std::int64_t W, double LrMul, int... I>
auto mapping_layers(std::integer_sequence<int, I...>)
    -> sequential<pixel_norm, named<mapping_name<I>(), mapping_layer<I == 0 ? Z : W, W, LrMul>>...>;
}  // namespace detail

/// z (N, Z) -> w (N, W): normalised, then `Layers` times linear and leaky_relu with slope 0.2 times sqrt(2), all learning slower by LrMul.
/// Paths fc0.weight, fc0.bias, fc1.weight, ...
template <std::int64_t Z, std::int64_t W, int Layers = 8, auto LrMul = 0.01>
struct mapping_network : decltype(detail::mapping_layers<Z, W, static_cast<double>(LrMul)>(std::make_integer_sequence<int, Layers>{})) {};

}  // namespace volute::nn
