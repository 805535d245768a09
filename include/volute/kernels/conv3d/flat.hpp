// Direct convolution of stride 1 with the pixels of whole planes in the lanes, however narrow their rows: 16 lanes hold a plane of 4x4. A
// tap reads the source where it is, as long as its rows are as long as the target's: the lanes that would read beyond the ends of a row,
// or above or below the plane, are masked. A block of target channels of several planes stays in registers, so that each vector of the
// source is loaded once for all taps of the depth and all these channels. No copy, no tile; planes of the padding are left out.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/rows_plan.hpp>
#include <volute/kernels/conv3d/store.hpp>

#include <cstdint>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What the code of one register block depends on: target channels and vectors of a plane, the taps of the depth, elements of a source
/// plane.
struct flat_code {
  int channels = 1, vectors = 1;
  int64_t taps = 1, dilation = 1, plane = 0;
};

/// Target planes that are accumulated together, and which of the source planes that their taps span exist.
struct flat_segment {
  int planes = 1, low = 0, high = 0;
};

/// True where one of n neighbouring target planes reads the q-th source plane of those that their taps span.
constexpr bool flat_reads(int64_t taps, int64_t dilation, int64_t n, int64_t q) {
  for (int64_t t = 0; t < taps; ++t)
    if (q - t * dilation >= 0 && q - t * dilation < n) return true;
  return false;
}

/// Positions of an axis of `count` elements that all its taps read, each counted.
constexpr int64_t positions_read(const correlation_axis& c, int64_t count) {
  int64_t n = 0;
  for (int64_t t = 0; t < c.taps; ++t) {
    const tap_range r = positions_inside(c, t, count);
    n += r.last - r.first;
  }
  return n;
}

struct flat_plan {
  flat_code code;
  int64_t segments = 1, strips = 1, blocks = 1;  // of the depth, of a plane's vectors, of target channels
  double cycles = 0;                             // of one sample and group, as expected
  int64_t parts = 1;                             // for threads
  constexpr int64_t scratch() const { return 0; }
  constexpr int64_t worker_scratch() const { return 0; }
};

constexpr flat_segment flat_segment_of(const correlation_axis& depth, int64_t count, int64_t segments, int64_t i) {
  const int64_t first = depth.n * i / segments, last = depth.n * (i + 1) / segments, from = first + depth.offset;
  const int64_t span = last - first + (depth.taps - 1) * depth.offset_step;
  const int64_t low = smaller(span, larger(0, -from));
  return {static_cast<int>(last - first), static_cast<int>(low), static_cast<int>(larger(low, smaller(span, count - from)))};
}

/// Stride 1, rows of source and target of the same length, and registers for all taps of the depth (for the filter's adjoint twice).
template <class T>
constexpr bool flat_possible(const ops::conv_geometry& g) {
  return simd::masked_loads<T> && g.stride[0] == 1 && g.stride[1] == 1 && g.stride[2] == 1 && g.in[2] == g.out[2] &&
         2 * g.kernel[0] + 2 <= row_registers;
}

/// The block of which the least cycles are expected: two products or loads a cycle, a load from an odd place counts twice, and each sum is
/// a chain with 4 cycles a link.
template <class T>
constexpr flat_plan plan_flat(const ops::conv_geometry& g, conv_side side) {
  flat_plan best;
  const conv_shape s = shape_of(g, side);
  const correlation_axis d = correlation(g, side, 0, 0);
  const int64_t vectors = ceil_divide(s.target_size[1] * s.target_size[2], simd::width<T>), taps = s.kernel[1] * s.kernel[2];
  const int64_t planes_read = positions_read(d, s.source_size[0]);
  for (int64_t most = smaller(d.n, accumulators); most > 0; --most) {
    flat_plan p;
    p.segments = ceil_divide(d.n, most);
    p.code.taps = d.taps;
    p.code.dilation = d.offset_step;
    p.code.plane = s.source_size[1] * s.source_size[2];
    const int64_t segments = p.segments, planes = ceil_divide(d.n, segments);
    int64_t sources = 0;
    for (int64_t q = 0; q < planes + (d.taps - 1) * d.offset_step; ++q) sources += flat_reads(d.taps, d.offset_step, planes, q) ? 1 : 0;
    for (p.code.channels = 1; p.code.channels <= smaller(8, s.target_channels); ++p.code.channels)
      for (p.code.vectors = 1; p.code.vectors <= smaller(4, vectors); ++p.code.vectors) {
        const int64_t sums = planes * p.code.channels * p.code.vectors, read = sources * p.code.vectors;
        if (sums > accumulators || sums + read + (simd::masks<T> ? 0 : p.code.vectors) > row_registers) break;
        p.strips = ceil_divide(vectors, p.code.vectors);
        p.blocks = ceil_divide(s.target_channels, p.code.channels);
        const int64_t products = planes_read * p.code.channels * p.code.vectors;
        const int64_t loads = segments * (p.code.channels * d.taps + 2 * read), chains = segments * 8 * d.taps;
        const int64_t step = larger(products, larger(loads, chains)) / 2 + 3 * segments;
        p.cycles = static_cast<double>(p.strips * p.blocks * (taps * s.source_channels * step + segments * (20 + 2 * sums + 5 * taps)));
        if (best.cycles == 0 || p.cycles < best.cycles) best = p;
      }
  }
  best.parts = parts_of(conv_work(g));
  return best;
}

