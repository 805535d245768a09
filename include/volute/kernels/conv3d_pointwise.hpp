// Convolutions whose windows do not overlap (1x1x1, and every kernel no longer than its stride, without padding): products of matrices.
// Forward: y[o, p] = sum W[o, (i, tap)] x[(i, tap), p] over the pixels p of y; adjoint in the data: dx[(i, tap), p] = sum W[o, (i, tap)]
// g[o, p], each element of dx once. Pixels lie in the lanes, as they do in memory, and weights are broadcast. The first register block of a
// column of pixels reads the tensor itself and leaves a copy to those that follow; pixels with a stride are packed, a panel at a time, into
// the second-level cache. No copy of a sample is ever made.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d_plan.hpp>
#include <volute/kernels/conv3d_store.hpp>

#include <cstdint>
#include <type_traits>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

constexpr bool windows_apart(const ops::conv_geometry& g) {
  for (int a = 0; a < 3; ++a)
    if (g.lo[a] != 0 || g.kernel[a] > g.stride[a] || (g.kernel[a] > 1 && g.dilation[a] > 1) ||
        (g.out[a] - 1) * g.stride[a] + g.kernel[a] > g.in[a])
      return false;
  return true;
}

/// A tensor as a matrix of (channel, tap) and pixel of y. Straight: y itself, or an x that has the same pixels.
struct pixel_rows {
  int64_t taps = 1, volume = 1;
  int64_t kernel[3]{1, 1, 1}, stride[3]{1, 1, 1}, size[3]{1, 1, 1}, out[3]{1, 1, 1};
  bool straight = true;
};

/// Of x (or dx), or of y (or g).
constexpr pixel_rows rows_of_pixels(const ops::conv_geometry& g, bool of_x) {
  pixel_rows q;
  q.volume = of_x ? g.in_volume() : g.out_volume();
  if (!of_x) return q;
  q.taps = g.taps();
  for (int a = 0; a < 3; ++a) {
    q.kernel[a] = g.kernel[a], q.stride[a] = g.stride[a], q.size[a] = g.in[a], q.out[a] = g.out[a];
    q.straight = q.straight && g.stride[a] == 1;
  }
  return q;
}

/// Runs f(position in the range, d, h, w, rows, length of a row) for pixels [first, first + count): whole rows of one plane together, the
/// part of a row alone.
template <class F>
VOLUTE_INLINE void for_each_run(const pixel_rows& q, int64_t first, int64_t count, F f) {
  int64_t w = first % q.out[2], h = first / q.out[2] % q.out[1], d = first / (q.out[2] * q.out[1]);
  for (int64_t at = 0; at < count;) {
    const int64_t n = smaller(count - at, q.out[2] - w);
    const int64_t rows = n < q.out[2] ? 1 : smaller((count - at) / n, q.out[1] - h);
    f(at, d, h, w, rows, n);
    at += rows * n;
    w = 0;
    if ((h += rows) == q.out[1]) h = 0, ++d;
  }
}

/// The cache lines that hold the first tap of pixels [first, end), in one channel: the offset of one after the other, -1 behind the last.
struct lines_of_pixels {
  int64_t first = 0, end = 0;
  VOLUTE_INLINE int64_t next(const pixel_rows& q, int64_t line) {
    if (first >= end) return -1;
    const int64_t at = first;
    if (q.straight) {
      first += line;
      return at;
    }
    const int64_t w = at % q.out[2], h = at / q.out[2] % q.out[1], d = at / (q.out[2] * q.out[1]);
    first += smaller(larger(1, line / q.stride[2]), q.out[2] - w);
    return (d * q.stride[0] * q.size[1] + h * q.stride[1]) * q.size[2] + w * q.stride[2];
  }
  /// Takes the next line along if it begins at `offset`.
  VOLUTE_INLINE bool follows(const pixel_rows& q, int64_t offset, int64_t line) {
    const int64_t before = first;
    if (next(q, line) == offset) return true;
    first = before;
    return false;
  }
};

