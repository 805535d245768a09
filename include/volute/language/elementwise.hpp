// Elementwise functions and operators. Operands broadcast as in NumPy: shapes are aligned at the last axis and extents of 1 repeat. Numbers
// are written 2_c or constant<0.5>: everything in an expression is part of its type.
#pragma once

#include <volute/language/call.hpp>

namespace volute {

// clang-format off
/// -a.
template <expression A> constexpr auto negative(A a) { return apply<ops::map{ops::fn::negate}>(a); }
/// |a|; its derivative at 0 is 0.
template <expression A> constexpr auto abs(A a) { return apply<ops::map{ops::fn::abs}>(a); }
/// -1, 0 or 1; its derivative is 0.
template <expression A> constexpr auto sign(A a) { return apply<ops::map{ops::fn::sign}>(a); }
/// 1 / a.
template <expression A> constexpr auto reciprocal(A a) { return apply<ops::map{ops::fn::reciprocal}>(a); }
/// a * a.
template <expression A> constexpr auto square(A a) { return apply<ops::map{ops::fn::square}>(a); }
/// The root, and one over it (not an estimate); NaN below 0. Their derivatives at 0 are infinite.
template <expression A> constexpr auto sqrt(A a) { return apply<ops::map{ops::fn::sqrt}>(a); }
template <expression A> constexpr auto rsqrt(A a) { return apply<ops::map{ops::fn::rsqrt}>(a); }
/// As in C. exp, expm1 and log are accurate to 2 units in the last place, erf to 7.5e-15.
template <expression A> constexpr auto exp(A a) { return apply<ops::map{ops::fn::exp}>(a); }
template <expression A> constexpr auto expm1(A a) { return apply<ops::map{ops::fn::expm1}>(a); }
template <expression A> constexpr auto log(A a) { return apply<ops::map{ops::fn::log}>(a); }
template <expression A> constexpr auto log1p(A a) { return apply<ops::map{ops::fn::log1p}>(a); }
template <expression A> constexpr auto sin(A a) { return apply<ops::map{ops::fn::sin}>(a); }
template <expression A> constexpr auto cos(A a) { return apply<ops::map{ops::fn::cos}>(a); }
template <expression A> constexpr auto tanh(A a) { return apply<ops::map{ops::fn::tanh}>(a); }
template <expression A> constexpr auto erf(A a) { return apply<ops::map{ops::fn::erf}>(a); }
/// The largest whole number that is not above a; its derivative is 0.
template <expression A> constexpr auto floor(A a) { return apply<ops::map{ops::fn::floor}>(a); }
/// 1 / (1 + exp(-a)), small values kept in both directions.
template <expression A> constexpr auto sigmoid(A a) { return apply<ops::map{ops::fn::sigmoid}>(a); }
/// log(1 + exp(a)), without overflow.
template <expression A> constexpr auto softplus(A a) { return apply<ops::map{ops::fn::softplus}>(a); }
/// max(a, 0); its derivative at 0 is 0, and NaN stays NaN on x86. (torch relu)
template <expression A> constexpr auto relu(A a) { return apply<ops::map{ops::fn::relu}>(a); }

/// Element by element; operands broadcast. Shapes that do not are refused while compiling.
template <expression A, expression B> constexpr auto operator+(A a, B b) { return apply<ops::map{ops::fn::add}>(a, b); }
template <expression A, expression B> constexpr auto operator-(A a, B b) { return apply<ops::map{ops::fn::subtract}>(a, b); }
template <expression A, expression B> constexpr auto operator*(A a, B b) { return apply<ops::map{ops::fn::multiply}>(a, b); }
template <expression A, expression B> constexpr auto operator/(A a, B b) { return apply<ops::map{ops::fn::divide}>(a, b); }
template <expression A> constexpr auto operator-(A a) { return negative(a); }
template <expression A> constexpr auto operator+(A a) { return a; }

/// The smaller one, the larger one; NaN if either is. A tie gives half of the derivative to each. (torch minimum, maximum)
template <expression A, expression B> constexpr auto minimum(A a, B b) { return apply<ops::map{ops::fn::minimum}>(a, b); }
template <expression A, expression B> constexpr auto maximum(A a, B b) { return apply<ops::map{ops::fn::maximum}>(a, b); }
/// a to the power b; a negative base needs an integral exponent.
template <expression A, expression B> constexpr auto power(A a, B b) { return apply<ops::map{ops::fn::power}>(a, b); }

/// Comparisons give 1 or 0; their derivative is 0.
template <expression A, expression B> constexpr auto operator<(A a, B b) { return apply<ops::map{ops::fn::less}>(a, b); }
template <expression A, expression B> constexpr auto operator>(A a, B b) { return b < a; }
template <expression A, expression B> constexpr auto operator<=(A a, B b) { return apply<ops::map{ops::fn::less_equal}>(a, b); }
template <expression A, expression B> constexpr auto operator>=(A a, B b) { return b <= a; }
template <expression A, expression B> constexpr auto equal(A a, B b) { return apply<ops::map{ops::fn::equal}>(a, b); }
/// condition != 0 ? a : b, element by element; the other branch has no influence, not even a NaN.
template <expression C, expression A, expression B> constexpr auto select(C c, A a, B b) { return apply<ops::map{ops::fn::select}>(c, a, b); }

/// The value, without a derivative.
template <expression A> constexpr auto stop_gradient(A a) { return apply<ops::stopped{}>(a); }
// clang-format on

/// (That something is no expression is asked before whether it is a number: what compares two expressions asks, too.)
template <class A, class N>
concept number_beside_expression =
    (expression<A> && !expression<N> && std::is_arithmetic_v<N>) || (expression<N> && !expression<A> && std::is_arithmetic_v<A>);
/// A plain number has no place in a type: the message says how to write it.
template <class A, class N>
requires number_beside_expression<A, N> constexpr auto operator+(A, N) {
  using failure = failed<text(""), text("a number is part of the type"), text("write 2_c or constant<2>")>;
  static_assert(detail::accepted<detail::refused_for<failure>>::value);
  return reported{};
}
template <class A, class N>
requires number_beside_expression<A, N> constexpr auto operator-(A a, N n) {
  return a + n;
}
template <class A, class N>
requires number_beside_expression<A, N> constexpr auto operator*(A a, N n) {
  return a + n;
}
template <class A, class N>
requires number_beside_expression<A, N> constexpr auto operator/(A a, N n) {
  return a + n;
}

}  // namespace volute