/// Lanes of each vector of a plane that a tap of height and width finds in the source, by tap and vector.
template <class T, ops::conv_geometry G, conv_side Side>
struct flat_masks {
  static constexpr conv_shape s = shape_of(G, Side);
  static constexpr int64_t vectors = ceil_divide(s.target_size[1] * s.target_size[2], simd::width<T>) + 3;  // a block may go beyond
  uint16_t list[G.kernel[1] * G.kernel[2] * vectors];
  constexpr flat_masks() : list{} {
    const correlation_axis ch = correlation(G, Side, 1, 0), cw = correlation(G, Side, 2, 0);
    uint16_t* at = list;
    for (int64_t th = 0; th < ch.taps; ++th)
      for (int64_t tw = 0; tw < cw.taps; ++tw, at += vectors)
        for (int64_t h = 0, pixel = 0; h < ch.n; ++h) {
          const int64_t row = h + ch.offset + th * ch.offset_step;
          if (row < 0 || row >= s.source_size[1]) {
            pixel += cw.n;
            continue;
          }
          for (int64_t w = 0; w < cw.n; ++w, ++pixel) {
            const int64_t column = w + cw.offset + tw * cw.offset_step;
            if (column >= 0 && column < s.source_size[2])
              at[pixel / simd::width<T>] = static_cast<uint16_t>(at[pixel / simd::width<T>] | 1u << pixel % simd::width<T>);
          }
        }
  }
};
template <class T, ops::conv_geometry G, conv_side Side>
inline constexpr flat_masks<T, G, Side> flat_masks_of{};

template <class T>
constexpr int64_t flat_packed_size(const ops::conv_geometry& g, conv_side side) {
  const flat_plan p = plan_flat<T>(g, side);
  return g.groups * p.blocks * p.code.channels * shape_of(g, side).source_channels * g.taps();
}

/// Packed: [group][block of target channels][tap h][tap w][source channel][tap d][target channel].
template <class T>
__attribute__((noinline)) void pack_flat(const conv_shape& s, const flat_plan& p, const T* w, T* packed) noexcept {
  const correlation_axis &cd = s.classes[0][0], &ch = s.classes[1][0], &cw = s.classes[2][0];
  for (int64_t group = 0; group < s.groups; ++group)
    for (int64_t first = 0; first < s.target_channels; first += p.code.channels)
      for (int64_t h = 0; h < ch.taps; ++h)
        for (int64_t x = 0; x < cw.taps; ++x)
          for (int64_t c = 0; c < s.source_channels; ++c)
            for (int64_t d = 0; d < cd.taps; ++d) {
              const int64_t tap = ((cd.k + d * cd.k_step) * s.kernel[1] + ch.k + h * ch.k_step) * s.kernel[2] + cw.k + x * cw.k_step;
              const T* from = w + group * s.target_channels * s.source_channels * s.taps() + c * s.weight_source + tap;
              for (int64_t o = first; o < first + p.code.channels; ++o, ++packed)
                *packed = o < s.target_channels ? from[o * s.weight_target] : T(0);
            }
}

template <class T>
struct flat_job {
  const T* x = nullptr;  // what the first tap would read for the first lane
  const T* w = nullptr;
  const T* scale = nullptr;
  const uint16_t* masks = nullptr;
  int64_t masks_step = 0, h = 1, k = 1, channels = 1;  // taps of height and width; source channels
  int64_t x_h = 0, x_k = 0, x_channel = 0;
  int64_t valid = 1, pixels = 1;  // target channels; pixels of the plane from the first lane on
  int64_t y_channel = 0, y_plane = 0;
};

