// Max pooling over windows that take neighbouring pairs of columns, none of which is missing: the usual 2 x 2 x 2. Vectors hold whole
// windows, and nothing passes through a buffer: 3 to 11 times as fast as the general loops of pooling.hpp.
#pragma once

#include <volute/kernels/copy.hpp>
#include <volute/kernels/math.hpp>
#include <volute/ops/pooling.hpp>

#include <cstdint>
#include <limits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// The taps of one window along one axis that fall on the input: first, first + step, ...; and the divisor's count along this axis.
struct pool_taps {
  std::int64_t first = 0, taps = 0, step = 1, counted = 0;
};

inline pool_taps taps_of(const ops::pool_geometry& g, int axis, std::int64_t o) noexcept {
  const std::int64_t in = g.in[axis];
  if (g.adaptive) {
    const std::int64_t first = o * in / g.out[axis], end = ((o + 1) * in + g.out[axis] - 1) / g.out[axis];
    return {first, end - first, 1, end - first};
  }
  const std::int64_t k = g.kernel[axis], d = g.dilation[axis], start = o * g.stride[axis] - g.lo[axis], reach = start + (k - 1) * d;
  if (start >= 0 && reach < in) return {start, k, d, k};
  const auto over = [d](std::int64_t n) { return d == 1 ? n : n / d; };  // a division costs more than a window of 2 taps
  const std::int64_t skip = start < 0 ? over(-start + d - 1) : 0;
  const std::int64_t end = start >= in ? 0 : reach < in ? k : over(in - 1 - start) + 1;
  const std::int64_t padded = in + g.hi[axis], on_padded = reach < padded ? k : start >= padded ? 0 : over(padded - 1 - start) + 1;
  const std::int64_t taps = end > skip ? end - skip : 0;
  return {start + skip * d, taps, d, g.count_include_pad ? on_padded : taps};
}

constexpr bool pool_in_pairs(const ops::pool_geometry& g) noexcept {
  return !g.adaptive && g.kernel[2] == 2 && g.stride[2] == 2 && g.dilation[2] == 1 && g.lo[2] == 0 && 2 * g.out[2] <= g.in[2];
}
/// Windows do not overlap along depth and height.
constexpr bool pool_apart(const ops::pool_geometry& g) noexcept {
  return g.stride[0] > (g.kernel[0] - 1) * g.dilation[0] && g.stride[1] > (g.kernel[1] - 1) * g.dilation[1];
}

/// The rows of input that a row of windows reads; `second`: where the second half of a vector's columns lies, seen from the first.
struct pool_rows {
  std::int64_t first;                     // where they begin, in the plane
  std::int64_t planes, rows, plane, row;  // how many, and how far apart
  std::int64_t second;

  /// f(offset from `first`) for each of them, in scan order. Four: two rows in each of two planes.
  template <bool Four, class F>
  VOLUTE_INLINE void each(F&& f) const noexcept {
    if constexpr (Four) {
      f(std::int64_t{0}), f(row), f(plane), f(plane + row);
    } else {
      for (std::int64_t d = 0; d < planes; ++d)
        for (std::int64_t h = 0; h < rows; ++h) f(d * plane + h * row);
    }
  }
};

/// Calls f(output row, rows of input) for every row of windows of one plane of the batch, or every second one, if a vector holds two.
template <int Rows, int Width, class F>
VOLUTE_INLINE void for_each_pool_row(const ops::pool_geometry& g, F&& f) noexcept {
  const std::int64_t second = Rows == 2 ? g.stride[1] * g.in[2] : Width;
  std::int64_t to = 0;
  for (std::int64_t od = 0; od < g.out[0]; ++od) {
    const pool_taps d = taps_of(g, 0, od);
    for (std::int64_t oh = 0; oh < g.out[1]; oh += Rows, to += Rows * g.out[2]) {
      const pool_taps h = taps_of(g, 1, oh);
      f(to, pool_rows{(d.first * g.in[1] + h.first) * g.in[2], d.taps, h.taps, d.step * g.in[1] * g.in[2], h.step * g.in[2], second});
    }
  }
}

/// The columns of n windows, at most a vector of them; b is set only where they do not fit a.
template <class V, class T>
VOLUTE_INLINE void load_pairs(const T* p, std::int64_t second, int n, V& a, V& b) noexcept {
  constexpr int width = simd::lanes<V>;
  a = 2 * n >= width ? simd::load<V>(p) : simd::load_partial<V>(p, 2 * n);
  if (2 * n > width) b = n == width ? simd::load<V>(p + second) : simd::load_partial<V>(p + width, 2 * n - width);
}

template <class V, bool Four, class T>
VOLUTE_INLINE V maximum_of_pairs(const pool_rows& from, const T* p, int n) noexcept {
  V first(-std::numeric_limits<T>::infinity()), second = first;
  from.each<Four>([&](std::int64_t at) VOLUTE_ALWAYS_INLINE {
    V a, b;
    load_pairs(p + at, from.second, n, a, b);
    first = math::maximum(first, a);  // a NaN wins
    if (2 * n > simd::lanes<V>) second = math::maximum(second, b);
  });
  return math::maximum(simd::unzip<0>(first, second), simd::unzip<1>(first, second));
}

