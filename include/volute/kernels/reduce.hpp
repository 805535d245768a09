// Reductions: the sum, the mean or the maximum of a fused scalar program over some axes of a loop nest. The order of additions depends on
// the nest alone, so that a result has the same bits however many threads share the work.
//
// Sums are made in two levels. Blocks of 16 terms in each lane are summed in the element type as a tree whose branches have 1, 2 or 4
// terms each, so that a sum of equal terms is exact; what the blocks give is summed in double precision (double elements: TwoSum), and
// divided there where a mean is wanted. So the mean of a constant is that constant, for any number of terms.
#pragma once

#include <volute/kernels/total.hpp>
#include <volute/kernels/walk.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Adds one row of n elements.
template <ops::scalar_program P, ops::lanes L, ops::reduction R, class V, class T>
VOLUTE_INLINE void reduce_row(const row<T, P.inputs>& r, std::int64_t n, total<R, V>& sum) noexcept {
  using C = combine<R, T>;
  constexpr int width = simd::width<T>;
  std::int64_t j = 0;
  if constexpr (short_program(P)) {
    while (j + 4 * width <= n) {
      block<R, V> b;
      std::int64_t t = 0;
      for (; t < terms_per_block && j + 4 * width <= n; ++t, j += 4 * width) {
        V a[4];
        unroll<4>([&](auto u) VOLUTE_ALWAYS_INLINE { a[u] = program_at<P, L, V>(r, j + u * width); });
        b.add(C::apply(C::apply(a[0], a[1]), C::apply(a[2], a[3])));
      }
      if (t == terms_per_block)
        sum.add(b.whole());
      else
        b.to(sum);
    }
    for (; j + width <= n; j += width) sum.add(program_at<P, L, V>(r, j));
    if (j < n) {
      const int left = static_cast<int>(n - j);
      sum.add(first_lanes<R>(program_at_partial<P, L, V>(r, j, left), left));
    }
  } else {
    for (; j < n; j += width) {
      const V v = program_at_most<P, L, V>(r, j, n - j);
      sum.add(n - j >= width ? v : first_lanes<R>(v, static_cast<int>(n - j)));
    }
  }
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
    for (std::int64_t j = 0, size = some * n; j < size; j += width) {
      const std::int64_t left = size - j;
      const V v = program_at<P, all_contiguous, V>(r, j);
      sum.add(left >= width ? v : first_lanes<R>(v, static_cast<int>(left)));
    }
    rows -= some;
  }
  return sum;
}

/// As many short rows as W has lanes (or `some` of them), one after the other in `kept`: their results in one W. Rows have at most four
/// vectors; `enter` turns a vector of partial results into a W.
template <class W, ops::scalar_program P, ops::lanes L, ops::reduction R, class T, class F>
VOLUTE_INLINE W reduce_short(odometer<P.inputs>& kept, const T* const* in, row<T, P.inputs>& r, std::int64_t n, int some,
                             F enter) noexcept {
  using V = simd::vec<T>;
  using C = combine<R, typename W::value_type>;
  constexpr int width = simd::width<T>;
  W lanes[simd::lanes<W>];
  for (int i = 0; i < simd::lanes<W>; ++i) lanes[i] = W(C::identity);
  for (int i = 0; i < simd::lanes<W> && i < some; ++i, kept.next()) {
    for (int k = 0; k < P.inputs; ++k) r.p[k] = in[k] + kept.offset[k];
    block<R, V> b;
    V end(combine<R, T>::identity);
    for (std::int64_t j = 0; j < n; j += width) {
      const V v = program_at_most<P, L, V>(r, j, n - j);
      if (n - j >= width)
        b.add(v);
      else
        end = first_lanes<R>(v, static_cast<int>(n - j));
    }
    lanes[i] = n / width == 3 ? C::apply(enter(b.even), enter(b.odd)) : enter(b.whole());
    if (n % width != 0) lanes[i] = C::apply(lanes[i], enter(end));
  }
  return simd::fold(lanes, [](W a, W b) VOLUTE_ALWAYS_INLINE { return C::apply(a, b); });
}

