// Mean and variance of each channel of a volume in one pass over memory: what a norm asks for. Parts that stay in the first-level cache are
// read twice there, and put together by Chan, Golub and LeVeque's formula in double ("Updating formulae and a pairwise algorithm for
// computing sample variances", 1979), so that a large mean costs no digits, and a constant has its own mean and no variance. Two passes
// over 32 channels of 64^3 took 5.0 ms where one takes 2.7.
#pragma once

#include <volute/kernels/blocked_maps.hpp>
#include <volute/kernels/team.hpp>
#include <volute/kernels/total.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cmath>
#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Count, mean and sum of squared differences from it, of L channels.
template <int L>
struct moments {
  double count = 0, mean[L]{}, squares[L]{};

  VOLUTE_INLINE void add(double n, const double* of, const double* differences) {
    const double all = count + n, part = n / all, both = count * part;
    for (int k = 0; k < L; ++k) {
      const double step = of[k] - mean[k];
      mean[k] += step * part;
      squares[k] += differences[k] + step * step * both;
    }
    count = all;
  }
  VOLUTE_INLINE void add(const moments& other) {
    if (other.count > 0) add(other.count, other.mean, other.squares);
  }
};

/// Elements that are read twice: 16 KiB of floats.
inline constexpr std::int64_t moments_part = 4096;

/// `rows` rows of a vector of channels, n of which there are, added to `to`.
template <bool Full, class T, int L>
VOLUTE_INLINE void add_moments(const ops::volume_layout& l, const T* x, std::int64_t rows, int n, moments<L>& to) noexcept {
  using V = simd::vec<T, L>;
  const std::int64_t row = l.all_columns * l.block, columns = l.columns, step = l.block;
  const auto value = [&](const T* at) VOLUTE_ALWAYS_INLINE { return Full ? simd::load<V>(at) : simd::load_partial<V>(at, n); };
  const V first = value(x), count(static_cast<T>(rows * columns));
  V sum[4]{V(T(0)), V(T(0)), V(T(0)), V(T(0))}, square[4]{V(T(0)), V(T(0)), V(T(0)), V(T(0))};
  const auto each = [&](auto f) VOLUTE_ALWAYS_INLINE {  // f(which sum, where)
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* at = x + r * row;
      std::int64_t i = 0;
      for (; i + 4 <= columns; i += 4, at += 4 * step) unroll<4>([&](auto u) VOLUTE_ALWAYS_INLINE { f(u, at + u * step); });
      for (; i < columns; ++i, at += step) f(std::integral_constant<int, 0>{}, at);
    }
  };
  each([&](auto u, const T* at) VOLUTE_ALWAYS_INLINE { sum[u] = sum[u] + (value(at) - first); });
  const V near = first + ((sum[0] + sum[1]) + (sum[2] + sum[3])) / count;
  for (V& s : sum) s = V(T(0));
  each([&](auto u, const T* at) VOLUTE_ALWAYS_INLINE {  // and asks for the next part: memory would rest meanwhile
    simd::prefetch(at + rows * row);
    const V d = value(at) - near;
    sum[u] = sum[u] + d, square[u] = simd::fma(d, d, square[u]);
  });
  alignas(64) T around[L], left[L], squares[L];
  simd::store(around, near), simd::store(left, (sum[0] + sum[1]) + (sum[2] + sum[3]));
  simd::store(squares, (square[0] + square[1]) + (square[2] + square[3]));
  double mean[L], differences[L];
  const double terms = static_cast<double>(rows * columns);
  for (int k = 0; k < L; ++k) {
    const double rest = static_cast<double>(left[k]);
    mean[k] = static_cast<double>(around[k]) + rest / terms;
    differences[k] = static_cast<double>(squares[k]) - rest * rest / terms;
  }
  to.add(terms, mean, differences);
}

/// A run of n neighbouring elements, n <= moments_part, added to `to`.
template <class T>
VOLUTE_INLINE void add_moments(const T* x, std::int64_t n, moments<1>& to) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  const std::int64_t whole = n / (4 * width) * 4 * width;
  const T first = x[0];
  V sum[4]{V(T(0)), V(T(0)), V(T(0)), V(T(0))}, square[4]{V(T(0)), V(T(0)), V(T(0)), V(T(0))};
  for (std::int64_t i = 0; i < whole; i += 4 * width)
    unroll<4>([&](auto u) VOLUTE_ALWAYS_INLINE { sum[u] = sum[u] + (simd::load<V>(x + i + u * width) - V(first)); });
  T total = simd::reduce_add((sum[0] + sum[1]) + (sum[2] + sum[3])), squares(0);
  for (std::int64_t i = whole; i < n; ++i) total += x[i] - first;
  const T near = first + total / static_cast<T>(n);
  for (V& s : sum) s = V(T(0));
  for (std::int64_t i = 0; i < whole; i += 4 * width)
    unroll<4>([&](auto u) VOLUTE_ALWAYS_INLINE {
      simd::prefetch(x + n + i + u * width);
      const V d = simd::load<V>(x + i + u * width) - V(near);
      sum[u] = sum[u] + d, square[u] = simd::fma(d, d, square[u]);
    });
  total = simd::reduce_add((sum[0] + sum[1]) + (sum[2] + sum[3])),
  squares = simd::reduce_add((square[0] + square[1]) + (square[2] + square[3]));
  for (std::int64_t i = whole; i < n; ++i) total += x[i] - near, squares += (x[i] - near) * (x[i] - near);
  const double rest = static_cast<double>(total), terms = static_cast<double>(n);
  const double mean = static_cast<double>(near) + rest / terms, differences = static_cast<double>(squares) - rest * rest / terms;
  to.add(terms, &mean, &differences);
}

