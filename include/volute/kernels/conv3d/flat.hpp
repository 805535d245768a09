// Direct convolution of stride 1 with the pixels of whole planes in the lanes, however narrow their rows: 16 lanes hold a plane of 4x4. A
// tap reads the source where it is, as long as its rows are as long as the target's: the lanes that would read beyond the ends of a row,
// or above or below the plane, are masked. A block of target channels of several planes stays in registers, so that each vector of the
// source is loaded once for all taps of the depth and all these channels. No copy, no tile; planes of the padding are left out.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/pixels.hpp>

#include <array>
#include <cstddef>
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

/// True where one of n neighbouring target planes reads the q-th source plane of those that their taps span.
constexpr bool flat_reads(int64_t taps, int64_t dilation, int64_t n, int64_t q) {
  for (int64_t t = 0; t < taps; ++t)
    if (q - t * dilation >= 0 && q - t * dilation < n) return true;
  return false;
}

/// The depth in segments of at most `most` target planes, and the source planes that one of them reads.
struct flat_depth {
  int64_t segments = 1, planes = 1, sources = 0;
  constexpr flat_depth(const correlation_axis& d, int64_t most) : segments(ceil_divide(d.n, most)), planes(ceil_divide(d.n, segments)) {
    for (int64_t q = 0; q < planes + (d.taps - 1) * d.offset_step; ++q) sources += flat_reads(d.taps, d.offset_step, planes, q) ? 1 : 0;
  }
};

/// Cycles of a step of all segments: products or loads, which begin at once, but no less than the chains of `sums` take.
constexpr int64_t flat_step(int64_t products, int64_t loads, int64_t segments, int64_t sums) {
  static_assert(machine.products == machine.loads);
  return larger(products, larger(loads, segments * machine.latency * machine.products * sums)) / machine.products;
}

struct flat_plan : pixels_plan {  // without scratch memory
  flat_code code;
  int64_t segments = 1, vector_blocks = 1;  // of the depth, of a plane's vectors
  double cycles = 0;                        // of one sample and group, as expected
  int64_t parts = 1;                        // for threads
};

constexpr axis_segment flat_segment_of(const correlation_axis& depth, int64_t count, int64_t segments, int64_t i) {
  const tap_range planes = nth_range(depth.n, i, segments);
  return segment_between(depth, planes.first, planes.last, count);
}

/// Stride 1, rows of source and target of the same length, and registers for all taps of the depth (for the filter's adjoint twice).
template <class T>
constexpr bool flat_possible(const ops::conv_geometry& g) {
  return simd::masked_loads<T> && unit_stride(g) && g.in[2] == g.out[2] && 2 * g.kernel[0] + 2 <= row_registers;
}

/// Cycles of one sample and group with plan p for a shape s that reads `planes_read` pairs of a plane and a tap of the depth: `products` or
/// loads begin at once, a load from an odd place counts twice, and each sum is a chain. A step is a tap of height and width and a source
/// channel; each takes 3 cycles more, as measured, and each block 20, 2 for each sum and 5 for each tap.
constexpr double flat_cycles(const flat_plan& p, const conv_shape& s, int64_t planes_read, int64_t sources, int64_t sums) {
  const flat_code& c = p.code;
  const int64_t products = planes_read * c.channels * c.vectors, taps = s.plane_taps();
  const int64_t loads = p.segments * (c.channels * c.taps + 2 * sources * c.vectors);
  const int64_t step = flat_step(products, loads, p.segments, c.taps) + 3 * p.segments;
  return double(p.vector_blocks * p.blocks * (taps * s.source_channels * step + p.segments * (20 + 2 * sums + 5 * taps)));
}

/// The block of which the least cycles are expected: of up to 8 channels and 4 vectors, whose code stays small.
template <class T>
constexpr flat_plan plan_flat(const conv_shape& s) {
  flat_plan best;
  const correlation_axis d = s.axis[0];
  const int64_t vectors = ceil_divide(s.target_plane(), simd::width<T>);
  const int64_t planes_read = positions_read(d, s.source_size[0]);
  const int64_t most_channels = smaller(8, s.target_channels), most_vectors = smaller(4, vectors);
  int64_t tried = 0;
  for (int64_t most = smaller(d.n, accumulators); most > 0; --most) {
    flat_plan p;
    flat_code& c = p.code;
    const int64_t segments = ceil_divide(d.n, most);
    if (segments == tried) continue;
    tried = segments;
    const flat_depth depth(d, most);
    p.segments = segments;
    c.taps = d.taps;
    c.dilation = d.offset_step;
    c.plane = s.source_plane();
    for (c.channels = 1; c.channels <= most_channels; ++c.channels)
      for (c.vectors = 1; c.vectors <= most_vectors; ++c.vectors) {
        const int64_t sums = depth.planes * c.channels * c.vectors;
        if (sums > accumulators || sums + (depth.sources + (simd::masks<T> ? 0 : 1)) * c.vectors > row_registers) break;
        p.vector_blocks = ceil_divide(vectors, c.vectors);
        p.blocks = ceil_divide(s.target_channels, c.channels);
        p.cycles = flat_cycles(p, s, planes_read, depth.sources, sums);
        if (best.cycles == 0 || p.cycles < best.cycles) best = p;
      }
  }
  best.parts = parts_of(s.work());
  best.order = {{height_axis, width_axis, channel_axis, depth_axis}, best.code.channels};
  return best;
}

