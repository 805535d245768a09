// Functions that are formulas of other functions. Each is a call (see call.hpp), so that an operand that the formula uses twice is written
// down once.
#pragma once

#include <volute/language/tensor.hpp>

namespace volute {
namespace function {

/// The modules behind the functions of these names below.
struct clamp {  // select and not minimum, which would halve the derivative at the limits
  static constexpr auto forward(auto a, auto low, auto high) {
    const auto floored = select(a < low, low, a);
    return select(high < floored, high, floored);
  }
};
struct at_least {
  static constexpr auto forward(auto a, auto low) { return select(a < low, low, a); }
};
template <double Slope>
struct leaky_relu {
  static constexpr auto forward(auto x) {
    if constexpr (Slope >= 0)
      return apply<ops::map{ops::fn::leaky}>(x, constant<Slope>);
    else
      return select(0_c < x, x, x * constant<Slope>);
  }
};
template <double Alpha>
struct elu {  // select and not minimum, which would halve the derivative at 0
  static constexpr auto forward(auto x) { return select(0_c < x, x, expm1(x) * constant<Alpha>); }
};
struct silu {
  static constexpr auto forward(auto x) { return x * sigmoid(x); }
};
struct gelu {  // the exact form, with erf
  static constexpr auto forward(auto x) { return x * (erf(x * constant<0.70710678118654752440>) * 0.5_c + 0.5_c); }
};
template <int Axis>
struct softmax {
  static constexpr auto forward(auto x) {
    if constexpr (decltype(x)::shape().size() == 0) {
      return x;  // there is no maximum
    } else {
      const auto e = exp(x - stop_gradient(maximum(x, axes<Axis>, keepdims)));
      return e / sum(e, axes<Axis>, keepdims);
    }
  }
};
template <int Axis>
struct log_softmax {
  static constexpr auto forward(auto x) {
    if constexpr (decltype(x)::shape().size() == 0) {
      return x;
    } else {
      const auto z = x - stop_gradient(maximum(x, axes<Axis>, keepdims));
      return z - log(sum(exp(z), axes<Axis>, keepdims));
    }
  }
};

/// Square root of a sum of squares; its derivative at 0 is 0 and not infinite, as that of torch.norm.
struct length_of_squares {
  static constexpr auto forward(auto q) {
    const auto positive = 0_c < q;
    return select(positive, sqrt(select(positive, q, 1_c)), 0_c);
  }
};

}  // namespace function

// clang-format off
/// min(max(a, low), high), so high where low > high; derivative 1 where low <= a <= high and 0 elsewhere, as torch.clamp; a NaN stays.
template <expression A, expression L, expression H> constexpr auto clamp(A a, L low, H high) { return invoke<function::clamp>(a, low, high); }
/// max(a, low) with derivative 1 where a >= low: a floor. (maximum would share a tie.)
template <expression A, expression L> constexpr auto at_least(A a, L low) { return invoke<function::at_least>(a, low); }
/// x > 0 ? x : Slope * x.
template <auto Slope = 0.01, expression A> constexpr auto leaky_relu(A a) { return invoke<function::leaky_relu<static_cast<double>(Slope)>>(a); }
/// x > 0 ? x : Alpha * (exp(x) - 1).
template <auto Alpha = 1.0, expression A> constexpr auto elu(A a) { return invoke<function::elu<static_cast<double>(Alpha)>>(a); }
/// x * sigmoid(x).
template <expression A> constexpr auto silu(A a) { return invoke<function::silu>(a); }
/// x * Phi(x), Phi the normal distribution function (the exact form, not the tanh approximation).
template <expression A> constexpr auto gelu(A a) { return invoke<function::gelu>(a); }
/// exp(x) / sum(exp(x)) along an axis; the maximum is taken off first.
template <expression A, int X> constexpr auto softmax(A a, option::axis<X>) { return invoke<function::softmax<X>>(a); }
/// x - max - log(sum(exp(x - max))) along an axis: the logarithm of softmax, also where that is too small for a number.
template <expression A, int X> constexpr auto log_softmax(A a, option::axis<X>) { return invoke<function::log_softmax<X>>(a); }
/// Square root of the sum of squares, of all elements or over some axes, with derivative 0 where it is 0. (torch norm, p = 2)
template <expression A> constexpr auto norm(A a) { return invoke<function::length_of_squares>(sum(square(a))); }
template <expression A, int... X> constexpr auto norm(A a, option::axes<X...> over) { return invoke<function::length_of_squares>(sum(square(a), over)); }
template <expression A, int... X> constexpr auto norm(A a, option::axes<X...> over, option::keepdims) { return invoke<function::length_of_squares>(sum(square(a), over, keepdims)); }
// clang-format on

}  // namespace volute
