// Tensors as matrices of (channel, tap) and pixel, for windows that do not overlap: rows of such a matrix out of the volume, and back into
// their windows.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/slabs.hpp>
#include <volute/kernels/conv3d/store.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// True where products of matrices are possible: windows do not overlap, and pixels fill a vector.
template <class T>
constexpr bool products_possible(const conv_shape& s) {
  const ops::conv_geometry& g = s.geometry;
  for (int a : volume_axes)
    if (g.lo[a] != 0 || g.kernel[a] > g.stride[a] || (g.kernel[a] > 1 && g.dilation[a] > 1) ||
        (g.out[a] - 1) * g.stride[a] + g.kernel[a] > g.in[a])
      return false;
  return g.out_volume() >= simd::width<T>;
}

/// A tensor as a matrix of (channel, tap) and pixel of y. Straight: y itself, or an x that has the same pixels.
struct pixel_rows {
  int64_t taps = 1, volume = 1;
  int64_t kernel[3]{1, 1, 1}, stride[3]{1, 1, 1}, size[3]{1, 1, 1}, out[3]{1, 1, 1};
  bool straight = true;
  constexpr int64_t offset(int64_t d, int64_t h, int64_t w) const {  // of the first tap of a pixel
    return (d * stride[0] * size[1] + h * stride[1]) * size[2] + w * stride[2];
  }
};

/// Of x (or dx), or of y (or g).
constexpr pixel_rows rows_of_pixels(const ops::conv_geometry& g, bool of_x) {
  pixel_rows q;
  q.volume = of_x ? g.in_volume() : g.out_volume();
  if (!of_x) return q;
  q.taps = g.taps();
  for (int a : volume_axes) {
    q.kernel[a] = g.kernel[a], q.stride[a] = g.stride[a], q.size[a] = g.in[a], q.out[a] = g.out[a];
    q.straight = q.straight && g.stride[a] == 1;
  }
  return q;
}

/// Runs f(position in the range, d, h, w, rows, length of a row) for pixels [first, first + count): whole rows of one plane together, the
/// part of a row alone.
template <class F>
VOLUTE_INLINE void for_each_run(const pixel_rows& q, int64_t first, int64_t count, F f) {
  auto [d, h, w] = voxel_at(first, q.out[1], q.out[2]);
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
    const auto [d, h, w] = voxel_at(at, q.out[1], q.out[2]);
    first += smaller(larger(1, line / q.stride[2]), q.out[2] - w);
    return q.offset(d, h, w);
  }
  /// Takes the next line along if it begins at `offset`.
  VOLUTE_INLINE bool follows(const pixel_rows& q, int64_t offset, int64_t line) {
    const int64_t before = first;
    if (next(q, line) == offset) return true;
    first = before;
    return false;
  }
};

/// v times the factor, if Scale.
template <bool Scale, class V>
VOLUTE_INLINE V scaled(V v, V factor) {
  return Scale ? v * factor : v;
}

/// n neighbouring elements, in whole vectors.
template <bool Scale, class T, class V>
VOLUTE_INLINE void copy_run(const T* from, int64_t n, V factor, T* out) noexcept {
  constexpr int L = simd::lanes<V>;
  int64_t j = 0;
  for (; j + L <= n; j += L) simd::store(out + j, scaled<Scale>(simd::load<V>(from + j), factor));
  if (j < n) simd::store(out + j, scaled<Scale>(simd::load_partial<V>(from + j, int(n - j)), factor));
}

/// A run of n pixels, `step` elements apart, and the `columns` - 1 elements behind each to the rows that follow.
template <bool Scale, class T, class V>
VOLUTE_INLINE void pack_run(const T* from, int64_t n, int64_t step, int64_t columns, T factor, T* out, int64_t pitch) noexcept {
  constexpr int L = simd::lanes<V>;
  if (step == 1) return copy_run<Scale>(from, n, V(factor), out);
  if (step > 2) {
    for (int64_t k = 0; k < columns; ++k, out += pitch)
      for (int64_t j = 0; j < n; ++j) out[j] = scaled<Scale>(from[j * step + k], factor);
    return;
  }
  for (int64_t j = 0; j < n; j += L, from += 2 * L, out += L) {
    const int64_t there = 2 * (n - j) - (2 - columns);  // behind the last pixel's window nothing need exist
    V a, b;
    if (there >= 2 * L) {
      a = simd::load<V>(from), b = simd::load<V>(from + L);
    } else {
      a = load_first<V>(from, there);
      b = there > L ? load_first<V>(from + L, there - L) : V(T(0));
    }
    a = scaled<Scale>(a, V(factor)), b = scaled<Scale>(b, V(factor));
    simd::store(out, simd::unzip<0>(a, b));
    if (columns == 2) simd::store(out + pitch, simd::unzip<1>(a, b));
  }
}

