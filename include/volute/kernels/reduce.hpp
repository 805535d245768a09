// Reductions: the sum or the maximum of a fused scalar program over some axes of a loop nest. The order of additions depends on
// the nest alone, so that a result has the same bits however many threads share the work.
#pragma once

#include <volute/kernels/walk.hpp>

#include <cstdint>
#include <limits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// How two partial results become one, on vectors and numbers.
template <ops::reduction R, class T>
struct combine {
  static constexpr T identity = R == ops::reduction::sum ? T(0) : -std::numeric_limits<T>::infinity();

  template <class V>
  VOLUTE_INLINE static V apply(V a, V b) {
    if constexpr (R == ops::reduction::sum) return a + b;
    else return math::maximum(a, b);  // a NaN wins
  }

  VOLUTE_INLINE static T apply_scalar(T a, T b) {
    if constexpr (R == ops::reduction::sum) return a + b;
    else return b > a || b != b ? b : a;
  }

  template <class V>
  VOLUTE_INLINE static T across(V v) {
    if constexpr (R == ops::reduction::sum) return simd::reduce_add(v);
    else {
      alignas(64) T lane[simd::lanes<V>];
      v.store_aligned(lane);
      T best = lane[0];
      for (int k = 1; k < simd::lanes<V>; ++k) best = apply_scalar(best, lane[k]);
      return best;
    }
  }
};

/// The second level of a reduction: vectors that each hold the result of a block. Sums are compensated (TwoSum), so that the
/// error does not grow with the number of blocks; 10^7 numbers are 2,400 blocks.
template <ops::reduction R, class V>
struct total {
  using T = typename V::value_type;
  V value = V(combine<R, T>::identity);
  V lost = V(T(0));

  VOLUTE_INLINE void add(V x) {
    if constexpr (R == ops::reduction::sum) {
      const V s = value + x;
      const V seen = s - value;
      lost = lost + ((value - (s - seen)) + (x - seen));
      value = s;
    } else {
      value = combine<R, T>::apply(value, x);
    }
  }

  /// The compensation is NaN once the sum is infinite; it then has nothing to say.
  VOLUTE_INLINE V result() const {
    if constexpr (R == ops::reduction::sum) return xsimd::select(lost == lost, value + lost, value);
    else return value;
  }
};

/// Sums more than this many terms one after the other in no lane.
inline constexpr std::int64_t terms_per_block = 64;

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

/// Adds one row of n elements to the sum: blocks of 64 terms in each lane of four accumulators.
template <ops::scalar_program P, ops::lanes L, ops::reduction R, class V, class T>
VOLUTE_INLINE void reduce_row(const row<T, P.inputs>& r, std::int64_t n, total<R, V>& sum) noexcept {
  using C = combine<R, T>;
  constexpr int width = simd::width<T>;
  std::int64_t j = 0;
  while (j + 4 * width <= n) {
    const std::int64_t left = (n - j) / (4 * width);
    const std::int64_t end = j + (left < terms_per_block ? left : terms_per_block) * 4 * width;
    V a[4];
    unroll<4>([&](auto u) __attribute__((always_inline)) { a[u] = V(C::identity); });
    for (; j < end; j += 4 * width)
      unroll<4>([&](auto u) __attribute__((always_inline)) { a[u] = C::apply(a[u], program_at<P, L, V>(r, j + u * width)); });
    sum.add(C::apply(C::apply(a[0], a[1]), C::apply(a[2], a[3])));
  }
  V rest(C::identity);
  for (; j + width <= n; j += width) rest = C::apply(rest, program_at<P, L, V>(r, j));
  if (j < n) {
    const int left = static_cast<int>(n - j);
    rest = C::apply(rest, first_lanes<R>(program_at_partial<P, L, V>(r, j, left), left));
  }
  sum.add(rest);
}

/// The innermost axis is reduced: out[kept position] = reduction of program(in...) over the axes from nest.kept on.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R>
void reduce_inner(const ops::loop_nest& nest, const T* const* in, T* out) noexcept {
  using V = simd::vec<T>;
  constexpr int inputs = P.inputs;
  const bool any = nest.rank > nest.kept;
  const int last = any ? nest.rank - 1 : nest.kept;
  const std::int64_t n = any ? nest.extent[last] : 1;
  row<T, inputs> r;
  for (int i = 0; i < inputs; ++i) r.step[i] = any ? nest.stride[i][last] : 0;
  const std::int64_t all_rows = positions(nest, nest.kept, last);
  const bool gather = n <= short_row<T> && all_rows > 1;

  odometer<inputs> kept(nest, 0, nest.kept);
  do {
    total<R, V> sum;
    const T* base[inputs];
    for (int i = 0; i < inputs; ++i) base[i] = in[i] + kept.offset[i];
    odometer<inputs> at(nest, nest.kept, last);
    if (!gather) {
      do {
        for (int i = 0; i < inputs; ++i) r.p[i] = base[i] + at.offset[i];
        reduce_row<P, L, R>(r, n, sum);
      } while (at.next());
    } else {
      constexpr int width = simd::width<T>;
      alignas(64) T buffer[inputs][gathered] = {};
      for (int i = 0; i < inputs; ++i) r.p[i] = buffer[i];
      const std::int64_t most = gathered / n;
      for (std::int64_t rows = all_rows; rows > 0;) {
        const std::int64_t some = rows < most ? rows : most;
        gather_rows<T, inputs>(base, at, r.step, n, some, buffer);
        V part(combine<R, T>::identity);
        for (std::int64_t j = 0, size = some * n; j < size; j += width) {
          const std::int64_t left = size - j;
          const V v = program_at<P, all_contiguous, V>(r, j);
          part = combine<R, T>::apply(part, left >= width ? v : first_lanes<R>(v, static_cast<int>(left)));
        }
        sum.add(part);
        rows -= some;
      }
    }
    *out++ = combine<R, T>::across(sum.result());
  } while (kept.next());
}

