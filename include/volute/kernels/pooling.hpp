// Pooling over windows of (D, H, W). Every kernel works on one row of outputs at a time, in two steps: first the rows of the window
// (d and h) are combined column by column, with vectors along w and whatever the stride; then the columns of each window. Columns
// outside the input hold the identity, so that the second step knows no borders. The geometry is read at run time: a kernel of a
// few hundred lines is compiled once for each number type, and one further geometry costs a table.
#pragma once

#include <volute/kernels/copy.hpp>
#include <volute/kernels/pool_pairs.hpp>
#include <volute/kernels/reduce.hpp>
#include <volute/kernels/walk.hpp>
#include <volute/ops/pooling.hpp>

#include <cstdint>
#include <limits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Columns that a kernel keeps on the stack at a time.
inline constexpr std::int64_t pool_buffer = 1024;

/// A run of outputs [o, o + n) of a row whose windows span the columns [first, first + columns) and fit the buffer; n == 0 if not even
/// one window fits. Columns may lie outside the input.
struct pool_run {
  std::int64_t o = 0, n = 0, first = 0, columns = 0;
};

inline pool_run run_of(const ops::pool_geometry& g, std::int64_t o) noexcept {
  pool_run r{o, 0, 0, 0};
  if (g.adaptive) {
    r.first = taps_of(g, 2, o).first;
    for (; o < g.out[2]; ++o, ++r.n) {
      const pool_taps w = taps_of(g, 2, o);
      if (w.first + w.taps - r.first > pool_buffer) break;
      r.columns = w.first + w.taps - r.first;
    }
    return r;
  }
  const std::int64_t span = (g.kernel[2] - 1) * g.dilation[2] + 1;
  r.first = o * g.stride[2] - g.lo[2];
  if (span > pool_buffer) return r;
  const std::int64_t most = (pool_buffer - span) / g.stride[2] + 1;
  r.n = most < g.out[2] - o ? most : g.out[2] - o;
  r.columns = (r.n - 1) * g.stride[2] + span;
  return r;
}

/// The part of a run's columns that lies on the input: buffer[begin .. end).
struct pool_inside {
  std::int64_t begin, end;
  pool_inside(const ops::pool_geometry& geometry, const pool_run& r) noexcept
      : begin(r.first < 0 ? (-r.first < r.columns ? -r.first : r.columns) : 0),
        end(r.first + r.columns > geometry.in[2] ? (geometry.in[2] > r.first ? geometry.in[2] - r.first : 0) : r.columns) {
    if (end < begin) end = begin;
  }
};

/// How the second step walks over the starts of windows in the buffer: with stride 1 and 2 over all columns by whole vectors, of which
/// every `pick`-th is a result; with larger strides over the starts alone, by strided loads.
struct pool_steps {
  std::int64_t step, pick, count;
  pool_steps(std::int64_t stride, std::int64_t n) noexcept
      : step(stride <= 2 ? 1 : stride), pick(stride <= 2 ? stride : 1), count((n - 1) * pick + 1) {}

  template <class V, class T>
  VOLUTE_INLINE V load(const T* p, std::int64_t i) const noexcept {
    if (step == 1) return simd::load<V>(p + i);
    const std::int64_t left = count - i;
    return load_lane_partial<ops::lane::strided, V>(p + i * step, step, static_cast<int>(left < simd::lanes<V> ? left : simd::lanes<V>));
  }
};

/// Calls f(i, lanes) for vectors that cover [begin, end); the last one overlaps its neighbour where there is one, else it is partial.
template <int Width, class F>
VOLUTE_INLINE void cover(std::int64_t begin, std::int64_t end, F&& f) noexcept {
  if (end - begin < Width) {
    if (end > begin) f(begin, static_cast<int>(end - begin));
    return;
  }
  for (std::int64_t i = begin;;) {
    f(i, Width);
    if (i + Width == end) return;
    i = i + 2 * Width <= end ? i + Width : end - Width;
  }
}

