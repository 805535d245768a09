// Padded copies of the source with pixels end to end, which kernels with pixels in the lanes read without a test: of whole volumes, for any
// stride (conv3d/width.hpp), or of some rows of some planes, whole vectors at a time (conv3d/planes.hpp).
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/store.hpp>

#include <cstdint>
#include <type_traits>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// An odd number of cache lines: planes of a power of two would all lie in the same few sets of the first-level cache.
constexpr int64_t odd_lines(int64_t elements, int64_t size) {
  const int64_t line = 64 / size;
  return (ceil_divide(elements, line) | 1) * line;
}

/// How a padded copy lies: [channel][depth][w residue][h residue][row][column].
struct padded_layout {
  int64_t step[2]{1, 1};                                  // residues of height and width
  int64_t rows = 1, pitch = 1;                            // of one residue class
  int64_t part = 0, plane = 0, channel = 0;               // elements of one residue class, of all of a plane, of a channel
  constexpr int64_t offset(int64_t h, int64_t w) const {  // of padded position (h, w)
    return ((w % step[1]) * step[0] + h % step[0]) * part + h / step[0] * pitch + w / step[1];
  }
  /// Sizes for so many rows of each residue class and `gap` elements behind them, of `size` bytes.
  constexpr void set_rows(int64_t count, int64_t gap, int64_t size) {
    rows = count;
    part = rows * pitch + gap;
    plane = odd_lines(step[0] * step[1] * part, size);
  }
};

/// Where tap t finds the first position's element in a padded copy.
constexpr int64_t tap_position(const correlation_axis& c, int64_t t, const source_axis& copy) { return c.source_of(0, t) + copy.pad; }

/// Offsets of the taps in a padded copy, one residue class after the other: of the height, of the width, and of both together.
template <ops::conv_geometry G, conv_side Side>
struct tap_offsets {
  int64_t h[G.kernel[1]], w[G.kernel[2]], both[G.kernel[1] * G.kernel[2]];
  constexpr tap_offsets(const padded_layout& l, const source_axis (&source)[3]) : h{}, w{}, both{} {
    constexpr conv_shape s(G, Side);
    int64_t *to_h = h, *to = both;
    s.for_each_class(1, [&](const correlation_axis& ch) {
      for (int64_t t = 0; t < ch.taps; ++t) to_h[t] = l.offset(tap_position(ch, t, source[1]), 0);
      int64_t* to_w = w;
      s.for_each_class(2, [&](const correlation_axis& cw) {
        for (int64_t t = 0; t < cw.taps; ++t) to_w[t] = l.offset(0, tap_position(cw, t, source[2]));
        for (int64_t t = 0; t < ch.taps * cw.taps; ++t) *to++ = to_h[t / cw.taps] + to_w[t % cw.taps];
        to_w += cw.taps;
      });
      to_h += ch.taps;
    });
  }
};

/// The padded copy of whole volumes.
struct rows_layout : padded_layout {
  source_axis source[3]{};
  bool direct = false;  // the source itself has this layout
};

constexpr rows_layout rows_of(const conv_shape& s) {
  rows_layout r;
  r.direct = s.taps() == 1;
  for (int a : volume_axes) {
    const source_axis x = r.source[a] = s.source(a, 1, a > 0);
    const int64_t size = s.source_size[a], step = s.axis[a].step;
    if (a > 0) r.step[a - 1] = step;
    r.direct = r.direct && s.class_counts[a] == 1 && x.step == 1 && x.count == size && x.extent == size && (a == 0 || step == 1);
  }
  r.rows = ceil_divide(r.source[1].extent, r.step[0]);
  r.pitch = ceil_divide(r.source[2].extent, r.step[1]);
  r.part = r.rows * r.pitch;
  r.plane = r.step[0] * r.step[1] * r.part;
  r.channel = r.source[0].count * r.plane;
  return r;
}

/// Row `row` of a padded plane, the elements of residue class `residue`: zeros, then those of `in`, then zeros.
template <class T, bool Scale>
VOLUTE_INLINE void copy_row(const rows_layout& r, int64_t residue, const T* in, T factor, T* line) noexcept {
  const source_axis& w = r.source[2];
  const int64_t step = r.step[1], stride = step * w.step;
  const int64_t before = smaller(r.pitch, larger(0, ceil_divide(w.pad - residue, step)));
  const int64_t end = larger(before, smaller(r.pitch, ceil_divide(w.count + w.pad - residue, step)));
  const T* const first = in + (residue - w.pad) * w.step;
  const auto copy = [&](auto each) VOLUTE_ALWAYS_INLINE {
    for (int64_t k = before; k < end; ++k) line[k] = Scale ? first[k * each] * factor : first[k * each];
  };
  for (int64_t k = 0; k < before; ++k) line[k] = T(0);
  if (stride == 1)  // constants, for the sake of vectors
    copy(std::integral_constant<int64_t, 1>{});
  else if (stride == 2)
    copy(std::integral_constant<int64_t, 2>{});
  else
    copy(stride);
  for (int64_t k = end; k < r.pitch; ++k) line[k] = T(0);
}