/// Moments of L channels, the first of which is `channel`, of planes [first, last), counted over samples and depth. L is 1 in NCDHW.
template <class T, int L>
VOLUTE_INLINE void add_planes(const ops::volume_layout& l, const T* x, std::int64_t channel, std::int64_t first, std::int64_t last,
                              moments<L>& to) noexcept {
  for (std::int64_t p = first; p < last; ++p) {
    const std::int64_t sample = p / l.planes, depth = p % l.planes;
    if constexpr (L == 1) {
      const std::int64_t size = l.rows * l.columns;
      const T* const plane = x + ((sample * l.channels + channel) * l.planes + depth) * size;
      for (std::int64_t i = 0; i < size; i += moments_part) add_moments(plane + i, size - i < moments_part ? size - i : moments_part, to);
    } else {
      const std::int64_t blocks = l.channels / l.block, c = channel % l.block;
      const T* const plane = x + ((sample * blocks + channel / l.block) * l.planes + depth) * l.plane() + l.first() + c;
      const std::int64_t most = moments_part / 16 / l.columns, together = most > 1 ? most : 1;
      const int n = valid_lanes<L>(l.block - c);
      for (std::int64_t row = 0; row < l.rows; row += together) {
        const T* const at = plane + row * l.all_columns * l.block;
        const std::int64_t rows = l.rows - row < together ? l.rows - row : together;
        if (n == L)
          add_moments<true, T, L>(l, at, rows, n, to);
        else
          add_moments<false, T, L>(l, at, rows, n, to);
      }
    }
  }
}

/// One element of a volume in layout l, or NCDHW.
template <class T>
T element(const ops::volume_layout& l, const T* x, std::int64_t sample, std::int64_t c, std::int64_t d, std::int64_t h,
          std::int64_t w) noexcept {
  if (!l.blocked()) return x[(((sample * l.channels + c) * l.planes + d) * l.rows + h) * l.columns + w];
  const std::int64_t block = sample * (l.channels / l.block) + c / l.block;
  return x[(block * l.planes + d) * l.plane() + l.first() + (h * l.all_columns + w) * l.block + c % l.block];
}

/// mean[(sample), channel] and variance (divided by the count) of x over all pixels (and samples, unless they are kept); x in layout l, in
/// blocks if L is more than 1. The order of additions depends on the layout alone. Infinities give what sums of them give.
template <class T, int L, bool KeepsSamples>
void moments_of(const ops::volume_layout& l, const T* x, T* mean, T* variance, const team<T>& workers = {}) noexcept {
  constexpr bool in_blocks = L > 1;
  const std::int64_t samples = KeepsSamples ? l.batch : 1, vectors = in_blocks ? (l.block + L - 1) / L : 1;
  const std::int64_t blocks = in_blocks ? l.channels / l.block : l.channels, block = in_blocks ? l.block : 1;
  const std::int64_t planes = KeepsSamples ? l.planes : l.batch * l.planes, results = samples * blocks * vectors;
  const double work = 4 * static_cast<double>(l.batch * l.channels * l.planes * l.rows * l.columns);
  const auto channel_of = [&](std::int64_t k) { return k / vectors % blocks * block + k % vectors * L; };
  const auto add = [&](std::int64_t k, std::int64_t first, std::int64_t last, moments<L>& to) noexcept {
    const std::int64_t base = k / (blocks * vectors) * planes;
    add_planes<T, L>(l, x, channel_of(k), base + first, base + last, to);
  };
  const auto finish = [&](std::int64_t k, const moments<L>& m) noexcept {
    const std::int64_t base = k / (blocks * vectors) * l.channels + channel_of(k), left = block - k % vectors * L;
    for (int i = 0; i < (in_blocks ? valid_lanes<L>(left) : 1); ++i) {
      mean[base + i] = static_cast<T>(m.mean[i]);
      variance[base + i] = static_cast<T>(m.squares[i] / m.count);
      if (std::isfinite(m.mean[i])) continue;
      // Infinities have no differences: by plain sums.
      const std::int64_t c = channel_of(k) + i, first = k / (blocks * vectors) * planes;
      const auto sum_of = [&](auto term) {
        T sum(0);
        for (std::int64_t p = first; p < first + planes; ++p)
          for (std::int64_t h = 0; h < l.rows; ++h)
            for (std::int64_t w = 0; w < l.columns; ++w) sum += term(element(l, x, p / l.planes, c, p % l.planes, h, w));
        return sum;
      };
      const T middle = sum_of([](T v) { return v; }) / static_cast<T>(m.count);
      mean[base + i] = middle;
      variance[base + i] = sum_of([&](T v) { return (v - middle) * (v - middle); }) / static_cast<T>(m.count);
    }
  };
  in_parts<moments<L>>(workers, results, planes, work, add, finish);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
