// Runs a scalar program on vector registers. The program is a template argument: each instruction becomes its own machine code.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/math.hpp>
#include <volute/ops/elementwise.hpp>
#include <volute/ops/rule.hpp>

#include <cstddef>
#include <limits>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

template <class V>
VOLUTE_INLINE V mask_to_number(typename V::batch_bool_type m) {
  using T = typename V::value_type;
  return xsimd::select(m, V(T(1)), V(T(0)));
}

/// One scalar function on vectors of numbers.
template <ops::fn F, class V>
VOLUTE_INLINE V apply(V a, [[maybe_unused]] V b, [[maybe_unused]] V c) {
  using T = typename V::value_type;
  using ops::fn;
  const V zero(T(0)), one(T(1));
  // clang-format off
  if constexpr (F == fn::identity) return a;
  else if constexpr (F == fn::negate) return a ^ V(T(-0.0));  // xsimd's unary minus is 0 - a, which loses the sign of 0
  else if constexpr (F == fn::abs) return xsimd::abs(a);
  else if constexpr (F == fn::sign) return xsimd::select(a > zero, one, xsimd::select(a < zero, -one, zero));
  else if constexpr (F == fn::reciprocal) return one / a;
  else if constexpr (F == fn::square) return a * a;
  else if constexpr (F == fn::sqrt) return xsimd::sqrt(a);
  else if constexpr (F == fn::rsqrt) return one / xsimd::sqrt(a);
  else if constexpr (F == fn::exp) return math::exp(a);
  else if constexpr (F == fn::expm1) return math::expm1(a);
  else if constexpr (F == fn::log) return math::log(a);
  else if constexpr (F == fn::log1p) return xsimd::log1p(a);
  else if constexpr (F == fn::sin) return xsimd::sin(a);
  else if constexpr (F == fn::cos) return xsimd::cos(a);
  else if constexpr (F == fn::tanh) return math::tanh(a);
  else if constexpr (F == fn::sigmoid) return math::sigmoid(a);
  else if constexpr (F == fn::softplus) return math::softplus(a);
  else if constexpr (F == fn::erf) return math::erf(a);
  else if constexpr (F == fn::floor) return xsimd::floor(a);
  else if constexpr (F == fn::relu) return simd::max(zero, a);  // the second operand if it is NaN
  else if constexpr (F == fn::step) return mask_to_number<V>(a > zero);
  else if constexpr (F == fn::add) return a + b;
  else if constexpr (F == fn::subtract) return a - b;
  else if constexpr (F == fn::multiply) return a * b;
  else if constexpr (F == fn::divide) return a / b;
  else if constexpr (F == fn::minimum) return math::minimum(a, b);
  else if constexpr (F == fn::maximum) return math::maximum(a, b);
  else if constexpr (F == fn::power) return math::power(a, b);
  else if constexpr (F == fn::less) return mask_to_number<V>(a < b);
  else if constexpr (F == fn::less_equal) return mask_to_number<V>(a <= b);
  else if constexpr (F == fn::equal) return mask_to_number<V>(a == b);
  else if constexpr (F == fn::leaky) return xsimd::select(a > zero, a, a * b);
  else if constexpr (F == fn::select) return xsimd::select(a == zero, c, b);  // xsimd's != is ordered: NaN != 0 would be false
  else static_assert(sizeof(ops::no_branch_for<F, "scalar_program.hpp: apply">) > 0);
  // clang-format on
}

/// A constant as T: beyond T's range it is the largest finite number, so that constant<DBL_MAX> means just that in float too.
template <class T>
constexpr T saturated(double v) {
  constexpr double most = static_cast<double>(std::numeric_limits<T>::max());
  const bool finite = v - v == 0;
  return finite && v > most ? std::numeric_limits<T>::max() : finite && v < -most ? std::numeric_limits<T>::lowest() : static_cast<T>(v);
}

template <ops::scalar_program P, class V, std::size_t... I>
VOLUTE_INLINE V run_program(const V (&in)[P.inputs], std::index_sequence<I...>) {
  using T = typename V::value_type;
  constexpr int first = P.inputs + P.constants;
  V r[first + P.length];
  VOLUTE_UNROLL
  for (int i = 0; i < P.inputs; ++i) r[i] = in[i];
  VOLUTE_UNROLL
  for (int i = 0; i < P.constants; ++i) r[P.inputs + i] = V(saturated<T>(P.constant[i]));
  ((r[first + static_cast<int>(I)] = apply<P.code[I].f, V>(r[P.code[I].a], r[P.code[I].b], r[P.code[I].c])), ...);
  return r[P.length == 0 ? 0 : first + P.length - 1];
}

/// The result of program P for a vector of each input.
template <ops::scalar_program P, class V>
VOLUTE_INLINE V run_program(const V (&in)[P.inputs]) {
  return run_program<P>(in, std::make_index_sequence<static_cast<std::size_t>(P.length)>{});
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