/// The padded copy of some channels of one sample: of the planes of all of them, in the order of depth, those in [first_plane, last_plane).
/// Who copies a plane then convolves it, and has it in the cache.
template <class T, bool Scale>
VOLUTE_NO_INLINE void copy_rows(const conv_shape& s, const rows_layout& r, const T* x, int64_t channels, const T* scale, T* copy,
                                int64_t first_plane, int64_t last_plane) noexcept {
  const int64_t row = s.source_size[2], plane = s.source_size[1] * row;
  const source_axis &h = r.source[1], &w = r.source[2];
  int64_t c = first_plane % channels, d = first_plane / channels;
  for (int64_t p = first_plane; p < last_plane; ++p, c = c + 1 < channels ? c + 1 : (++d, 0)) {
    T* line = copy + c * r.channel + d * r.plane;
    T factor(1);
    if constexpr (Scale) factor = scale[c];
    const T* from = x + c * s.source_volume() + (r.source[0].start + d * r.source[0].step) * plane + h.start * row + w.start;
    for (int64_t rw = 0; rw < r.step[1]; ++rw)
      for (int64_t rh = 0; rh < r.step[0]; ++rh)
        for (int64_t i = 0; i < r.rows; ++i, line += r.pitch) {
          const int64_t source_row = i * r.step[0] + rh - h.pad;
          if (source_row < 0 || source_row >= h.count)
            fill_zeros(line, r.pitch);
          else
            copy_row<T, Scale>(r, rw, from + source_row * h.step * row, factor, line);
        }
  }
}

/// to[0 .. n-1] = 0, and up to a vector beyond.
template <class T>
VOLUTE_INLINE void zero_over(T* to, int64_t n) noexcept {
  using V = simd::vec<T>;
  V zero(T(0));
  simd::keep(zero);  // or g++ calls memset
  for (int64_t k = 0; k < n; k += simd::lanes<V>) simd::store(to + k, zero);
}

/// The padded copy of some rows of some planes, with a gap behind each residue class into which the copy of its last row may run: its
/// layout, the source's height and width, the lengths of the source's rows, planes and channels. Nothing is read at or behind x_end.
template <class T>
struct slab_copy {
  const padded_layout& layout;
  const source_axis &height, &width;
  int64_t row, plane, volume;
  const T* x_end;
};

/// Rows from `first` on (of each residue class) of one plane. A row's end runs into the next one, which is written after it. Parts: residue
/// classes of the width.
template <class T, bool Scale, int Parts>
VOLUTE_NO_INLINE void copy_slab(const slab_copy<T>& slab, const T* x, int64_t first, T factor, T* to) noexcept {
  const auto [l, h, w, row, plane, volume, x_end] = slab;  // in registers: stores may alias what a reference reads
  using V = simd::vec<T>;
  constexpr int64_t L = simd::lanes<V>;
  const V f(factor);
  const int64_t count = w.count, pitch = l.pitch, step = l.step[0], left[2]{w.pad / Parts, (w.pad + 1) / 2};
  const int64_t used[2]{(count + Parts - 1) / Parts, count / 2};
  for (int64_t rh = 0; rh < step; ++rh) {
    // Rows [begin, end) exist, and those before `safe` can be read by whole vectors.
    const int64_t above = h.pad - rh - first * step, begin = smaller(l.rows, larger(0, ceil_divide(above, step)));
    const int64_t end = larger(begin, smaller(l.rows, ceil_divide(h.count + above, step)));
    const T* in = x + (begin * step - above) * row;
    const int64_t ahead = x_end - in - ceil_divide(count, Parts * L) * Parts * L;
    const int64_t safe = smaller(end, ahead < 0 ? begin : begin + ahead / (step * row) + 1);
    T* line[Parts];
    for (int64_t k = 0; k < Parts; ++k) {  // source columns k, k + Parts, ...
      T* const part = to + ((w.pad + k) % Parts * step + rh) * l.part;
      line[k] = part + begin * pitch + left[k];
      zero_over(part, begin * pitch + left[k]);
    }
    const auto copy = [&](auto read) VOLUTE_ALWAYS_INLINE {
      for (int64_t c = 0; c < count; c += Parts * L) {
        V a = read(in + c);
        if constexpr (Scale) a = a * f;
        if constexpr (Parts == 1) {
          simd::store(line[0] + c, a);
        } else {
          V b = read(in + c + L);
          if constexpr (Scale) b = b * f;
          simd::store(line[0] + c / 2, simd::unzip<0>(a, b));
          simd::store(line[1] + c / 2, simd::unzip<1>(a, b));
        }
      }
      for (int64_t k = 0; k < Parts; ++k) {
        zero_over(line[k] + used[k], pitch - used[k]);
        line[k] += pitch;
      }
      in += step * row;
    };
    for (int64_t i = begin; i < safe; ++i) copy([](const T* p) VOLUTE_ALWAYS_INLINE { return simd::load<V>(p); });
    for (int64_t i = safe; i < end; ++i)
      copy([&](const T* p) VOLUTE_ALWAYS_INLINE { return simd::load_partial<V>(p, int(larger(0, smaller(L, x_end - p)))); });
    for (int64_t k = 0; k < Parts; ++k)  // with the gap, which surplus lanes read
      zero_over(line[k], (l.rows - end) * pitch + l.part - l.rows * pitch - left[k] - L);
  }
}

/// The same of planes [planes.first, planes.last) of `channels` channels, for as many residue classes of the width as the layout has; those
/// numbered 0 stand, or would stand, at x and at `to`. scale: one factor a channel.
template <class T, bool Scale>
void copy_slabs(const slab_copy<T>& slab, const T* x, const tap_range& planes, int64_t channels, int64_t first, const T* scale,
                T* to) noexcept {
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t q = planes.first; q < planes.last; ++q) {
      const T* const from = x + c * slab.volume + q * slab.plane;
      const T factor = Scale ? scale[c] : T(1);
      T* const out = to + c * slab.layout.channel + q * slab.layout.plane;
      if (slab.layout.step[1] == 2)
        copy_slab<T, Scale, 2>(slab, from, first, factor, out);
      else
        copy_slab<T, Scale, 1>(slab, from, first, factor, out);
    }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