/// Reduces `Vectors` vectors of kept elements (or the first n lanes of one vector) over all reduced axes.
template <int Vectors, ops::scalar_program P, ops::lanes L, ops::reduction R, class T>
VOLUTE_INLINE void reduce_columns(const ops::loop_nest& nest, row<T, P.inputs> r, std::int64_t j, int n, T* out) noexcept {
  using V = simd::vec<T>;
  using C = combine<R, T>;
  constexpr int inputs = P.inputs, width = simd::width<T>;
  const bool any = nest.rank > nest.kept;
  const int last = any ? nest.rank - 1 : nest.kept;
  const std::int64_t terms = any ? nest.extent[last] : 1;
  std::int64_t step[inputs];
  for (int i = 0; i < inputs; ++i) step[i] = any ? nest.stride[i][last] : 0;

  total<R, V> sum[Vectors];
  V a[Vectors];
  unroll<Vectors>([&](auto u) __attribute__((always_inline)) { a[u] = V(C::identity); });
  std::int64_t room = terms_per_block;
  odometer<inputs> at(nest, nest.kept, last);
  do {
    row<T, inputs> q = r;
    for (int i = 0; i < inputs; ++i) q.p[i] += at.offset[i];
    for (std::int64_t t = 0; t < terms;) {
      const std::int64_t end = terms - t < room ? terms : t + room;
      room -= end - t;
      for (; t < end; ++t) {
        if (Vectors > 1 || n == width)
          unroll<Vectors>([&](auto u) __attribute__((always_inline)) { a[u] = C::apply(a[u], program_at<P, L, V>(q, j + u * width)); });
        else if constexpr (Vectors == 1)
          a[0] = C::apply(a[0], program_at_partial<P, L, V>(q, j, n));
        for (int i = 0; i < inputs; ++i) q.p[i] += step[i];
      }
      if (room == 0) {
        unroll<Vectors>([&](auto u) __attribute__((always_inline)) {
          sum[u].add(a[u]);
          a[u] = V(C::identity);
        });
        room = terms_per_block;
      }
    }
  } while (at.next());
  unroll<Vectors>([&](auto u) __attribute__((always_inline)) {
    sum[u].add(a[u]);
    if (Vectors > 1 || n == width) simd::store(out + j + u * width, sum[u].result());
    else simd::store_partial(out + j, sum[u].result(), n);
  });
}

/// The innermost axis is kept: vectors of results, the reduced axes are walked for each of them.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R>
void reduce_outer(const ops::loop_nest& nest, const T* const* in, T* out) noexcept {
  constexpr int inputs = P.inputs, width = simd::width<T>;
  const int lane_axis = nest.kept > 0 ? nest.kept - 1 : 0;
  const std::int64_t n = nest.kept > 0 ? nest.extent[lane_axis] : 1;
  row<T, inputs> r;
  for (int i = 0; i < inputs; ++i) r.step[i] = nest.kept > 0 ? nest.stride[i][lane_axis] : 0;
  odometer<inputs> at(nest, 0, lane_axis);
  do {
    for (int i = 0; i < inputs; ++i) r.p[i] = in[i] + at.offset[i];
    std::int64_t j = 0;
    for (; j + 4 * width <= n; j += 4 * width) reduce_columns<4, P, L, R, T>(nest, r, j, width, out);
    for (; j < n; j += width) reduce_columns<1, P, L, R, T>(nest, r, j, static_cast<int>(n - j < width ? n - j : width), out);
    out += n;
  } while (at.next());
}

/// out (dense over the first nest.kept axes) = reduction of program(in...) over the other axes. InnerReduced: the last axis of the
/// nest has the lanes L; otherwise the last kept axis has. kept == 0 gives one number. Extents are at least 1.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R, bool InnerReduced>
void reduce(const ops::loop_nest& nest, const T* const* in, T* out) noexcept {
  static_assert(P.inputs >= 1, "volute: a program without inputs is a fill");
  if constexpr (InnerReduced) reduce_inner<T, P, L, R>(nest, in, out);
  else reduce_outer<T, P, L, R>(nest, in, out);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