/// Rows [row, row + rows) of pixels [first, first + count) to to[row][pitch], whole vectors, zero behind the last pixel. `row` and `rows`
/// are multiples of kernel[2]; pitch >= count + lanes. `scale`: one factor a channel.
template <class T, bool Scale>
__attribute__((noinline)) void pack_pixels(const pixel_rows& q, const T* x, const T* scale, int64_t row, int64_t rows, int64_t first,
                                           int64_t count, T* to, int64_t pitch) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  const auto copy = [](const T* from, int64_t n, V factor, T* out) __attribute__((always_inline)) {
    const auto scaled = [&](V v) __attribute__((always_inline)) { return Scale ? v * factor : v; };
    int64_t j = 0;
    for (; j + L <= n; j += L) simd::store(out + j, scaled(simd::load<V>(from + j)));
    if (j < n) simd::store(out + j, scaled(simd::load_partial<V>(from + j, static_cast<int>(n - j))));
  };
  if (q.straight) {
    const int64_t ahead = ceil_divide(1024, count);  // rows, in which memory answers
    for (int64_t r = row; r < row + rows; ++r, to += pitch) {
      V factor(T(1));
      if constexpr (Scale) factor = V(scale[r]);
      const T* const next = r + ahead < row + rows ? x + (r + ahead) * q.volume + first : x + (r + ahead - rows) * q.volume + first + count;
      for (int64_t j = 0; j < count; j += 64 / static_cast<int64_t>(sizeof(T))) simd::prefetch(next + j);
      copy(x + r * q.volume + first, count, factor, to);
    }
    return;
  }
  const int64_t last = (count - 1) / L * L, columns = q.kernel[2], step = q.stride[2];
  for (int64_t r = row; r < row + rows; r += columns, to += columns * pitch) {
    const int64_t channel = r / q.taps, tap = r % q.taps / columns;
    const T* base = x + channel * q.volume + (tap / q.kernel[1] * q.size[1] + tap % q.kernel[1]) * q.size[2];
    V factor(T(1));
    if constexpr (Scale) factor = V(scale[channel]);
    for (int64_t k = 0; k < columns; ++k) simd::store(to + k * pitch + last, V(T(0)));
    for_each_run(
        q, first, count, [&](int64_t at, int64_t d, int64_t h, int64_t w, int64_t lines, int64_t n) __attribute__((always_inline)) {
          const T* line = base + (d * q.stride[0] * q.size[1] + h * q.stride[1]) * q.size[2] + w * step;
          T* start = to + at;
          for (int64_t i = 0; i < lines; ++i, line += q.stride[1] * q.size[2], start += n) {
            const T* from = line;
            T* out = start;
            if (step == 1) {
              copy(from, n, factor, out);
            } else if (step == 2) {
              for (int64_t j = 0; j < n; j += L, from += 2 * L, out += L) {
                const int64_t there = 2 * (n - j) - (2 - columns);  // behind the last pixel's window nothing need exist
                V a, b;
                if (there >= 2 * L) {
                  a = simd::load<V>(from), b = simd::load<V>(from + L);
                } else {
                  a = simd::load_partial<V>(from, static_cast<int>(smaller(L, there)));
                  b = there > L ? simd::load_partial<V>(from + L, static_cast<int>(there - L)) : V(T(0));
                }
                if constexpr (Scale) a = a * factor, b = b * factor;
                simd::store(out, simd::unzip<0>(a, b));
                if (columns == 2) simd::store(out + pitch, simd::unzip<1>(a, b));
              }
            } else {
              T f(1);
              if constexpr (Scale) f = scale[channel];
              for (int64_t k = 0; k < columns; ++k, out += pitch)
                for (int64_t j = 0; j < n; ++j) out[j] = Scale ? from[j * step + k] * f : from[j * step + k];
            }
          }
        });
  }
}