/// Combines the rows of a window: buffer[i] for all columns of a run.
template <ops::reduction R, class T>
VOLUTE_INLINE void pool_columns(const ops::pool_geometry& g, const pool_run& r, const pool_taps& d, const pool_taps& h, const T* x,
                                T* buffer) noexcept {
  using V = simd::vec<T>;
  using C = combine<R, T>;
  const pool_inside in(g, r);
  for (std::int64_t i = 0; i < in.begin; ++i) buffer[i] = C::identity;
  for (std::int64_t i = in.end; i < r.columns; ++i) buffer[i] = C::identity;
  const std::int64_t row = g.in[2] * h.step, plane = g.in[1] * g.in[2] * d.step;
  const T* from = x + (d.first * g.in[1] + h.first) * g.in[2] + r.first;
  cover<simd::width<T>>(in.begin, in.end, [&](std::int64_t i, int n) VOLUTE_ALWAYS_INLINE {
    V a(C::identity);
    for (std::int64_t kd = 0; kd < d.taps; ++kd) {
      const T* p = from + kd * plane + i;
      if (n == simd::width<T>)
        for (std::int64_t kh = 0; kh < h.taps; ++kh, p += row) a = C::apply(a, simd::load<V>(p));
      else
        for (std::int64_t kh = 0; kh < h.taps; ++kh, p += row) a = C::apply(a, simd::load_partial<V>(p, n));
    }
    simd::store_partial(buffer + i, a, n);
  });
}

/// One window by plain loops, for windows too wide for the buffer.
template <ops::reduction R, class T>
T pool_wide(const ops::pool_geometry& g, const pool_taps& d, const pool_taps& h, const pool_taps& w, const T* x) noexcept {
  T best = combine<R, T>::identity;
  for (std::int64_t kd = 0; kd < d.taps; ++kd)
    for (std::int64_t kh = 0; kh < h.taps; ++kh) {
      const T* p = x + ((d.first + kd * d.step) * g.in[1] + h.first + kh * h.step) * g.in[2] + w.first;
      T row = combine<R, T>::identity;
      for (std::int64_t kw = 0; kw < w.taps; ++kw) row = combine<R, T>::apply_scalar(row, p[kw * w.step]);
      best = combine<R, T>::apply_scalar(best, row);
    }
  return best;
}

/// The sum or the maximum over each window of a run.
template <ops::reduction R, class T>
VOLUTE_INLINE void pool_windows(const ops::pool_geometry& g, const pool_run& r, const T* buffer, T* out) noexcept {
  using V = simd::vec<T>;
  using C = combine<R, T>;
  constexpr int width = simd::width<T>;
  if (g.adaptive) {
    for (std::int64_t o = 0; o < r.n; ++o) {
      const pool_taps w = taps_of(g, 2, r.o + o);
      T a = C::identity;
      for (std::int64_t k = 0; k < w.taps; ++k) a = C::apply_scalar(a, buffer[w.first - r.first + k]);
      out[o] = a;
    }
    return;
  }
  const pool_steps s(g.stride[2], r.n);
  alignas(64) T found[pool_buffer + width];
  T* to = s.pick == 1 ? out : found;
  for (std::int64_t i = 0; i < s.count; i += width) {
    V a = s.load<V>(buffer, i);
    for (std::int64_t k = 1; k < g.kernel[2]; ++k) a = C::apply(a, s.load<V>(buffer + k * g.dilation[2], i));
    const std::int64_t left = s.count - i;
    if (left >= width)
      simd::store(to + i, a);
    else
      simd::store_partial(to + i, a, static_cast<int>(left));
  }
  if (s.pick != 1)
    for (std::int64_t o = 0; o < r.n; ++o) out[o] = found[o * s.pick];
}

/// Divides the sums of a run by the counts of their windows. A window without a tap gives 0.
template <class T>
VOLUTE_INLINE void pool_divide(const ops::pool_geometry& g, const pool_taps& d, const pool_taps& h, std::int64_t o, std::int64_t n,
                               const T* in, T* out) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  const auto count = [&](std::int64_t i) {
    const std::int64_t c = g.divisor > 0 ? g.divisor : d.counted * h.counted * taps_of(g, 2, i).counted;
    return static_cast<T>(c > 0 ? c : 1);
  };
  const T full = static_cast<T>(g.divisor > 0 ? g.divisor : d.counted * h.counted * g.kernel[2]);
  std::int64_t i = 0;
  while (i < n) {
    // Counts rise at the low border and fall at the high one: two full windows have only full ones between them.
    const std::int64_t some = n - i < width ? n - i : width;
    if (!g.adaptive && count(o + i) == full && count(o + i + some - 1) == full) {
      const int lanes = static_cast<int>(some);
      if (some == width)
        simd::store(out + i, simd::load<V>(in + i) / V(full));
      else
        simd::store_partial(out + i, simd::load_partial<V>(in + i, lanes) / V(full), lanes);
      i += some;
    } else {
      out[i] = in[i] / count(o + i);
      ++i;
    }
  }
}

