// The adjoint in the filter where both tensors have few channels (depthwise, stems, heads): neighbouring pixels lie in the lanes, on the
// padded rows of conv3d/width.hpp, and a horizontal sum ends each piece. Large volumes and batches are cut into parts, whose sums
// are added in order at the end: the parts depend on the geometry alone, and so do the bits.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/weights_parts.hpp>
#include <volute/kernels/conv3d/width.hpp>

#include <cstdint>
#include <cstring>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Pixels in the lanes: OB output channels times TB pairs of a source channel and a tap, each accumulator summed over its lanes at the end
/// of a piece.
struct pixel_weights_plan : weights_parts {  // parts: of the samples' pieces
  int channels = 1, taps = 1;
  int64_t blocks = 1;
  rows_layout rows{};
  slab_layout target{};             // of g's copy, unless it is read directly: the pitch of x's, and zeros in the gaps
  int64_t lanes = 1;                // of one plane of g
  int64_t planes = 1, columns = 1;  // of a piece: planes of g, or lanes of one plane
  int64_t pieces = 1;               // of a sample
};

/// Lanes of one plane in a piece that is read directly: 16 KiB of each channel, which the next pairs of channel and tap find in a cache.
inline constexpr int64_t direct_columns = 4096;

template <class T>
constexpr pixel_weights_plan plan_pixel_weights(const ops::conv_geometry& g) {
  pixel_weights_plan p;
  const conv_shape s = shape_of(g, conv_side::forward);
  p.rows = rows_of(s);
  constexpr int64_t width = simd::width<T>, size = sizeof(T), most_channels = accumulators >= 24 ? 8 : 4, most_taps = 9;
  p.channels = static_cast<int>(near_equal(s.target_channels, most_channels));
  p.blocks = ceil_divide(s.target_channels, p.channels);
  const int64_t list = s.source_channels * g.kernel[1] * g.kernel[2], at_once = smaller(most_taps, most_sums / p.channels);
  p.taps = static_cast<int>(near_equal(list, at_once));
  p.partial = g.w_size();
  p.want_parts(conv_work(g) * 2, g.groups, machine.l2 / (p.partial * size));  // about half the peak
  if (p.rows.direct) {
    p.lanes = g.out[1] * g.out[2];
    p.columns = direct_columns;
  } else {
    p.lanes = p.columns = ceil_divide((g.out[1] - 1) * p.rows.pitch + g.out[2], width) * width;
    p.target.pitch = p.rows.pitch, p.target.rows = g.out[1];
    p.target.part = p.target.plane = whole_lines(g.out[1] * p.rows.pitch + 2 * width);
    p.planes = larger(1, (machine.l2 / 8) / (p.channels * p.target.plane * size));  // so that the copy of g stays there
    // Neighbouring parts copy the planes of x that both read: no more than a sixteenth (4 -> 4 channels at 64^3 with stride 2, a
    // quarter: 1.12 of the time).
    const correlation_axis depth = correlation(g, conv_side::forward, 0, 0);
    const int64_t span = (depth.taps - 1) * depth.offset_step + 1, both = larger(1, span - depth.step);
    p.parts = smaller(p.parts, g.batch * larger(1, g.out[0] * depth.step / (16 * both)));
    p.planes = smaller(p.planes, ceil_divide(g.out[0] * g.batch, p.parts));
    const int64_t planes = smaller(g.out[0], ceil_divide(g.batch * ceil_divide(g.out[0], p.planes), p.parts) * p.planes);
    p.rows.channel = smaller(p.rows.source[0].count, (planes - 1) * depth.step + span) * p.rows.plane;
    p.target.channel = p.planes * p.target.plane;
    p.target_size = p.channels * p.target.channel;
    p.source_size = whole_lines(s.source_channels * p.rows.channel + p.lanes);
  }
  p.pieces = ceil_divide(g.out[0], p.planes) * ceil_divide(p.lanes, p.columns);
  p.limit_parts(g.groups, g.batch * p.pieces);
  return p;
}

template <class T>
struct pixel_weights_job {
  const T* x = nullptr;
  const T* g = nullptr;
  const int64_t* tap = nullptr;  // offsets of the pairs in x
  T* sum = nullptr;              // [OB][TB]
  int64_t planes = 0, lanes = 0, x_plane = 0, g_plane = 0, g_channel = 0;
};

template <class T, int OB, int TB>
__attribute__((noinline)) void pixel_weights_block(const pixel_weights_job<T>& j) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  V acc[OB][TB];
  set_zero(acc);
  int64_t tap[TB];
  VOLUTE_EACH(t, TB) tap[t] = j.tap[t];
  const int64_t channel = j.g_channel, whole = j.lanes / L * L;
  for (int64_t d = 0; d < j.planes; ++d) {
    const T* x = j.x + d * j.x_plane;
    const T* g = j.g + d * j.g_plane;
    VOLUTE_NO_UNROLL
    for (int64_t i = 0; i < whole; i += L) {
      V xv[TB];
      VOLUTE_EACH(t, TB) xv[t] = simd::load<V>(x + tap[t] + i);
      VOLUTE_EACH(o, OB) add_products(acc[o], simd::load<V>(g + o * channel + i), xv);
    }
    if (const int rest = static_cast<int>(j.lanes - whole); rest > 0) {
      VOLUTE_EACH(t, TB) {
        const V xv = simd::load_partial<V>(x + tap[t] + whole, rest);
        VOLUTE_EACH(o, OB) acc[o][t] = simd::fma(simd::load_partial<V>(g + o * channel + whole, rest), xv, acc[o][t]);
      }
    }
  }
  reduce_tile(acc, j.sum);
}