/// The results of `some` short rows, at most as many as a vector has lanes. Of 1, 2 or 4 whole vectors each sum on the way is one of 1, 2,
/// 4, ... terms, and floats will do; so they do for a sum of so few terms that is no mean.
template <ops::scalar_program P, ops::lanes L, ops::reduction R, class T>
VOLUTE_INLINE simd::vec<T> reduce_short(odometer<P.inputs>& kept, const T* const* in, row<T, P.inputs>& r, std::int64_t n, int some,
                                        double count) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  if constexpr (R == ops::reduction::mean && totals_in_double<V>) {
    if (n % width != 0 || n == 3 * width) {
      using D = simd::vec<double, width / 2>;
      const auto wide = [](V one) VOLUTE_ALWAYS_INLINE {
        D low, high;
        simd::widen(one, low, high);
        return low + high;
      };
      D half[2];
      for (int h = 0; h < 2; ++h) half[h] = reduce_short<D, P, L, R>(kept, in, r, n, some - h * width / 2, wide) / D(count);
      return simd::narrow<V>(half[0], half[1]);
    }
  }
  const V sum = reduce_short<V, P, L, R>(kept, in, r, n, some, [](V one) VOLUTE_ALWAYS_INLINE { return one; });
  if constexpr (R == ops::reduction::mean)
    return sum / V(static_cast<T>(count));
  else
    return sum;
}

/// A reduction of many terms to few numbers is cut into this many parts, each with a total of its own, whether or not threads share them.
inline constexpr std::int64_t reduce_parts = 16;
inline constexpr std::int64_t few_results = 8;

/// The innermost axis is reduced: out[kept position] = reduction of program(in...) over the axes from nest.kept on.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R>
void reduce_inner(const ops::loop_nest& nest, const T* const* in, T* out, const team<T>& workers, double count) noexcept {
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
    const std::int64_t unit = by_rows ? gather ? gathered / n : 1 : 4 * simd::width<T>, pieces = by_rows ? rows : n;
    const std::int64_t units = (pieces + unit - 1) / unit;
    share(workers, results * reduce_parts, [&](std::int64_t t, int) noexcept {
      const odometer<inputs> kept(nest, 0, nest.kept, t / reduce_parts);
      const std::int64_t k = t % reduce_parts, begin = units * k / reduce_parts * unit, stop = units * (k + 1) / reduce_parts * unit;
      const std::int64_t end = stop < pieces ? stop : pieces;
      if (begin < end) part[t] = by_rows ? number(kept, begin, end, 0, n) : number(kept, 0, rows, begin, end);
    });
    for (std::int64_t k = 0; k < results; ++k) {
      total<R, V> sum = part[k * reduce_parts];
      for (std::int64_t t = 1; t < reduce_parts; ++t) sum.add(part[k * reduce_parts + t]);
      out[k] = sum.across(count);
    }
    return;
  }
  constexpr int width = simd::width<T>;
  share_ranges(workers, results, width, workers.alone() ? 1 : parts_of(work), [&](std::int64_t begin, std::int64_t end, int) noexcept {
    odometer<inputs> kept(nest, 0, nest.kept, begin);
    if (any && rows == 1 && n <= 4 * width && (totals_in_double<V> || R != ops::reduction::mean)) {
      row<T, inputs> r;
      for (int i = 0; i < inputs; ++i) r.step[i] = nest.stride[i][axis];
      for (std::int64_t k = begin; k < end; k += width) {
        const int some = static_cast<int>(end - k < width ? end - k : width);
        const V result = reduce_short<P, L, R>(kept, in, r, n, some, count);
        if (some == width)
          simd::store(out + k, result);
        else
          simd::store_partial(out + k, result, some);
      }
      return;
    }
    for (std::int64_t k = begin; k < end; ++k, kept.next()) out[k] = number(kept, 0, rows, 0, n).across(count);
  });
}

