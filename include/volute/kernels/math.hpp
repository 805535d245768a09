// Mathematical functions on vectors, where those of xsimd 8.1 fall short: exp ends in infinity at 88.38 (float) and 709.44 (double)
// instead of at 88.72 and 709.78 and has no denormal results, log is wrong for denormal doubles, pow is exp(y log x) with errors of
// 100 ulp and has no special cases, comparison with != is ordered; and where there is no vector conversion of double to int64, that of
// NaN is undefined (clang 19, SSE2: exp(NaN) differs from lane to lane), so arguments are clamped before. Errors here: exp, expm1, log and
// pow within 2 ulp for float and double, erf within 7.5e-15.
#pragma once

#include <volute/core/simd.hpp>

#include <cmath>
#include <limits>
#include <type_traits>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {
namespace math {

/// a < b ? a : b, but NaN if either is (as PyTorch). x86 gives the second operand when one is NaN.
template <class V>
VOLUTE_INLINE V minimum(V a, V b) {
  return xsimd::select(xsimd::isnan(a), a, simd::min(a, b));
}

template <class V>
VOLUTE_INLINE V maximum(V a, V b) {
  return xsimd::select(xsimd::isnan(a), a, simd::max(a, b));
}

/// a within [low, high]; a NaN becomes a number. `restore` makes it NaN again.
template <class V>
VOLUTE_INLINE V clamp(V a, V low, V high) {
  return simd::min(simd::max(a, low), high);
}

template <class V>
VOLUTE_INLINE V restore(V a, V result) {
  return xsimd::select(xsimd::isnan(a), a, result);
}

/// The bounds of what xsimd's exp can do, and the distance that brings an argument beyond them back; a - up and a - down are exact.
/// Below `zero` exp is 0, above `infinite` it is infinite.
template <class T>
struct exp_range;
template <>
struct exp_range<float> {
  static constexpr float high = 88, up = 8, e_up = 2980.9579870417283f, low = -87, down = -17, e_down = 4.1399377187851668e-8f,
                         zero = -104.5f, infinite = 96;
};
template <>
struct exp_range<double> {
  static constexpr double high = 709, up = 8, e_up = 2980.9579870417283, low = -708, down = -37, e_down = 8.5330476257440658e-17,
                          zero = -745.5, infinite = 717;
};

template <class V>
VOLUTE_INLINE V exp(V a) {
  using T = typename V::value_type;
  using R = exp_range<T>;
  const V x = clamp(a, V(R::zero), V(R::infinite));
  const auto over = x > V(R::high), under = x < V(R::low);
  const V shift = xsimd::select(over, V(R::up), xsimd::select(under, V(R::down), V(T(0))));
  const V scale = xsimd::select(over, V(R::e_up), xsimd::select(under, V(R::e_down), V(T(1))));
  return restore(a, xsimd::exp(x - shift) * scale);
}

/// exp(-|a|), in [0, 1], without denormal results; NaN gives a number.
template <class V>
VOLUTE_INLINE V exp_of_minus_abs(V a) {
  using T = typename V::value_type;
  return xsimd::exp(simd::max(-xsimd::abs(a), V(exp_range<T>::zero)));
}

template <class V>
VOLUTE_INLINE V expm1(V a) {
  using T = typename V::value_type;
  using R = exp_range<T>;
  const V x = clamp(a, V(T(-40)), V(R::infinite));
  const auto over = x > V(R::high);  // there -1 is below the rounding
  return restore(a, xsimd::expm1(x - xsimd::select(over, V(R::up), V(T(0)))) * xsimd::select(over, V(R::e_up), V(T(1))));
}

template <class V>
VOLUTE_INLINE V tanh(V a) {
  using T = typename V::value_type;
  return restore(a, xsimd::tanh(clamp(a, V(T(-30)), V(T(30)))));
}

template <class V>
VOLUTE_INLINE V erf(V a) {
  using T = typename V::value_type;
  return restore(a, xsimd::erf(clamp(a, V(T(-7)), V(T(7)))));
}

template <class V>
VOLUTE_INLINE V sigmoid(V a) {
  using T = typename V::value_type;
  const V e = exp_of_minus_abs(a), one(T(1));
  return restore(a, xsimd::select(a < V(T(0)), e, one) / (one + e));
}

/// log(1 + exp(a)); the maximum is NaN if a is.
template <class V>
VOLUTE_INLINE V softplus(V a) {
  using T = typename V::value_type;
  return simd::max(V(T(0)), a) + xsimd::log1p(exp_of_minus_abs(a));
}

template <class V>
VOLUTE_INLINE V log(V a) {
  if constexpr (std::is_same_v<typename V::value_type, double>) {
    const auto denormal = a < V(std::numeric_limits<double>::min());
    return xsimd::log(xsimd::select(denormal, a * V(0x1p54), a)) - xsimd::select(denormal, V(37.429947750237047), V(0.0));  // 54 ln 2
  } else {
    return xsimd::log(a);
  }
}

/// A number as the unevaluated sum of two.
template <class V>
struct pair {
  V high, low;
};

/// a + b exactly.
template <class V>
VOLUTE_INLINE pair<V> two_sum(V a, V b) {
  const V s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

/// a * b exactly: by FMA, or by Dekker's splitting where there is none.
template <class V>
VOLUTE_INLINE pair<V> two_product(V a, V b) {
  const V p = a * b;
#if defined(__FMA__) || defined(__AVX512F__) || defined(__aarch64__)
  return {p, simd::fma(a, b, -p)};
#else
  using T = typename V::value_type;
  const V splitter(T(sizeof(T) == 4 ? 0x1p12 + 1 : 0x1p27 + 1));
  const V as = splitter * a, ah = as - (as - a), al = a - ah;
  const V bs = splitter * b, bh = bs - (bs - b), bl = b - bh;
  return {p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
#endif
}

/// log(a) of a finite a > 0 with some 7 bits more than T has: log(2^e m) = e ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172.
template <class V>
VOLUTE_INLINE pair<V> log_extended(V a) {
  using T = typename V::value_type;
  constexpr bool single = std::is_same_v<T, float>;
  const V one(T(1)), zero(T(0));
  const auto denormal = a < V(std::numeric_limits<T>::min());
  xsimd::batch<xsimd::as_integer_t<T>, typename V::arch_type> power;
  V m = xsimd::frexp(xsimd::select(denormal, a * V(T(0x1p54)), a), power);
  V e = xsimd::to_float(power) - xsimd::select(denormal, V(T(54)), zero);
  const auto low = m < V(T(0.70710678118654752));
  m = xsimd::select(low, m + m, m);
  e = xsimd::select(low, e - one, e);

  const V f = m - one, d = m + one, d_low = m - (d - one);
  const V s = f / d;
  const pair<V> p = two_product(s, d);
  const V s_low = (((f - p.high) - p.low) - s * d_low) / d;
  const V z = s * s;
  constexpr int terms = single ? 5 : 12;
  V q(T(2.0 / (2 * terms + 1)));
  VOLUTE_UNROLL
  for (int k = terms - 1; k >= 1; --k) q = simd::fma(q, z, V(T(2.0 / (2 * k + 1))));

  // ln 2 in two parts, the first with so many trailing zeros that its product with e is exact
  const V ln2_high(T(single ? 0x1.62e300p-1 : 0x1.62e42feep-1)), ln2_low(T(single ? 9.0580006145e-06 : 1.90821492927058770002e-10));
  const pair<V> t = two_sum(e * ln2_high, s + s);
  const V rest = t.low + (e * ln2_low + (s_low + s_low + s * z * q));
  const V high = t.high + rest;
  return {high, rest - (high - t.high)};
}

/// a to the power b, with the special cases of std::pow.
template <class V>
VOLUTE_INLINE V power(V a, V b) {
  using T = typename V::value_type;
  const V zero(T(0)), one(T(1)), half(T(0.5)), infinity(std::numeric_limits<T>::infinity());
  const V magnitude = xsimd::abs(a);
  const auto is_zero = magnitude == zero, is_infinite = magnitude == infinity, grows = b > zero;

  const pair<V> l = log_extended(xsimd::select(is_zero | is_infinite, one, magnitude));
  const V limit(T(sizeof(T) == 4 ? 0x1p40 : 0x1p65));  // such powers of what is not 1 are 0 or infinite, and products stay finite
  const V y = simd::max(-limit, simd::min(limit, b));
  const pair<V> p = two_product(y, l.high);
  const V tail = p.low + y * l.low;
  const V high = p.high + tail, low = tail - (high - p.high);
  V r = math::exp(high);  // unqualified, xsimd::exp would be found
  r = xsimd::select(r < infinity, simd::fma(r, low, r), r);

  r = xsimd::select(is_zero, xsimd::select(grows, zero, infinity), r);
  r = xsimd::select(is_infinite, xsimd::select(grows, infinity, zero), r);
  const V whole = xsimd::trunc(b), halved = b * half;
  const auto integer = whole == b, even = xsimd::trunc(halved) == halved;
  r = r ^ xsimd::select(integer & !even, xsimd::bitofsign(a), zero);  // odd
  r = xsimd::select((a < zero) & (a > -infinity) & !integer, V(std::numeric_limits<T>::quiet_NaN()), r);
  r = restore(a, restore(b, r));
  return xsimd::select((b == zero) | (a == one), one, r);
}

}  // namespace math
}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