/// Sizes of both products; everything in elements.
struct pointwise_plan {
  int rows = 1, vectors = 1;      // accumulators of one register block: rows of the result times vectors of pixels
  int64_t depth = 1;              // products in a sum: (channel, tap) of x, or channel of g
  int64_t targets = 1;            // rows of the result, in one group
  int64_t unit = 1, blocks = 1;   // rows that are stored together (whole windows), and the register blocks that compute them
  int64_t units = 1;              // of one group
  int64_t pixels = 1, panel = 1;  // of y, and of what is taken at a time: one column (a register block of pixels), or several
  int64_t panels = 1, pitch = 1;  // pitch of a packed panel: an odd number of vectors, so that rows spread over the sets of the cache
  int64_t slices = 1;             // parts of the units, if threads share few panels; each copies the panel again
  int64_t tasks = 1;              // of one slice, each some panels
  bool straight = true;           // the source: a panel is not packed but copied on the way, column after column
  int asks = 0;                   // lines of the next column that each step of a register block asks for: the units share them
  bool shared = false;
  bool stream = false;   // a result of 8 MiB or more goes past the caches: short runs of it wait for memory twice
  int64_t tile_row = 1;  // pixels of one block, or, where results change places on their way out, of a panel
  constexpr int64_t block_weights() const { return depth * rows; }
  constexpr int64_t packed() const { return units * blocks * block_weights(); }  // of one group
  constexpr int64_t tile() const { return blocks * rows * tile_row; }
  constexpr int64_t scratch() const { return depth * pitch + tile(); }
  constexpr int64_t worker_scratch() const { return shared ? ceil_divide(scratch(), 16) * 16 : 0; }
};

template <class T>
constexpr pointwise_plan plan_pointwise(const ops::conv_geometry& g, conv_side side) {
  pointwise_plan p;
  constexpr int64_t width = simd::width<T>, size = sizeof(T), most_rows = accumulators >= 24 ? 8 : 4;
  const bool forward = side == conv_side::forward;
  const int64_t taps = forward ? 1 : g.taps();
  p.depth = forward ? g.group_in() * g.taps() : g.group_out();
  p.targets = forward ? g.group_out() : g.group_in() * g.taps();
  p.pixels = g.out_volume();
  if (taps == 1) {
    p.rows = static_cast<int>(ceil_divide(p.targets, ceil_divide(p.targets, most_rows)));
    p.unit = p.rows;
  } else {  // whole windows: several of them in one block, or one of them in several blocks
    p.unit = taps * larger(1, most_rows / taps);
    p.blocks = ceil_divide(p.unit, most_rows);
    p.rows = static_cast<int>(ceil_divide(p.unit, p.blocks));
  }
  p.units = ceil_divide(p.targets, p.unit);
  const int64_t vectors = ceil_divide(p.pixels, width);
  const int64_t most = smaller(8, (accumulators + 3) / (p.rows + 1));  // beside the accumulators, a vector of pixels each and one weight
  p.vectors = static_cast<int>(ceil_divide(vectors, ceil_divide(vectors, most)));
  const int64_t block = p.vectors * width;
  // A panel of 256 KiB at most leaves half of the second-level cache to the weights; 1024 pixels are a run long enough for memory.
  const int64_t goal = larger(block, smaller(1024, (256 << 10) / (p.depth * size)) / block * block);
  p.panel = ceil_divide(ceil_divide(p.pixels, ceil_divide(p.pixels, goal)), block) * block;
  const double work = conv_work(g);
  p.shared = work >= worth_sharing;
  if (!rows_of_pixels(g, true).straight && g.out[2] <= goal) {  // whole rows of y, as many as fill vectors and four threads best
    const auto count = [](int64_t n) { return static_cast<double>(n); };
    const int64_t all = g.out[0] * g.out[1], most_rows_of_y = smaller(goal / g.out[2], all);
    const auto fill = [&](int64_t rows) {
      const int64_t panels = g.batch * g.groups * ceil_divide(all, rows), four = p.shared ? ceil_divide(panels, 4) * 4 : panels;
      return count(rows * g.out[2]) / count(ceil_divide(rows * g.out[2], width)) * count(panels) / count(four);
    };
    int64_t best = most_rows_of_y;
    for (int64_t rows = best; rows > most_rows_of_y / 2; --rows)
      if (fill(rows) > fill(best) * 1.0001) best = rows;
    p.panel = best * g.out[2];
  }
  p.straight = !forward || rows_of_pixels(g, true).straight;
  if (rows_of_pixels(g, true).straight) p.panel = block;
  p.panels = ceil_divide(p.pixels, p.panel);
  p.pitch = p.straight ? ceil_divide(p.panel, block) * block : ((ceil_divide(p.panel, width) + 1) | 1) * width;
  p.tile_row = forward || rows_of_pixels(g, true).straight ? block : ceil_divide(p.panel, block) * block;
  p.stream = (forward ? g.y_size() : g.x_size()) * size >= (8 << 20);
  p.tasks = g.batch * g.groups * p.panels;
  const int64_t enough = p.straight ? 32 : 8;
  if (p.shared && p.tasks < enough) p.slices = smaller(larger(1, p.units / 2), smaller(ceil_divide(enough, p.tasks), parts_of(work)));
  p.tasks = smaller(p.tasks, 32);
  p.asks = g.taps() == 1 ? 1 : 0;
  if (p.straight) p.asks = static_cast<int>(ceil_divide(ceil_divide(block * size, 64), larger(1, p.units / p.slices * p.blocks)));
  return p;
}