/// Copies the planes of x that g's planes [first, last) read, and returns where plane 0 would stand. A vector may pass the end of each
/// channel's last one: what stands there is multiplied by zeros, and must be a number.
template <class T>
const T* copy_pixel_rows(const conv_shape& s, const rows_layout& rows, const T* x, int64_t first, int64_t last, T* to) noexcept {
  const correlation_axis& c = s.classes[0][0];
  const int64_t count = rows.source[0].count, begin = smaller(count, larger(0, first * c.step + c.offset));
  const int64_t end = larger(begin, smaller(count, (last - 1) * c.step + c.offset + (c.taps - 1) * c.offset_step + 1));
  for (int64_t i = 0; i < s.source_channels; ++i) zero_over(to + i * rows.channel + (end - begin) * rows.plane, simd::width<T>);
  to -= begin * rows.plane;
  copy_rows<T, false>(s, rows, x, s.source_channels, nullptr, to, begin * s.source_channels, end * s.source_channels);
  return to;
}

template <class T, ops::conv_geometry G>
inline constexpr pixel_weights_plan pixel_weights_plan_of = plan_pixel_weights<T>(G);

/// The products of some pieces of one sample and group. Unless they are read directly, both tensors are copied.
template <class T, ops::conv_geometry G>
__attribute__((noinline)) void pixel_weights_task(const weights_operands<T>& of, const weights_stint& at, T* memory) noexcept {
  constexpr const conv_shape& s = conv_shape_of<G, conv_side::forward>;
  constexpr const pixel_weights_plan& p = pixel_weights_plan_of<T, G>;
  constexpr const int64_t* offsets = width_offsets_of<G, conv_side::forward>.both;
  constexpr int64_t OB = p.channels, TB = p.taps;
  constexpr bool direct = p.rows.direct;
  constexpr const correlation_axis& cd = s.classes[0][0];
  constexpr int64_t plane_taps = s.kernel[1] * s.kernel[2], list = s.source_channels * plane_taps, volume = s.target_volume();
  const int64_t across = ceil_divide(p.lanes, p.columns), pair = at.sample * s.groups + at.task;
  const T* const x = of.source_at(s, pair, 0);
  T* const copy = memory + p.source_size;
  pixel_weights_job<T> j;
  T sum[OB * TB];
  int64_t offset[TB];
  j.tap = offset;
  j.sum = sum;
  j.x_plane = cd.step * p.rows.plane;
  j.g_plane = direct ? p.lanes : p.target.plane;
  j.g_channel = direct ? volume : p.target.channel;
  const T* source = x;
  if constexpr (!direct) source = copy_pixel_rows<T>(s, p.rows, x, at.begin * p.planes, smaller(cd.n, at.end * p.planes), memory);
  for (int64_t i = at.begin * p.blocks; i < at.end * p.blocks; ++i) {
    const int64_t b = i % p.blocks, piece = i / p.blocks, d0 = piece / across * p.planes, column = piece % across * p.columns;
    const int64_t planes = smaller(p.planes, cd.n - d0);
    const int64_t o0 = smaller(b * OB, s.target_channels - OB);
    const T* const from = of.target_at(s, pair, o0);
    if constexpr (!direct)
      for (int64_t o = 0; o < OB; ++o)
        copy_target_planes<T>(s, of, p.target, from + o * volume + d0 * s.target_size[1] * s.target_size[2], planes, 0,
                              copy + o * p.target.channel);
    j.lanes = smaller(p.columns, p.lanes - column);
    for (int64_t td = 0; td < s.kernel[0]; ++td) {
      const tap_range inside = positions_inside(cd, td, p.rows.source[0].count);
      const int64_t d = larger(d0, inside.first);
      j.planes = larger(0, smaller(d0 + planes, inside.last) - d);
      j.x = source + (d * cd.step + cd.offset + td * cd.offset_step) * p.rows.plane + column;
      j.g = (direct ? from + d * p.lanes : copy + (d - d0) * p.target.plane) + column;
      for (int64_t t0 = 0; t0 < list; t0 += TB) {
        for (int64_t t = 0; t < TB; ++t) {
          const int64_t k = smaller(t0 + t, list - 1);
          offset[t] = k / plane_taps * p.rows.channel + offsets[k % plane_taps];
        }
        pixel_weights_block<T, p.channels, p.taps>(j);
        for (int64_t t = 0; t < smaller(TB, list - t0); ++t) {
          const int64_t channel = (t0 + t) / plane_taps, tap = (t0 + t) % plane_taps;
          for (int64_t o = b * OB - o0; o < OB; ++o) {
            T& to = of.dw[filter_offset(s, at.task, o0 + o, channel) + td * plane_taps + tap];
            to = at.first && piece == at.begin ? sum[o * TB + t] : to + sum[o * TB + t];
          }
        }
      }
    }
  }
}

template <class T, ops::conv_geometry G>
void run_width_weights(const weights_operands<T>& of, T* scratch, const team<T>& workers) noexcept {
  constexpr const pixel_weights_plan& p = pixel_weights_plan_of<T, G>;
  run_parts<p.share != sharing::none>(p, G.groups, G.batch, p.pieces, of, scratch, workers, pixel_weights_task<T, G>);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