/// Reduces `Vectors` vectors of kept elements (or the first n lanes of one vector) over all reduced axes.
template <int Vectors, ops::scalar_program P, ops::lanes L, ops::reduction R, class T>
VOLUTE_INLINE void reduce_columns(const ops::loop_nest& nest, row<T, P.inputs> r, std::int64_t j, int n, double count, T* out) noexcept {
  using V = simd::vec<T>;
  using C = combine<R, T>;
  constexpr int inputs = P.inputs, width = simd::width<T>;
  const bool any = nest.rank > nest.kept;
  const int last = any ? nest.rank - 1 : nest.kept;
  const std::int64_t terms = any ? nest.extent[last] : 1;
  std::int64_t step[inputs];
  for (int i = 0; i < inputs; ++i) step[i] = any ? nest.stride[i][last] : 0;

  // Rows in blocks of four, and those in blocks of four; of a short program with several vectors four rows at a time.
  total<R, V> sum[Vectors];
  block<R, V> few[Vectors], many[Vectors];
  std::int64_t rows = 0, blocks = 0;
  bool totalled = false;
  const auto value = [&](const row<T, inputs>& q, auto u) VOLUTE_ALWAYS_INLINE {
    if (Vectors > 1 || n == width) return program_at<P, L, V>(q, j + u * width);
    return program_at_partial<P, L, V>(q, j, n);
  };
  const auto down = [&](row<T, inputs>& q) VOLUTE_ALWAYS_INLINE {
    for (int i = 0; i < inputs; ++i) q.p[i] += step[i];
  };
  odometer<inputs> at(nest, nest.kept, last);
  do {
    row<T, inputs> q = r;
    for (int i = 0; i < inputs; ++i) q.p[i] += at.offset[i];
    for (std::int64_t t = 0; t < terms;) {
      if (Vectors > 1 && short_program(P) && rows == 0 && t + 4 <= terms) {
        V a[4][Vectors];
        unroll<4>([&](auto k) VOLUTE_ALWAYS_INLINE {
          unroll<Vectors>([&](auto u) VOLUTE_ALWAYS_INLINE { a[k][u] = value(q, u); });
          down(q);
        });
        unroll<Vectors>([&](auto u)
                            VOLUTE_ALWAYS_INLINE { many[u].add(C::apply(C::apply(a[0][u], a[1][u]), C::apply(a[2][u], a[3][u]))); });
        t += 4, ++blocks;
      } else {
        unroll<Vectors>([&](auto u) VOLUTE_ALWAYS_INLINE { few[u].add(value(q, u)); });
        down(q);
        ++t;
        if (++rows == 4) {
          unroll<Vectors>([&](auto u) VOLUTE_ALWAYS_INLINE {
            many[u].add(few[u].whole());
            few[u] = {};
          });
          rows = 0, ++blocks;
        }
      }
      if (blocks == 4) {
        unroll<Vectors>([&](auto u) VOLUTE_ALWAYS_INLINE {
          sum[u].add(many[u].whole());
          many[u] = {};
        });
        blocks = 0, totalled = true;
      }
    }
  } while (at.next());
  unroll<Vectors>([&](auto u) VOLUTE_ALWAYS_INLINE {
    V result;
    if (R != ops::reduction::mean && !totalled) {  // so few terms need no total
      result = C::apply(many[u].whole(), few[u].whole());
    } else {
      many[u].to(sum[u]), few[u].to(sum[u]);
      result = sum[u].lanes(count);
    }
    if (Vectors > 1 || n == width)
      simd::store(out + j + u * width, result);
    else
      simd::store_partial(out + j, result, n);
  });
}

/// The innermost axis is kept: vectors of results, the reduced axes are walked for each of them. Threads share blocks of four vectors.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R>
void reduce_outer(const ops::loop_nest& nest, const T* const* in, T* out, const team<T>& workers, double count) noexcept {
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
        reduce_columns<4, P, L, R, T>(nest, r, j, width, count, out + k * n);
      else
        for (; j < n; j += width)
          reduce_columns<1, P, L, R, T>(nest, r, j, static_cast<int>(n - j < width ? n - j : width), count, out + k * n);
      if (++block == blocks) block = 0, ++k, at.next();
    }
  });
}

/// out (dense over the first nest.kept axes) = reduction of program(in...) over the other axes. InnerReduced: the last axis of the
/// nest has the lanes L; otherwise the last kept axis has. kept == 0 gives one number. Extents are at least 1. A mean is a sum divided by
/// `count`, the number of its terms.
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R, bool InnerReduced>
void reduce(const ops::loop_nest& nest, const T* const* in, T* out, const team<T>& workers = {}, double count = 1) noexcept {
  static_assert(P.inputs >= 1, "volute: a program without inputs is a fill");
  if constexpr (InnerReduced)
    reduce_inner<T, P, L, R>(nest, in, out, workers, count);
  else
    reduce_outer<T, P, L, R>(nest, in, out, workers, count);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