/// out = the sum (divided) or the maximum of every window.
template <ops::reduction R, class T>
__attribute__((noinline)) void pool_forward(const ops::pool_geometry& g, const T* x, T* out) noexcept {
  alignas(64) T buffer[pool_buffer + simd::width<T>] = {};
  for (std::int64_t plane = 0; plane < g.planes; ++plane, x += g.in[0] * g.in[1] * g.in[2])
    for (std::int64_t od = 0; od < g.out[0]; ++od) {
      const pool_taps d = taps_of(g, 0, od);
      for (std::int64_t oh = 0; oh < g.out[1]; ++oh, out += g.out[2]) {
        const pool_taps h = taps_of(g, 1, oh);
        for (std::int64_t o = 0; o < g.out[2];) {
          pool_run r = run_of(g, o);
          if (r.n > 0) {
            pool_columns<R>(g, r, d, h, x, buffer);
            pool_windows<R>(g, r, buffer, out + o);
          } else {
            out[o] = pool_wide<R>(g, d, h, taps_of(g, 2, o), x);
            r.n = 1;
          }
          if constexpr (R == ops::reduction::sum) pool_divide(g, d, h, o, r.n, out + o, out + o);
          o += r.n;
        }
      }
    }
}

/// dx = the adjoint of the average: every g / count goes to all taps of its window.
template <class T>
__attribute__((noinline)) void average_backward(const ops::pool_geometry& g, const T* grad, T* dx) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  alignas(64) T part[pool_buffer + width], buffer[pool_buffer + width];
  for (std::int64_t plane = 0; plane < g.planes; ++plane, dx += g.in[0] * g.in[1] * g.in[2]) {
    fill(dx, g.in[0] * g.in[1] * g.in[2], T(0));
    for (std::int64_t od = 0; od < g.out[0]; ++od) {
      const pool_taps d = taps_of(g, 0, od);
      for (std::int64_t oh = 0; oh < g.out[1]; ++oh, grad += g.out[2]) {
        const pool_taps h = taps_of(g, 1, oh);
        const auto to_rows = [&](auto f) VOLUTE_ALWAYS_INLINE {
          for (std::int64_t kd = 0; kd < d.taps; ++kd)
            for (std::int64_t kh = 0; kh < h.taps; ++kh) f(dx + ((d.first + kd * d.step) * g.in[1] + h.first + kh * h.step) * g.in[2]);
        };
        for (std::int64_t o = 0; o < g.out[2];) {
          const pool_run r = run_of(g, o);
          if (r.n == 0) {
            const pool_taps w = taps_of(g, 2, o);
            pool_divide(g, d, h, o, 1, grad + o, part);
            to_rows([&](T* row) {
              for (std::int64_t k = 0; k < w.taps; ++k) row[w.first + k * w.step] += part[0];
            });
            ++o;
            continue;
          }
          pool_divide(g, d, h, o, r.n, grad + o, part);
          fill(buffer, r.columns, T(0));
          for (std::int64_t i = 0; i < r.n; ++i) {
            pool_taps w{r.first + i * g.stride[2], g.kernel[2], g.dilation[2], 0};
            if (g.adaptive) w = taps_of(g, 2, o + i);
            for (std::int64_t k = 0; k < w.taps; ++k) buffer[w.first - r.first + k * w.step] += part[i];
          }
          const pool_inside in(g, r);
          to_rows([&](T* row) VOLUTE_ALWAYS_INLINE {
            T* to = row + r.first;
            std::int64_t i = in.begin;
            for (; i + width <= in.end; i += width) simd::store(to + i, simd::load<V>(to + i) + simd::load<V>(buffer + i));
            for (; i < in.end; ++i) to[i] += buffer[i];
          });
          o += r.n;
        }
      }
    }
  }
}