/// True where the product is the best way: vectors are mostly full, and a panel stays in the second-level cache.
template <class T>
constexpr bool prefers_pointwise(const ops::conv_geometry& g, conv_side side) {
  if (!windows_apart(g) || g.out_volume() < simd::width<T>) return false;
  const pointwise_plan p = plan_pointwise<T>(g, side);
  return p.depth > 1 && p.depth * p.pitch * static_cast<int64_t>(sizeof(T)) <= (512 << 10);
}

/// Packed: [group][unit][block][depth][row].
template <class T>
__attribute__((noinline)) void pack_pointwise(const pointwise_plan& p, int64_t groups, bool forward, const T* w, T* packed) noexcept {
  for (int64_t group = 0; group < groups; ++group, w += p.targets * p.depth)
    for (int64_t b = 0; b < p.units * p.blocks; ++b)
      for (int64_t k = 0; k < p.depth; ++k)
        for (int64_t r = 0; r < p.rows; ++r, ++packed) {
          const int64_t in_unit = b % p.blocks * p.rows + r, m = b / p.blocks * p.unit + in_unit;
          *packed = in_unit < p.unit && m < p.targets ? w[forward ? m * p.depth + k : k * p.targets + m] : T(0);
        }
}

/// Where a register block finds its pixels: in the panel; in the tensor; in the tensor, and it copies them to the panel.
enum class pixels_from { panel, tensor, tensor_once };

template <class T>
struct pixel_operand {
  const T* from = nullptr;  // a row for each product, `step` apart
  int64_t step = 0;
  const T* scale = nullptr;  // one factor a row
  T* copy = nullptr;
  int64_t copy_step = 0;
  const T* next = nullptr;  // what to ask memory for with each product: a block that asked for all in one go would only wait
  int64_t next_step = 0;
};

/// to[r][v] = sum over k of w[k][r] * b[k][v].
template <class T, int R, int NV, int Asks, pixels_from From, bool Scale, bool Stream>
__attribute__((noinline)) void pointwise_block(pixel_operand<T> b, const T* w, int64_t depth, T* to, int64_t to_row) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  V acc[R][NV];
  VOLUTE_UNROLL
  for (int r = 0; r < R; ++r) VOLUTE_UNROLL
  for (int v = 0; v < NV; ++v) acc[r][v] = V(T(0));
  const T* const end = w + depth * R;
  VOLUTE_NO_UNROLL
  for (; w != end; w += R, b.from += b.step) {
    if constexpr (Asks > 0) {
      VOLUTE_UNROLL
      for (int a = 0; a < Asks; ++a) simd::prefetch_far(b.next + a * (64 / static_cast<int>(sizeof(T))));
      b.next += b.next_step;
    }
    V bv[NV];
    VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) bv[v] = simd::load<V>(b.from + v * L);
    if constexpr (Scale) {
      const V factor(*b.scale++);
      VOLUTE_UNROLL
      for (int v = 0; v < NV; ++v) bv[v] = bv[v] * factor;
    }
    if constexpr (From == pixels_from::tensor) {
      VOLUTE_UNROLL
      for (int v = 0; v < NV; ++v) simd::store(b.copy + v * L, bv[v]);
      b.copy += b.copy_step;
    }
    VOLUTE_UNROLL
    for (int r = 0; r < R; ++r) {
      const V wv(w[r]);
      VOLUTE_UNROLL
      for (int v = 0; v < NV; ++v) acc[r][v] = simd::fma(wv, bv[v], acc[r][v]);
    }
  }
  VOLUTE_UNROLL
  for (int r = 0; r < R; ++r) VOLUTE_UNROLL
  for (int v = 0; v < NV; ++v) {
    if constexpr (Stream)
      simd::stream(to + r * to_row + v * L, acc[r][v]);
    else
      simd::store(to + r * to_row + v * L, acc[r][v]);
  }
}