/// Lanes of each vector of a plane that a tap of height and width finds in the source, by tap and vector.
template <class T, ops::conv_geometry G, conv_side Side>
struct flat_masks {
  static constexpr const conv_shape& s = conv_shape_of<G, Side>;
  static constexpr int64_t vectors = ceil_divide(s.target_plane(), simd::width<T>) + 3;  // a block may go beyond
  uint16_t list[G.kernel[1] * G.kernel[2] * vectors];
  constexpr flat_masks() : list{} {
    const correlation_axis ch = s.axis[1], cw = s.axis[2];
    uint16_t* at = list;
    for (int64_t th = 0; th < ch.taps; ++th)
      for (int64_t tw = 0; tw < cw.taps; ++tw, at += vectors) {
        const tap_range rows = positions_inside(ch, th, s.source_size[1]), columns = positions_inside(cw, tw, s.source_size[2]);
        for (int64_t h = rows.first; h < rows.last; ++h)
          for (int64_t pixel = h * cw.n + columns.first; pixel < h * cw.n + columns.last; ++pixel) {
            uint16_t& mask = at[pixel / simd::width<T>];
            mask = uint16_t(mask | 1u << pixel % simd::width<T>);
          }
      }
  }
};
template <class T, ops::conv_geometry G, conv_side Side>
inline constexpr flat_masks<T, G, Side> flat_masks_of{};

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
template <class T, flat_code C, axis_segment S, ops::epilogue E, bool Scale>
VOLUTE_NO_INLINE void flat_block(const flat_job<T>& j, conv_output<T> out, const conv_place& place) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>, O = C.channels, N = S.n, NV = C.vectors, K = int(C.taps);
  constexpr int dilation = int(C.dilation);
  V acc[O][N][NV];
  set_zero(acc);
  const T* w = j.w;
  const uint16_t* masks = j.masks;
  for (int64_t h = 0; h < j.h; ++h)
    for (int64_t k = 0; k < j.k; ++k, masks += j.masks_step) {
      unsigned mask[NV], any = 0;
      VOLUTE_EACH(v, NV) mask[v] = masks[v], any |= mask[v];
      if (any == 0) {
        w += j.channels * K * O;
        continue;
      }
      const T* x = j.x + h * j.x_h + k * j.x_k;
      VOLUTE_NO_UNROLL
      for (int64_t c = 0; c < j.channels; ++c, x += j.x_channel, w += K * O) {
        V xv[S.room()][NV];
        VOLUTE_UNROLL
        for (int q = S.low; q < S.high; ++q) {
          if (!flat_reads(C.taps, C.dilation, N, q)) continue;
          VOLUTE_EACH(v, NV) {
            V& value = xv[q - S.low][v];
            value = simd::load_masked<V>(x + q * C.plane + v * L, mask[v]);
            if constexpr (Scale) value = value * V(j.scale[c]);
          }
        }
        VOLUTE_EACH(t, K)
          VOLUTE_EACH(o, O) {
            V wv(w[t * O + o]);
            simd::keep(wv);
            VOLUTE_EACH(n, N) {
              const int q = n + t * dilation;
              if (q >= S.low && q < S.high) add_products(acc[o][n], wv, xv[q - S.low]);
            }
          }
      }
    }
  VOLUTE_EACH(o, O) {
    if (o >= j.valid) break;
    VOLUTE_EACH(n, N)
      VOLUTE_EACH(v, NV) {
        if (v > 0 && v * L >= j.pixels) break;
        conv_place at = place;
        at.channel += o;
        at.offset += o * j.y_channel + n * j.y_plane + v * L;
        finish<E>(acc[o][n][v], out, at, j.pixels - v * L);
      }
  }
}

template <class T, const conv_call& C, const flat_plan& p>
void run_family(const conv_run<T>& run) noexcept {
  constexpr const conv_shape& s = shape_for<C>;
  static constexpr auto blocks = []<int64_t... I>(std::integer_sequence<int64_t, I...>) {  // of all segments of the depth
    constexpr const conv_shape& shape = shape_for<C>;
    return std::array{&flat_block<T, p.code, flat_segment_of(shape.axis[0], shape.source_size[0], p.segments, I), C.epilogue, C.scale>...};
  }
  (std::make_integer_sequence<int64_t, p.segments>{});
  using masks = flat_masks<T, C.geometry, C.side>;
  const auto& [cd, ch, cw] = s.axis;
  constexpr int64_t row = s.source_size[2];
  constexpr pixels_tasks all{s.pairs(), p.blocks, p.segments, p.vector_blocks};
  share_ranges(run.workers, all.count(), 1, p.parts, [&](int64_t begin, int64_t end, int) noexcept {
    flat_job<T> j;
    j.masks_step = masks::vectors;
    j.h = ch.taps;
    j.k = cw.taps;
    j.channels = s.source_channels;
    j.x_h = ch.offset_step * row;
    j.x_k = cw.offset_step;
    j.x_channel = s.source_volume();
    j.y_channel = s.target_volume();
    j.y_plane = s.target_plane();
    for (int64_t i = begin; i < end; ++i) {
      const pixels_task task = all.task(i);
      const int64_t first = task.block * p.code.channels, plane = cd.n * task.depth / p.segments, vector = task.rows * p.code.vectors;
      const int64_t channel = task.pair * s.source_channels, pixel = vector * simd::width<T>;
      j.x = run.x + channel * j.x_channel + (plane + cd.offset) * p.code.plane + ch.offset * row + cw.offset + pixel;
      j.w = run.packed + (task.pair % s.groups * p.blocks + task.block) * s.taps() * s.source_channels * p.code.channels;
      if constexpr (C.scale) j.scale = run.scale + channel;
      j.masks = flat_masks_of<T, C.geometry, C.side>.list + vector;
      j.valid = s.target_channels - first;
      j.pixels = j.y_plane - pixel;
      conv_place at = place_of(s, task.pair, first);
      at.offset += plane * j.y_plane + pixel;
      blocks[static_cast<std::size_t>(task.depth)](j, run.out, at);
    }
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