/// Windows [o, o + n) of a row: each element of a window becomes its gradient or 0.
template <class V, bool Four, class T>
VOLUTE_INLINE void scatter_in_pairs(const pool_rows& from, const T* p, const T* grad, T* to, int n) noexcept {
  constexpr int width = simd::lanes<V>;
  const V best = maximum_of_pairs<V, Four>(from, p, n);
  if (xsimd::any(xsimd::isnan(best))) {  // of several the last, as PyTorch
    for (int i = 0; i < n; ++i) {
      const std::int64_t column = 2 * i < width ? 2 * i : 2 * i - width + from.second;
      std::int64_t place = -1;
      T top = -std::numeric_limits<T>::infinity();
      from.each<Four>([&](std::int64_t at) {
        for (std::int64_t k = at + column; k < at + column + 2; ++k) {
          if (place < 0 || p[k] > top || p[k] != p[k]) top = p[k], place = k;
          to[k] = T(0);
        }
      });
      if (place >= 0) to[place] = grad[i];
    }
    return;
  }
  V rest = n == width ? simd::load<V>(grad) : simd::load_partial<V>(grad, n);
  const auto take = [&](V v) VOLUTE_ALWAYS_INLINE {  // the first of equal ones takes it
    const auto hit = v == best;
    const V mine = xsimd::select(hit, rest, V(T(0)));
    rest = xsimd::select(hit, V(T(0)), rest);
    return mine;
  };
  from.each<Four>([&](std::int64_t at) VOLUTE_ALWAYS_INLINE {
    V a, b(T(0));
    load_pairs(p + at, from.second, n, a, b);
    const V even = take(simd::unzip<0>(a, b)), odd = take(simd::unzip<1>(a, b));
    if (2 * n >= width)
      simd::store(to + at, simd::zip_low(even, odd));
    else
      simd::store_partial(to + at, simd::zip_low(even, odd), 2 * n);
    if (n == width)
      simd::store(to + at + from.second, simd::zip_high(even, odd));
    else if (2 * n > width)
      simd::store_partial(to + at + width, simd::zip_high(even, odd), 2 * n - width);
  });
}

/// How the rows of a geometry are walked: vectors of how many lanes, how many rows in one, and whether windows are 2 x 2 x 2.
struct pool_walk {
  int width = 0, rows = 1;
  bool four = false;
};
/// The widest vectors that rows of 2 x 2 x 2 windows fill, so that there is no rest: masked stores are slow. Of rows of half a vector, two
/// are taken together. Other windows have the widest vector.
template <class T>
constexpr pool_walk walk_of(const ops::pool_geometry& g) {
  constexpr int width = simd::width<T>;
  bool four = true;  // and every row of every window is there
  for (int a = 0; a < 2; ++a) four = four && g.kernel[a] == 2 && g.lo[a] == 0 && (g.out[a] - 1) * g.stride[a] + g.dilation[a] < g.in[a];
  if (!four) return {width, 1, false};
  const std::int64_t n = g.out[2];
  const bool even = g.out[1] % 2 == 0;
  if (even && n == width / 2) return {width, 2, true};
  if (width == 16 && simd::has_width<T, 8>) {
    if (even && n == 4) return {8, 2, true};
    if (n % 16 == 8) return {8, 1, true};
  }
  if (width >= 8 && simd::has_width<T, 4> && n % 8 == 4) return {4, 1, true};
  return {width, 1, true};
}

/// out = the maximum of every window. Compiled once for each walk: geometries share it.
template <class T, pool_walk W>
__attribute__((noinline)) void maximum_pairs(const ops::pool_geometry& g, const T* x, T* out) noexcept {
  using V = simd::vec<T, W.width>;
  const std::int64_t columns = W.rows * g.out[2];
  for (std::int64_t i = 0; i < g.planes; ++i, x += g.in[0] * g.in[1] * g.in[2], out += g.out[0] * g.out[1] * g.out[2])
    for_each_pool_row<W.rows, W.width>(g, [&](std::int64_t to, const pool_rows& from) VOLUTE_ALWAYS_INLINE {
      std::int64_t o = 0;
      for (; o + W.width <= columns; o += W.width)
        simd::store(out + to + o, maximum_of_pairs<V, W.four>(from, x + from.first + 2 * o, W.width));
      if constexpr (W.width == simd::width<T> && W.rows == 1)
        if (const int n = static_cast<int>(columns % W.width); n > 0)
          simd::store_partial(out + to + o, maximum_of_pairs<V, W.four>(from, x + from.first + 2 * o, n), n);
    });
}

/// dx = the gradient at the maximum of every window and 0 elsewhere; windows do not overlap.
template <class T, pool_walk W>
__attribute__((noinline)) void scatter_pairs(const ops::pool_geometry& g, const T* x, const T* grad, T* dx) noexcept {
  using V = simd::vec<T, W.width>;
  bool all = true;  // every element is in a window
  for (int a = 0; a < 3; ++a) all = all && g.stride[a] == g.kernel[a] && g.lo[a] == 0 && g.in[a] == g.out[a] * g.kernel[a];
  const std::int64_t in = g.in[0] * g.in[1] * g.in[2], columns = W.rows * g.out[2];
  if (!all) fill(dx, g.planes * in, T(0));
  for (std::int64_t i = 0; i < g.planes; ++i, x += in, dx += in, grad += g.out[0] * g.out[1] * g.out[2])
    for_each_pool_row<W.rows, W.width>(g, [&](std::int64_t to, const pool_rows& from) VOLUTE_ALWAYS_INLINE {
      std::int64_t o = 0, at = from.first;
      for (; o + W.width <= columns; o += W.width, at += 2 * W.width)
        scatter_in_pairs<V, W.four>(from, x + at, grad + to + o, dx + at, W.width);
      if constexpr (W.width == simd::width<T> && W.rows == 1)
        if (const int n = static_cast<int>(columns % W.width); n > 0) scatter_in_pairs<V, W.four>(from, x + at, grad + to + o, dx + at, n);
    });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
