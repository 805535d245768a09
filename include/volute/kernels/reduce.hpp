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
    if constexpr (R == ops::reduction::sum)
      return a + b;
    else
      return math::maximum(a, b);  // a NaN wins
  }

  VOLUTE_INLINE static T apply_scalar(T a, T b) {
    if constexpr (R == ops::reduction::sum)
      return a + b;
    else
      return b > a || b != b ? b : a;
  }

  template <class V>
  VOLUTE_INLINE static T across(V v) {
    if constexpr (R == ops::reduction::sum)
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

  /// Takes over the terms of another total.
  VOLUTE_INLINE void add(const total& other) {
    add(other.value);
    if constexpr (R == ops::reduction::sum) lost = lost + other.lost;
  }

  /// The compensation is NaN once the sum is infinite; it then has nothing to say.
  VOLUTE_INLINE V result() const {
    if constexpr (R == ops::reduction::sum)
      return xsimd::select(lost == lost, value + lost, value);
    else
      return value;
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

/// The terms of one kept position, whose inputs begin at `base`: columns [begin, end) of the reduced rows [first, last). The rows are
/// counted over the reduced axes but the last.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R>
total<R, simd::vec<T>> reduce_part(const ops::loop_nest& nest, const T* const* base, std::int64_t first, std::int64_t last,
                                   std::int64_t begin, std::int64_t end) noexcept {
  using V = simd::vec<T>;
  constexpr int inputs = P.inputs;
  const bool any = nest.rank > nest.kept;
  const int axis = any ? nest.rank - 1 : nest.kept;
  const std::int64_t n = any ? nest.extent[axis] : 1;
  row<T, inputs> r;
  for (int i = 0; i < inputs; ++i) r.step[i] = any ? nest.stride[i][axis] : 0;
  total<R, V> sum;
  odometer<inputs> at(nest, nest.kept, axis, first);
  if (n > short_row<T> || positions(nest, nest.kept, axis) == 1) {
    for (std::int64_t k = first; k < last; ++k, at.next()) {
      for (int i = 0; i < inputs; ++i) r.p[i] = base[i] + at.offset[i] + begin * r.step[i];
      reduce_row<P, L, R>(r, end - begin, sum);
    }
    return sum;
  }
  constexpr int width = simd::width<T>;
  alignas(64) T buffer[inputs][gathered] = {};
  for (int i = 0; i < inputs; ++i) r.p[i] = buffer[i];
  const std::int64_t most = gathered / n;
  for (std::int64_t rows = last - first; rows > 0;) {
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
  return sum;
}

/// As many short rows as a vector has lanes (or `some` of them), one after the other in `kept`: their results in one vector.
template <ops::scalar_program P, ops::lanes L, ops::reduction R, class T>
VOLUTE_INLINE void reduce_short(odometer<P.inputs>& kept, const T* const* in, row<T, P.inputs>& r, std::int64_t n, int some,
                                T* out) noexcept {
  using V = simd::vec<T>;
  using C = combine<R, T>;
  constexpr int width = simd::width<T>;
  V lanes[width];
  for (int i = 0; i < width; ++i) lanes[i] = V(C::identity);
  for (int i = 0; i < some; ++i, kept.next()) {
    for (int k = 0; k < P.inputs; ++k) r.p[k] = in[k] + kept.offset[k];
    std::int64_t j = 0;
    for (; j + width <= n; j += width) lanes[i] = C::apply(lanes[i], program_at<P, L, V>(r, j));
    if (j < n) {
      const int left = static_cast<int>(n - j);
      lanes[i] = C::apply(lanes[i], first_lanes<R>(program_at_partial<P, L, V>(r, j, left), left));
    }
  }
  const V result = simd::fold(
      lanes, [](V a, V b) __attribute__((always_inline)) { return C::apply(a, b); });
  if (some == width)
    simd::store(out, result);
  else
    simd::store_partial(out, result, some);
}

/// A reduction of many terms to few numbers is cut into this many parts, each with a total of its own, whether or not threads share them.
inline constexpr std::int64_t reduce_parts = 16;
inline constexpr std::int64_t few_results = 8;

/// The innermost axis is reduced: out[kept position] = reduction of program(in...) over the axes from nest.kept on.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R>
void reduce_inner(const ops::loop_nest& nest, const T* const* in, T* out, const team<T>& workers) noexcept {
  using V = simd::vec<T>;
  constexpr int inputs = P.inputs;
  const bool any = nest.rank > nest.kept;
  const int axis = any ? nest.rank - 1 : nest.kept;
  const std::int64_t n = any ? nest.extent[axis] : 1, rows = positions(nest, nest.kept, axis), results = positions(nest, 0, nest.kept);
  const double work = static_cast<double>(results * rows * n) * program_cost<T>(P);
  const auto number = [&](const odometer<inputs>& kept, std::int64_t first, std::int64_t last, std::int64_t begin,
                          std::int64_t end) noexcept {
    const T* base[inputs];
    for (int i = 0; i < inputs; ++i) base[i] = in[i] + kept.offset[i];
    return reduce_part<T, P, L, R>(nest, base, first, last, begin, end);
  };
  if (results < few_results && work >= worth_sharing) {
    total<R, V> part[few_results * reduce_parts];
    const bool by_rows = rows >= 4 * reduce_parts, gather = n <= short_row<T> && rows > 1;
    const std::int64_t unit = by_rows ? gather ? gathered / n : 1 : 4 * simd::width<T>, count = by_rows ? rows : n;
    const std::int64_t units = (count + unit - 1) / unit;
    share(workers, results * reduce_parts, [&](std::int64_t t, int) noexcept {
      const odometer<inputs> kept(nest, 0, nest.kept, t / reduce_parts);
      const std::int64_t k = t % reduce_parts, begin = units * k / reduce_parts * unit, stop = units * (k + 1) / reduce_parts * unit;
      const std::int64_t end = stop < count ? stop : count;
      if (begin < end) part[t] = by_rows ? number(kept, begin, end, 0, n) : number(kept, 0, rows, begin, end);
    });
    for (std::int64_t k = 0; k < results; ++k) {
      total<R, V> sum = part[k * reduce_parts];
      for (std::int64_t t = 1; t < reduce_parts; ++t) sum.add(part[k * reduce_parts + t]);
      out[k] = combine<R, T>::across(sum.result());
    }
    return;
  }
  constexpr int width = simd::width<T>;
  share_ranges(workers, results, width, workers.alone() ? 1 : parts_of(work), [&](std::int64_t begin, std::int64_t end, int) noexcept {
    odometer<inputs> kept(nest, 0, nest.kept, begin);
    if (any && rows == 1 && n <= 4 * width) {
      row<T, inputs> r;
      for (int i = 0; i < inputs; ++i) r.step[i] = nest.stride[i][axis];
      for (std::int64_t k = begin; k < end; k += width) {
        const int some = static_cast<int>(end - k < width ? end - k : width);
        reduce_short<P, L, R>(kept, in, r, n, some, out + k);
      }
      return;
    }
    for (std::int64_t k = begin; k < end; ++k, kept.next()) out[k] = combine<R, T>::across(number(kept, 0, rows, 0, n).result());
  });
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
    if (Vectors > 1 || n == width)
      simd::store(out + j + u * width, sum[u].result());
    else
      simd::store_partial(out + j, sum[u].result(), n);
  });
}

/// The innermost axis is kept: vectors of results, the reduced axes are walked for each of them. Threads share blocks of four vectors.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R>
void reduce_outer(const ops::loop_nest& nest, const T* const* in, T* out, const team<T>& workers) noexcept {
  constexpr int inputs = P.inputs, width = simd::width<T>;
  const int lane_axis = nest.kept > 0 ? nest.kept - 1 : 0;
  const std::int64_t n = nest.kept > 0 ? nest.extent[lane_axis] : 1, blocks = (n + 4 * width - 1) / (4 * width);
  const std::int64_t rows = positions(nest, 0, lane_axis);
  const std::int64_t parts =
      workers.alone() ? 1 : parts_of(static_cast<double>(rows * n * positions(nest, nest.kept, nest.rank)) * program_cost<T>(P));
  share_ranges(workers, rows * blocks, 1, parts, [&](std::int64_t begin, std::int64_t end, int) noexcept {
    row<T, inputs> r;
    for (int i = 0; i < inputs; ++i) r.step[i] = nest.kept > 0 ? nest.stride[i][lane_axis] : 0;
    std::int64_t k = begin / blocks, block = begin % blocks;
    odometer<inputs> at(nest, 0, lane_axis, k);
    for (std::int64_t t = begin; t < end; ++t) {
      for (int i = 0; i < inputs; ++i) r.p[i] = in[i] + at.offset[i];
      std::int64_t j = block * 4 * width;
      if (j + 4 * width <= n)
        reduce_columns<4, P, L, R, T>(nest, r, j, width, out + k * n);
      else
        for (; j < n; j += width) reduce_columns<1, P, L, R, T>(nest, r, j, static_cast<int>(n - j < width ? n - j : width), out + k * n);
      if (++block == blocks) block = 0, ++k, at.next();
    }
  });
}

/// out (dense over the first nest.kept axes) = reduction of program(in...) over the other axes. InnerReduced: the last axis of the
/// nest has the lanes L; otherwise the last kept axis has. kept == 0 gives one number. Extents are at least 1.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R, bool InnerReduced>
void reduce(const ops::loop_nest& nest, const T* const* in, T* out, const team<T>& workers = {}) noexcept {
  static_assert(P.inputs >= 1, "volute: a program without inputs is a fill");
  if constexpr (InnerReduced)
    reduce_inner<T, P, L, R>(nest, in, out, workers);
  else
    reduce_outer<T, P, L, R>(nest, in, out, workers);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