/// Rows [row, row + rows) of pixels [first, first + count) to to[row][pitch], whole vectors, zero behind the last pixel. `row` and `rows`
/// are multiples of kernel[2]; pitch >= count + lanes. `scale`: one factor a channel.
template <class T, bool Scale>
VOLUTE_NO_INLINE void pack_pixels(const pixel_rows& q, const T* x, const T* scale, int64_t row, int64_t rows, int64_t first, int64_t count,
                                  T* to, int64_t pitch) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  const auto factor_of = [&](int64_t channel) { return Scale ? scale[channel] : T(1); };
  if (q.straight) {
    const int64_t ahead = ceil_divide(1024, count);  // rows, in which memory answers
    for (int64_t r = row; r < row + rows; ++r, to += pitch) {
      const T* const next = r + ahead < row + rows ? x + (r + ahead) * q.volume + first : x + (r + ahead - rows) * q.volume + first + count;
      for (int64_t j = 0; j < count; j += line_of<T>) simd::prefetch(next + j);
      copy_run<Scale>(x + r * q.volume + first, count, V(factor_of(r)), to);
    }
    return;
  }
  const int64_t last = (count - 1) / L * L, columns = q.kernel[2];
  for (int64_t r = row; r < row + rows; r += columns, to += columns * pitch) {
    const int64_t channel = r / q.taps, tap = r % q.taps / columns;
    const T* const base = x + channel * q.volume + (tap / q.kernel[1] * q.size[1] + tap % q.kernel[1]) * q.size[2];
    const T factor = factor_of(channel);
    for (int64_t k = 0; k < columns; ++k) simd::store(to + k * pitch + last, V(T(0)));
    for_each_run(q, first, count, [&](int64_t at, int64_t d, int64_t h, int64_t w, int64_t lines, int64_t n) VOLUTE_ALWAYS_INLINE {
      for (int64_t i = 0; i < lines; ++i)
        pack_run<Scale, T, V>(base + q.offset(d, h + i, w), n, q.stride[2], columns, factor, to + at + i * n, pitch);
    });
  }
}

/// `columns` elements of a row of dx: the rows of a tile (one for each of `taps` taps of the width, or none of them: null) take turns, with
/// zeros to fill the stride and behind the last of the `n` pixels.
template <class T, ops::epilogue E, bool Stream>
VOLUTE_INLINE void store_columns(const T* tile, int64_t tile_row, int64_t taps, int64_t step, int64_t n, int64_t columns,
                                 const conv_output<T>& out, conv_place at) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  const auto part = [n](const T* from, int64_t j) VOLUTE_ALWAYS_INLINE {
    return j + L <= n ? simd::load<V>(from + j) : j < n ? simd::load_partial<V>(from + j, int(n - j)) : V(T(0));
  };
  if (step == 2) {
    for (int64_t j = 0; 2 * j < columns; j += L, at.offset += 2 * L) {
      const int64_t left = columns - 2 * j;
      V a(T(0)), b(T(0));
      if (tile != nullptr) {
        a = part(tile, j);
        if (taps == 2) b = part(tile + tile_row, j);
      }
      finish<E, Stream>(simd::zip_low(a, b), out, at, left);
      conv_place behind = at;
      behind.offset += L;
      if (left > L) finish<E, Stream>(simd::zip_high(a, b), out, behind, left - L);
    }
    return;
  }
  for (int64_t c = 0; c < columns; c += L, at.offset += L) {
    const int count = int(smaller(L, columns - c));
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
    finish<E, Stream>(value, out, at, count);
  }
}

/// `channels` channels of a tile [channel][tap][pixel] to their windows in dx: pixels [first, first + count) of y. The last windows of an
/// axis take with them what lies behind.
template <class T, ops::epilogue E, bool Stream>
VOLUTE_NO_INLINE void store_windows(const pixel_rows& q, const T* tile, int64_t tile_row, int64_t channels, int64_t first, int64_t count,
                                    conv_output<T> out, conv_place at) noexcept {
  const auto extent = [&](int a, int64_t i, int64_t next) {  // of dx, for positions [i, next) of y
    return (next < q.out[a] ? next * q.stride[a] : q.size[a]) - i * q.stride[a];
  };
  const int64_t row_taps = q.kernel[2];
  for (int64_t c = 0; c < channels; ++c, ++at.channel, tile += q.taps * tile_row) {
    const int64_t base = (at.sample * at.channels + at.channel) * q.volume;
    for_each_run(q, first, count, [&](int64_t from, int64_t d, int64_t h, int64_t w, int64_t lines, int64_t n) VOLUTE_ALWAYS_INLINE {
      const int64_t planes = extent(0, d, d + 1), columns = extent(2, w, w + n);
      const bool whole = columns == q.size[2];  // rows of dx; the last one with a tap takes those behind it along
      for (int64_t i = 0; i < planes; ++i) {
        const bool none = i >= q.kernel[0];
        const int64_t start = base + i * q.size[1] * q.size[2] + q.offset(d, h, w);
        if (none && whole) {
          at.offset = start;
          store_columns<T, E, Stream>(nullptr, 0, 1, 1, 0, extent(1, h, h + lines) * columns, out, at);
          continue;
        }
        for (int64_t l = 0; l < lines; ++l) {
          const int64_t rows = extent(1, h + l, h + l + 1), last = whole ? smaller(rows, q.kernel[1]) : rows;
          for (int64_t j = 0; j < last; ++j) {
            at.offset = start + (l * q.stride[1] + j) * q.size[2];
            const T* const results = tile + (i * q.kernel[1] + j) * row_taps * tile_row + from + l * n;
            store_columns<T, E, Stream>(none || j >= q.kernel[1] ? nullptr : results, tile_row, row_taps, q.stride[2], n,
                                        whole && j + 1 == q.kernel[1] ? (rows - j) * columns : columns, out, at);
          }
        }
      }
    });
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