/// `columns` elements of a row of dx: the rows of a tile (one for each of `taps` taps of the width, or none of them: null) take turns, with
/// zeros to fill the stride and behind the last of the `n` pixels.
template <class T, ops::epilogue E, bool Stream>
VOLUTE_INLINE void store_columns(const T* tile, int64_t tile_row, int64_t taps, int64_t step, int64_t n, int64_t columns, T* y,
                                 const T* const* extra, conv_place at) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  const auto part = [n](const T* from, int64_t j) __attribute__((always_inline)) {
    return j + L <= n ? simd::load<V>(from + j) : j < n ? simd::load_partial<V>(from + j, static_cast<int>(n - j)) : V(T(0));
  };
  if (step == 2) {
    for (int64_t j = 0; 2 * j < columns; j += L, at.offset += 2 * L) {
      const int64_t left = columns - 2 * j;
      V a(T(0)), b(T(0));
      if (tile != nullptr) {
        a = part(tile, j);
        if (taps == 2) b = part(tile + tile_row, j);
      }
      finish<E, Stream>(simd::zip_low(a, b), y, extra, at, static_cast<int>(smaller(L, left)));
      conv_place behind = at;
      behind.offset += L;
      if (left > L) finish<E, Stream>(simd::zip_high(a, b), y, extra, behind, static_cast<int>(smaller(L, left - L)));
    }
    return;
  }
  for (int64_t c = 0; c < columns; c += L, at.offset += L) {
    const int count = static_cast<int>(smaller(L, columns - c));
    V value(T(0));
    if (tile != nullptr) {
      if (step == 1) {
        value = part(tile, c);
      } else {
        alignas(64) T mixed[L] = {};
        int64_t r = c % step, j = c / step;
        for (int k = 0; k < count; ++k) {
          if (r < taps && j < n) mixed[k] = tile[r * tile_row + j];
          if (++r == step) r = 0, ++j;
        }
        value = simd::load<V>(mixed);
      }
    }
    finish<E, Stream>(value, y, extra, at, count);
  }
}

/// `channels` channels of a tile [channel][tap][pixel] to their windows in dx: pixels [first, first + count) of y. The last windows of an
/// axis take with them what lies behind.
template <class T, ops::epilogue E, bool Stream>
__attribute__((noinline)) void store_windows(const pixel_rows& q, const T* tile, int64_t tile_row, int64_t channels, int64_t first,
                                             int64_t count, T* y, const T* const* extra, conv_place at) noexcept {
  for (int64_t c = 0; c < channels; ++c, ++at.channel, tile += q.taps * tile_row) {
    const int64_t base = (at.sample * at.channels + at.channel) * q.volume;
    for_each_run(
        q, first, count, [&](int64_t from, int64_t d, int64_t h, int64_t w, int64_t lines, int64_t n) __attribute__((always_inline)) {
          const auto extent = [&](int a, int64_t i, int64_t next) {
            return next < q.out[a] ? (next - i) * q.stride[a] : q.size[a] - i * q.stride[a];
          };
          const int64_t planes = extent(0, d, d + 1), columns = extent(2, w, w + n);
          for (int64_t i = 0; i < planes; ++i) {
            const int64_t start = base + ((d * q.stride[0] + i) * q.size[1] + h * q.stride[1]) * q.size[2] + w * q.stride[2];
            at.offset = start;
            if (i >= q.kernel[0] && columns == q.size[2]) {  // whole rows without a tap
              const int64_t all = extent(1, h, h + lines) * columns;
              store_columns<T, E, Stream>(nullptr, 0, 1, 1, 0, all, y, extra, at);
              continue;
            }
            const T* results = i < q.kernel[0] ? tile + i * q.kernel[1] * q.kernel[2] * tile_row + from : nullptr;
            for (int64_t l = 0; l < lines; ++l) {
              const int64_t rows = extent(1, h + l, h + l + 1);
              const bool whole = columns == q.size[2];  // then the last row with a tap takes those behind it along
              for (int64_t j = 0; j < (whole ? smaller(rows, q.kernel[1]) : rows); ++j) {
                at.offset = start + (l * q.stride[1] + j) * q.size[2];
                store_columns<T, E, Stream>(results != nullptr && j < q.kernel[1] ? results + j * q.kernel[2] * tile_row + l * n : nullptr,
                                            tile_row, q.kernel[2], q.stride[2], n,
                                            whole && j + 1 == q.kernel[1] ? (rows - j) * columns : columns, y, extra, at);
              }
            }
          }
        });
  }
}

