// How reductions add up: partial results and how two of them become one, totals in higher precision, and blocks of a few terms whose sums
// are exact where all terms are equal.
#pragma once

#include <volute/kernels/math.hpp>
#include <volute/ops/loop_nest.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// How two partial results become one, on vectors and numbers.
template <ops::reduction R, class T>
struct combine {
  static constexpr T identity = R == ops::reduction::maximum ? -std::numeric_limits<T>::infinity() : T(0);

  template <class V>
  VOLUTE_INLINE static V apply(V a, V b) {
    if constexpr (R != ops::reduction::maximum)
      return a + b;
    else
      return math::maximum(a, b);  // a NaN wins
  }

  VOLUTE_INLINE static T apply_scalar(T a, T b) {
    if constexpr (R != ops::reduction::maximum)
      return a + b;
    else
      return b > a || b != b ? b : a;
  }

  template <class V>
  VOLUTE_INLINE static T across(V v) {
    if constexpr (R != ops::reduction::maximum)
      return simd::reduce_add(v);
    else {
      alignas(64) T lane[simd::lanes<V>];
      v.store_aligned(lane);
      T best = lane[0];
      for (int k = 1; k < simd::lanes<V>; ++k) best = apply_scalar(best, lane[k]);
      return best;
    }
  }
};

/// (value + lost) / count, rounded once; the compensation is NaN once the sum is infinite, and then has nothing to say.
template <class T>
T quotient(T value, T lost, T count) {
  if (!(lost == lost)) lost = 0;
  const T q = value / count;
  return q - q == 0 ? q + (std::fma(-q, count, value) + lost) / count : q;
}

/// True where floats are totalled in vectors of doubles.
template <class V>
inline constexpr bool totals_in_double = sizeof(typename V::value_type) == 4 && simd::has_width<double, simd::lanes<V> / 2>;

/// The second level of a reduction: vectors that each hold the result of a block. `lanes` and `across` divide a mean's sum by `count`.
/// Sums in the element type are compensated (TwoSum), so that the error does not grow with the number of blocks.
template <ops::reduction R, class V, bool InDouble = R != ops::reduction::maximum&& totals_in_double<V>>
struct total {
  using T = typename V::value_type;
  V value = V(T(0)), lost = V(T(0));

  VOLUTE_INLINE void add(V x) {
    const V s = value + x;
    const V seen = s - value;
    lost = lost + ((value - (s - seen)) + (x - seen));
    value = s;
  }
  VOLUTE_INLINE void add(const total& other) {
    add(other.value);
    lost = lost + other.lost;
  }
  VOLUTE_INLINE V result() const { return xsimd::select(lost == lost, value + lost, value); }
  V lanes(double count) const {
    if constexpr (R != ops::reduction::mean) return result();
    alignas(64) T v[simd::lanes<V>], l[simd::lanes<V>];
    value.store_aligned(v), lost.store_aligned(l);
    for (int k = 0; k < simd::lanes<V>; ++k) v[k] = quotient(v[k], l[k], static_cast<T>(count));
    return V::load_aligned(v);
  }
  T across(double count) const {
    if constexpr (R != ops::reduction::mean) return simd::reduce_add(result());
    alignas(64) T v[simd::lanes<V>], l[simd::lanes<V>];
    value.store_aligned(v), lost.store_aligned(l);
    T s = v[0], c = l[0];
    for (int k = 1; k < simd::lanes<V>; ++k) {
      const T t = s + v[k], seen = t - s;
      c += ((s - (t - seen)) + (v[k] - seen)) + l[k];
      s = t;
    }
    return quotient(s, c, static_cast<T>(count));
  }
};

template <class V>
struct total<ops::reduction::maximum, V, false> {
  using T = typename V::value_type;
  V value = V(combine<ops::reduction::maximum, T>::identity);

  VOLUTE_INLINE void add(V x) { value = combine<ops::reduction::maximum, T>::apply(value, x); }
  VOLUTE_INLINE void add(const total& other) { add(other.value); }
  VOLUTE_INLINE V lanes(double) const { return value; }
  VOLUTE_INLINE T across(double) const { return combine<ops::reduction::maximum, T>::across(value); }
};

template <ops::reduction R, class V>
struct total<R, V, true> {
  using T = typename V::value_type;
  using D = simd::vec<double, simd::lanes<V> / 2>;
  D low = D(0.0), high = D(0.0);

  VOLUTE_INLINE void add(V x) {
    D a, b;
    simd::widen(x, a, b);
    low = low + a, high = high + b;
  }
  VOLUTE_INLINE void add(const total& other) { low = low + other.low, high = high + other.high; }
  VOLUTE_INLINE V lanes(double count) const {
    if constexpr (R == ops::reduction::mean)
      return simd::narrow<V>(low / D(count), high / D(count));
    else
      return simd::narrow<V>(low, high);
  }
  VOLUTE_INLINE T across(double count) const {
    const double sum = simd::reduce_add(low + high);
    return static_cast<T>(R == ops::reduction::mean ? sum / count : sum);
  }
};

/// A sum of up to four terms, one after the other, that is exact where all are equal: every second one in each of two sums. Of three terms
/// these leave 1 and 2, which only the total can add without a loss.
template <ops::reduction R, class V>
struct block {
  V even = V(combine<R, typename V::value_type>::identity), odd = even;

  VOLUTE_INLINE void add(V x) {
    const V s = combine<R, typename V::value_type>::apply(even, x);
    even = odd, odd = s;
  }
  /// The sum of one, two or four terms.
  VOLUTE_INLINE V whole() const { return combine<R, typename V::value_type>::apply(even, odd); }
  VOLUTE_INLINE void to(total<R, V>& sum) const { sum.add(even), sum.add(odd); }
};
inline constexpr std::int64_t terms_per_block = 4;

/// Lanes 0 .. n-1 of v; the others become the identity.
template <ops::reduction R, class V>
VOLUTE_INLINE V first_lanes(V v, int n) {
  using T = typename V::value_type;
  alignas(64) static constexpr auto number = [] {
    struct {
      T at[simd::lanes<V>];
    } a{};
    for (int k = 0; k < simd::lanes<V>; ++k) a.at[k] = static_cast<T>(k);
    return a;
  }();
  return xsimd::select(V::load_aligned(number.at) < V(static_cast<T>(n)), v, V(combine<R, T>::identity));
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