/// Calls f(output, input) with the position in its plane of the maximum of each window: of equal values the first in scan order, a NaN
/// before all (of several the last, as PyTorch). Windows without a tap are left out. Rows are counted in T: a window must span
/// fewer than 2^24 rows of input for float; wider ones go by plain loops.
template <class T, class F>
VOLUTE_INLINE void for_each_maximum(const ops::pool_geometry& g, const T* x, F&& f) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  constexpr T lowest = -std::numeric_limits<T>::infinity(), nowhere = std::numeric_limits<T>::infinity();
  alignas(64) T value[pool_buffer + width] = {}, row[pool_buffer + width] = {}, found_row[pool_buffer + width],
                                    found_column[pool_buffer + width];
  std::int64_t to = 0;
  for (std::int64_t plane = 0; plane < g.planes; ++plane) {
    const std::int64_t base = plane * g.in[0] * g.in[1] * g.in[2];
    for (std::int64_t od = 0; od < g.out[0]; ++od) {
      const pool_taps d = taps_of(g, 0, od);
      for (std::int64_t oh = 0; oh < g.out[1]; ++oh, to += g.out[2]) {
        const pool_taps h = taps_of(g, 1, oh);
        const std::int64_t first_row = d.first * g.in[1] + h.first;
        if (d.taps == 0 || h.taps == 0) continue;
        for (std::int64_t o = 0; o < g.out[2];) {
          const pool_run r = run_of(g, o);
          if (r.n == 0 || d.taps * d.step * g.in[1] >= (std::int64_t{1} << 24)) {
            const pool_taps w = taps_of(g, 2, o);
            std::int64_t at = base + first_row * g.in[2] + w.first;
            if (w.taps > 0) {
              T best = lowest;
              for (std::int64_t kd = 0; kd < d.taps; ++kd)
                for (std::int64_t kh = 0; kh < h.taps; ++kh)
                  for (std::int64_t kw = 0; kw < w.taps; ++kw) {
                    const std::int64_t p = base + (first_row + kd * d.step * g.in[1] + kh * h.step) * g.in[2] + w.first + kw * w.step;
                    if (x[p] > best || x[p] != x[p]) best = x[p], at = p;
                  }
              f(to + o, at);
            }
            ++o;
            continue;
          }
          const pool_inside in(g, r);
          for (std::int64_t i = 0; i < in.begin; ++i) value[i] = lowest, row[i] = nowhere;
          for (std::int64_t i = in.end; i < r.columns; ++i) value[i] = lowest, row[i] = nowhere;
          const T* from = x + base + first_row * g.in[2] + r.first;
          cover<width>(in.begin, in.end, [&](std::int64_t i, int n) VOLUTE_ALWAYS_INLINE {
            V best(lowest), place(T(0));
            for (std::int64_t kd = 0; kd < d.taps; ++kd)
              for (std::int64_t kh = 0; kh < h.taps; ++kh) {
                const std::int64_t relative = kd * d.step * g.in[1] + kh * h.step;
                const T* p = from + relative * g.in[2] + i;
                const V v = n == width ? simd::load<V>(p) : simd::load_partial<V>(p, n);
                const auto take = (v > best) | xsimd::isnan(v);
                best = xsimd::select(take, v, best);
                place = xsimd::select(take, V(static_cast<T>(relative)), place);
              }
            simd::store_partial(value + i, best, n);
            simd::store_partial(row + i, place, n);
          });
          const auto emit = [&](std::int64_t i, T at_row, T column) VOLUTE_ALWAYS_INLINE {
            if (at_row != nowhere)
              f(to + r.o + i,
                base + (first_row + static_cast<std::int64_t>(at_row)) * g.in[2] + r.first + static_cast<std::int64_t>(column));
          };
          if (g.adaptive) {
            for (std::int64_t i = 0; i < r.n; ++i) {
              const pool_taps w = taps_of(g, 2, o + i);
              T best = lowest, place = nowhere;
              std::int64_t column = 0;
              for (std::int64_t c = w.first - r.first, k = 0; k < w.taps; ++k, ++c) {
                const bool later = row[c] >= place, nan = value[c] != value[c];
                if (nan ? best == best || later : value[c] > best || (value[c] == best && !later))
                  best = value[c], place = row[c], column = c;
              }
              emit(i, place, static_cast<T>(column));
            }
          } else {
            const pool_steps s(g.stride[2], r.n);
            for (std::int64_t i = 0; i < s.count; i += width) {
              V best(lowest), place(nowhere), tap(T(0));
              for (std::int64_t k = 0; k < g.kernel[2]; ++k) {
                const V v = s.load<V>(value + k * g.dilation[2], i), p = s.load<V>(row + k * g.dilation[2], i);
                const auto take = (v > best) | ((v == best) & (p < place)) | (xsimd::isnan(v) & ((best == best) | (p >= place)));
                best = xsimd::select(take, v, best);
                place = xsimd::select(take, p, place);
                tap = xsimd::select(take, V(static_cast<T>(k * g.dilation[2])), tap);
              }
              simd::store(found_row + i, place);
              simd::store(found_column + i, tap);
            }
            for (std::int64_t i = 0; i < r.n; ++i)
              emit(i, found_row[i * s.pick], found_column[i * s.pick] + static_cast<T>(i * g.stride[2]));
          }
          o += r.n;
        }
      }
    }
  }
}