/// Units [begin, end) of one panel: pixels [first, first + count) of one sample and group, whose source is x. From: of the first block of
/// each column. `follows`: the sample and group after this one, if its first column comes next.
template <class T, int R, int NV, int Asks, pixels_from From, ops::epilogue E, bool Scale, bool Stream>
__attribute__((noinline)) void pointwise_task(const pixel_rows& source, const pixel_rows& target, const pointwise_plan& p, const T* x,
                                              const T* scale, const T* packed, T* memory, int64_t begin, int64_t end, int64_t first,
                                              int64_t count, T* y, const T* const* extra, const conv_place& place,
                                              const T* follows) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  constexpr int64_t row = NV * L, line = 64 / static_cast<int64_t>(sizeof(T));
  constexpr bool straight = From != pixels_from::panel;
  const int64_t step = straight ? row : p.pitch;
  T* const tile = memory + p.depth * p.pitch;
  lines_of_pixels ahead{first + count, smaller(first + 2 * count, p.pixels)};
  // One column times the weights of one block, `done` of which this panel has seen.
  const auto multiply = [&](auto streams, int64_t at, int64_t n, int64_t done, const T* w, T* to, int64_t to_row) {
    constexpr bool S = decltype(streams)::value;
    T* const own = memory + (!straight ? at : target.straight ? 0 : at * p.depth);
    const T* const from = x + first + at;
    pixel_operand<T> b{own, step, nullptr, nullptr, 0, own, 0};
    if (straight && done == 0) b = {from, source.volume, scale, own, row, own, 0};
    if (n == row) {
      if (Asks > 0 && !straight) {
        if (const int64_t offset = ahead.next(source, line); offset >= 0) b.next = x + offset, b.next_step = source.volume;
      } else if (Asks > 0 && done * Asks * line < row) {
        const int64_t after = first + at + (target.straight ? row : count);
        const T* const next = after < p.pixels ? x + after : follows;
        // The last element of each line: that of the line's first is the column's before, unless rows begin at lines.
        if (next != nullptr) b.next = next + (done * Asks + 1) * line - 1, b.next_step = source.volume;
      }
      if (straight && done == 0)
        pointwise_block<T, R, NV, Asks, From, Scale && straight, S>(b, w, p.depth, to, to_row);
      else if constexpr (From != pixels_from::tensor_once)
        pointwise_block<T, R, NV, Asks, pixels_from::panel, false, S>(b, w, p.depth, to, to_row);
      return;
    }
    for (int64_t j = 0; j < n; j += L, b.from += L, b.copy += L, to += L) {
      if (straight && done == 0) {
        if (j + L <= n) {
          pointwise_block<T, R, 1, 0, From, Scale && straight, false>(b, w, p.depth, to, to_row);
          continue;
        }
        pack_pixels<T, Scale>(source, x, scale, 0, p.depth, first + at + j, n - j, own + j, row);  // not to read behind the tensor
        b.from = own + j, b.step = row;
      }
      pointwise_block<T, R, 1, 0, pixels_from::panel, false, false>(b, w, p.depth, to, to_row);
    }
  };
  if (!straight) pack_pixels<T, Scale>(source, x, scale, 0, p.depth, first, count, memory, p.pitch);
  const int64_t piece = target.straight ? row : count;  // of a panel, that is stored together
  for (int64_t at = 0; at < count; at += piece) {
    const int64_t n = smaller(piece, count - at);
    for (int64_t u = begin; u < end; ++u) {
      const int64_t valid = smaller(p.unit, p.targets - u * p.unit);
      const T* w = packed + u * p.blocks * p.block_weights();
      conv_place to = place;
      to.channel += u * p.unit / target.taps;
      if (E.program.length == 0 && target.straight && n == row && valid == R) {
        multiply(std::bool_constant<Stream>{}, at, n, u - begin, w,
                 y + (to.sample * to.channels + to.channel) * target.volume + first + at, target.volume);
        continue;
      }
      for (int64_t b = 0; b < p.blocks; ++b, w += p.block_weights())
        for (int64_t j = 0; j < n; j += row)
          multiply(std::false_type{}, at + j, smaller(row, n - j), (u - begin) * p.blocks + b, w, tile + b * R * p.tile_row + j, p.tile_row);
      if (target.straight) {
        for (int64_t r = 0; r < valid; ++r, ++to.channel) {
          to.offset = (to.sample * to.channels + to.channel) * target.volume + first + at;
          for (int64_t j = 0; j < n; j += L, to.offset += L)
            finish<E, Stream>(simd::load<V>(tile + r * row + j), y, extra, to, static_cast<int>(smaller(L, n - j)));
        }
      } else {
        store_windows<T, E, Stream>(target, tile, p.tile_row, valid / target.taps, first + at, n, y, extra, to);
      }
    }
  }
}