/// One block of target channels, vectors and planes, finished, to its place.
template <class T, flat_code C, flat_segment S, ops::epilogue E, bool Scale>
__attribute__((noinline)) void flat_block(const flat_job<T>& j, T* y, const T* const* extra, const conv_place& place) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>, O = C.channels, N = S.planes, NV = C.vectors, K = static_cast<int>(C.taps);
  constexpr int dilation = static_cast<int>(C.dilation);
  V acc[O][N][NV];
  VOLUTE_UNROLL
  for (int o = 0; o < O; ++o) VOLUTE_UNROLL
  for (int n = 0; n < N; ++n) VOLUTE_UNROLL
  for (int v = 0; v < NV; ++v) acc[o][n][v] = V(T(0));
  const T* w = j.w;
  const uint16_t* masks = j.masks;
  for (int64_t h = 0; h < j.h; ++h)
    for (int64_t k = 0; k < j.k; ++k, masks += j.masks_step) {
      unsigned mask[NV], any = 0;
      VOLUTE_UNROLL
      for (int v = 0; v < NV; ++v) mask[v] = masks[v], any |= mask[v];
      if (any == 0) {
        w += j.channels * K * O;
        continue;
      }
      const T* x = j.x + h * j.x_h + k * j.x_k;
      VOLUTE_NO_UNROLL
      for (int64_t c = 0; c < j.channels; ++c, x += j.x_channel, w += K * O) {
        V xv[S.high == S.low ? 1 : S.high - S.low][NV];
        VOLUTE_UNROLL
        for (int q = S.low; q < S.high; ++q) {
          if (!flat_reads(C.taps, C.dilation, N, q)) continue;
          VOLUTE_UNROLL
          for (int v = 0; v < NV; ++v) {
            V& value = xv[q - S.low][v];
            value = simd::load_masked<V>(x + q * C.plane + v * L, mask[v]);
            if constexpr (Scale) value = value * V(j.scale[c]);
          }
        }
        VOLUTE_UNROLL
        for (int t = 0; t < K; ++t) VOLUTE_UNROLL
        for (int o = 0; o < O; ++o) {
          V wv(w[t * O + o]);
          simd::keep(wv);
          VOLUTE_UNROLL
          for (int n = 0; n < N; ++n) {
            const int q = n + t * dilation;
            if (q < S.low || q >= S.high) continue;
            VOLUTE_UNROLL
            for (int v = 0; v < NV; ++v) acc[o][n][v] = simd::fma(wv, xv[q - S.low][v], acc[o][n][v]);
          }
        }
      }
    }
  VOLUTE_UNROLL
  for (int o = 0; o < O; ++o) {
    if (o >= j.valid) break;
    VOLUTE_UNROLL
    for (int n = 0; n < N; ++n) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) {
      if (v > 0 && v * L >= j.pixels) break;
      conv_place at = place;
      at.channel += o;
      at.offset += o * j.y_channel + n * j.y_plane + v * L;
      finish<E>(acc[o][n][v], y, extra, at, static_cast<int>(smaller(L, j.pixels - v * L)));
    }
  }
}

/// The blocks of all segments of the depth.
template <class T, ops::conv_geometry G, conv_side Side, ops::epilogue E, bool Scale>
struct flat_blocks {
  using block = void (*)(const flat_job<T>&, T*, const T* const*, const conv_place&) noexcept;
  static constexpr flat_plan plan = plan_flat<T>(G, Side);
  block list[plan.segments];
  constexpr flat_blocks() : list{} { fill(std::make_integer_sequence<int64_t, plan.segments>{}); }
  template <int64_t... I>
  constexpr void fill(std::integer_sequence<int64_t, I...>) {
    constexpr conv_shape s = shape_of(G, Side);
    ((list[I] = &flat_block<T, plan.code, flat_segment_of(correlation(G, Side, 0, 0), s.source_size[0], plan.segments, I), E, Scale>), ...);
  }
};

template <class T, ops::conv_geometry G, conv_side Side, ops::epilogue E, bool Scale>
void run_flat(const T* x, const T* packed, T* y, const T* const* extra, const T* scale, const team<T>& workers) noexcept {
  constexpr const conv_shape& s = conv_shape_of<G, Side>;
  static constexpr flat_plan p = plan_flat<T>(G, Side);
  static constexpr flat_blocks<T, G, Side, E, Scale> blocks;
  constexpr int64_t channels = s.groups * s.target_channels, volume = s.source_volume(), lanes = p.code.vectors * simd::width<T>;
  constexpr const correlation_axis &cd = s.classes[0][0], &ch = s.classes[1][0], &cw = s.classes[2][0];
  constexpr int64_t row = s.source_size[2], y_plane = s.target_size[1] * s.target_size[2];
  share_ranges(workers, s.batch * s.groups * p.blocks * p.segments * p.strips, 1, p.parts, [&](int64_t begin, int64_t end, int) noexcept {
    flat_job<T> j;
    j.masks_step = flat_masks<T, G, Side>::vectors;
    j.h = ch.taps;
    j.k = cw.taps;
    j.channels = s.source_channels;
    j.x_h = ch.offset_step * row;
    j.x_k = cw.offset_step;
    j.x_channel = volume;
    j.y_channel = s.target_volume();
    j.y_plane = y_plane;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t strip = i % p.strips, segment = i / p.strips % p.segments, b = i / (p.strips * p.segments) % p.blocks;
      const int64_t pair = i / (p.strips * p.segments * p.blocks), group = pair % s.groups, first = b * p.code.channels;
      const int64_t plane = cd.n * segment / p.segments, pixel = strip * lanes;
      j.x = x + pair * s.source_channels * volume + (plane + cd.offset) * p.code.plane + ch.offset * row + cw.offset + pixel;
      j.w = packed + (group * p.blocks + b) * s.taps() * s.source_channels * p.code.channels;
      if constexpr (Scale) j.scale = scale + pair * s.source_channels;
      j.masks = flat_masks_of<T, G, Side>.list + strip * p.code.vectors;
      j.valid = s.target_channels - first;
      j.pixels = y_plane - pixel;
      const conv_place at{pair / s.groups, group * s.target_channels + first, channels,
                          (pair * s.target_channels + first) * j.y_channel + plane * y_plane + pixel};
      blocks.list[segment](j, y, extra, at);
    }
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