template <class T>
__attribute__((noinline)) void maximum_gather(const ops::pool_geometry& g, const T* x, const T* v, T* out) noexcept {
  fill(out, g.planes * g.out[0] * g.out[1] * g.out[2], T(0));
  for_each_maximum(g, x, [v, out](std::int64_t o, std::int64_t i) VOLUTE_ALWAYS_INLINE { out[o] = v[i]; });
}

template <class T>
__attribute__((noinline)) void maximum_scatter(const ops::pool_geometry& g, const T* x, const T* grad, T* dx) noexcept {
  fill(dx, g.planes * g.in[0] * g.in[1] * g.in[2], T(0));
  for_each_maximum(g, x, [grad, dx](std::int64_t o, std::int64_t i) VOLUTE_ALWAYS_INLINE { dx[i] += grad[o]; });
}

/// f(geometry of some planes, number of the first) by threads. A plane takes about 0.3 ns for each element and for each pair of taps.
template <class T, class F>
VOLUTE_INLINE void share_planes(const team<T>& workers, const ops::pool_geometry& g, F&& f) noexcept {
  const auto volume = [](const std::int64_t* e) { return static_cast<double>(e[0] * e[1] * e[2]); };
  const double work = 0.3 * static_cast<double>(g.planes) * (volume(g.in) + volume(g.out) * volume(g.kernel) / 2);
  share_ranges(workers, g.planes, 1, workers.alone() ? 1 : parts_of(work), [&](std::int64_t begin, std::int64_t end, int) noexcept {
    ops::pool_geometry some = g;
    some.planes = end - begin;
    f(some, begin * g.in[0] * g.in[1] * g.in[2], begin * g.out[0] * g.out[1] * g.out[2]);
  });
}

/// Max pooling. Padding counts as -infinity; a window that lies on padding alone gives -infinity (gather: 0, scatter: nothing).
/// Threads share planes, so that no two of them add to one element.
template <class T, ops::pool_geometry G>
struct max_pool3d {
  static constexpr ops::pool_geometry geometry = G;

  /// out = the maximum of each window.
  static void forward(const T* x, T* out, const team<T>& workers = {}) noexcept {
    share_planes(workers, geometry, [&](const ops::pool_geometry& g, std::int64_t in, std::int64_t to) noexcept {
      if constexpr (pool_in_pairs(G))
        maximum_pairs<T, walk_of<T>(G)>(g, x + in, out + to);
      else
        pool_forward<ops::reduction::maximum>(g, x + in, out + to);
    });
  }

  /// out = v at the place of the maximum of x.
  static void gather(const T* x, const T* v, T* out, const team<T>& workers = {}) noexcept {
    if (x == v) return forward(x, out, workers);
    share_planes(workers, geometry, [&](const ops::pool_geometry& g, std::int64_t in, std::int64_t to) noexcept {
      maximum_gather(g, x + in, v + in, out + to);
    });
  }

  /// dx = 0, then g is added at the place of the maximum of each window.
  static void scatter(const T* x, const T* g, T* dx, const team<T>& workers = {}) noexcept {
    share_planes(workers, geometry, [&](const ops::pool_geometry& some, std::int64_t in, std::int64_t to) noexcept {
      if constexpr (pool_in_pairs(G) && pool_apart(G))
        scatter_pairs<T, walk_of<T>(G)>(some, x + in, g + to, dx + in);
      else
        maximum_scatter(some, x + in, g + to, dx + in);
    });
  }
};

/// Average pooling and its adjoint.
template <class T, ops::pool_geometry G>
struct avg_pool3d {
  static constexpr ops::pool_geometry geometry = G;
  static void forward(const T* x, T* out, const team<T>& workers = {}) noexcept {
    share_planes(workers, geometry, [&](const ops::pool_geometry& g, std::int64_t in, std::int64_t to) noexcept {
      pool_forward<ops::reduction::sum>(g, x + in, out + to);
    });
  }
  static void backward(const T* g, T* dx, const team<T>& workers = {}) noexcept {
    share_planes(workers, geometry, [&](const ops::pool_geometry& some, std::int64_t in, std::int64_t to) noexcept {
      average_backward(some, g + to, dx + in);
    });
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