template <class T, ops::conv_geometry G, conv_side Side, ops::epilogue E, bool Scale>
void run_pointwise(const T* x, const T* packed, T* y, const T* const* extra, const T* scale, T* scratch, const team<T>& workers) noexcept {
  static constexpr pointwise_plan p = plan_pointwise<T>(G, Side);
  static constexpr bool forward = Side == conv_side::forward;
  static constexpr pixel_rows source = rows_of_pixels(G, forward), target = rows_of_pixels(G, !forward);
  constexpr int64_t sources = forward ? G.group_in() : G.group_out(), targets = forward ? G.group_out() : G.group_in();
  constexpr int64_t pairs = G.batch * G.groups, panels = pairs * p.panels;
  constexpr pixels_from from = !p.straight                ? pixels_from::panel
                               : p.units * p.blocks == 1 ? pixels_from::tensor_once
                                                         : pixels_from::tensor;
  const int64_t slices = workers.alone() ? 1 : p.slices, tasks = workers.alone() ? 1 : p.tasks;
  share_if<p.shared>(
      workers, tasks * slices, [&](int64_t i, int worker) __attribute__((always_inline)) {
        const int64_t slice = i / tasks, task = i % tasks, last = panels * (task + 1) / tasks;
        for (int64_t k = panels * task / tasks; k < last;) {
          // Panels of one sample and group; where the target is straight, they are columns that go in a row.
          const int64_t pair = k / p.panels, panel = k % p.panels, n = target.straight && p.straight ? smaller(last - k, p.panels - panel) : 1;
          const int64_t first = panel * p.panel;
          const T* const own = x + pair * sources * source.volume;
          pointwise_task<T, p.rows, p.vectors, p.asks, from, E, Scale, p.stream>(
              source, target, p, own, Scale ? scale + pair * sources : nullptr, packed + pair % G.groups * p.packed(),
              workers.memory(worker, scratch), p.units * slice / slices, p.units * (slice + 1) / slices, first,
              smaller(n * p.panel, p.pixels - first), y, extra, {pair / G.groups, pair % G.groups * targets, G.groups * targets, 0},
              pair + 1 < pairs ? own + sources * source.volume : nullptr);
          k += n;
        }
        if constexpr (p.stream) simd::stream_fence();
      });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
