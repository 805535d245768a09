// The adjoint in the filter where both tensors have few channels (depthwise, stems, heads): neighbouring pixels lie in the lanes, on the
// padded rows of conv3d/width.hpp, and a horizontal sum ends each piece. Large volumes and batches are cut into parts, whose sums
// are added in order at the end: the parts depend on the geometry alone, and so do the bits.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/weights_parts.hpp>
#include <volute/kernels/conv3d/width.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Pixels in the lanes: OB output channels times TB pairs of a source channel and a tap, each accumulator summed over its lanes at the end
/// of a piece.
struct pixel_weights_plan : weights_parts {  // steps: pieces
  int channels = 1, taps = 1;
  int64_t blocks = 1;
  depth_slabs depth;                // what planes of x those of g read
  rows_layout rows{};
  padded_layout target{};           // of g's copy, unless it is read directly: the pitch of x's, and zeros in the gaps
  int64_t lanes = 1;                // of one plane of g
  int64_t planes = 1, columns = 1;  // of a piece: planes of g, or lanes of one plane
};

/// Lanes of one plane in a piece that is read directly: 16 KiB of each channel, which the next pairs of channel and tap find in a cache.
inline constexpr int64_t direct_columns = 4096;

template <class T>
constexpr pixel_weights_plan plan_pixel_weights(const conv_shape& s) {
  pixel_weights_plan p;
  p.rows = rows_of(s);
  p.depth = cut_depth(s, p.rows.source[0].count, 0);
  constexpr int64_t width = simd::width<T>, size = sizeof(T), most_channels = accumulators >= 24 ? 8 : 4;
  p.channels = int(near_equal(s.target_channels, most_channels));
  p.blocks = ceil_divide(s.target_channels, p.channels);
  p.taps = taps_together(s.source_channels * s.plane_taps(), most_sums / p.channels);
  p.want_parts(s, s.groups, 2, machine.l2 / size);  // about half the peak
  if (p.rows.direct) {
    p.lanes = s.target_plane();
    p.columns = direct_columns;
  } else {
    p.lanes = p.columns = ceil_divide((s.target_size[1] - 1) * p.rows.pitch + s.target_size[2], width) * width;
    p.target.pitch = p.rows.pitch, p.target.rows = s.target_size[1];
    p.target.part = p.target.plane = whole_lines(s.target_size[1] * p.rows.pitch + 2 * width);
    p.planes = larger(1, (machine.l2 / 8) / (p.channels * p.target.plane * size));  // so that the copy of g stays there
    // Neighbouring parts copy the planes of x that both read: no more than a sixteenth (4 -> 4 channels at 64^3 with stride 2, a
    // quarter: 1.12 of the time).
    const int64_t span = p.depth.high - p.depth.low, both = larger(1, span - p.depth.step);
    p.parts = smaller(p.parts, s.batch * larger(1, s.target_size[0] * p.depth.step / (16 * both)));
    p.planes = smaller(p.planes, ceil_divide(s.target_size[0] * s.batch, p.parts));
    const int64_t planes = smaller(s.target_size[0], ceil_divide(s.batch * ceil_divide(s.target_size[0], p.planes), p.parts) * p.planes);
    p.rows.channel = smaller(p.rows.source[0].count, (planes - 1) * p.depth.step + span) * p.rows.plane;
    p.target.channel = p.planes * p.target.plane;
    p.target_size = p.channels * p.target.channel;
    p.source_size = whole_lines(s.source_channels * p.rows.channel + p.lanes);
  }
  p.steps = ceil_divide(s.target_size[0], p.planes) * ceil_divide(p.lanes, p.columns);
  p.limit_parts(s.batch);
  return p;
}

template <class T>
struct pixel_weights_job {
  const T* x = nullptr;
  const T* g = nullptr;
  int64_t planes = 0, lanes = 0, x_plane = 0, g_plane = 0, g_channel = 0;
};

/// to[OB][TB]: the sums of the pairs that x has at `offset`.
template <class T, int OB, int TB>
VOLUTE_NO_INLINE void pixel_weights_block(const pixel_weights_job<T>& j, const int64_t* offset, T* to) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  V acc[OB][TB];
  set_zero(acc);
  int64_t tap[TB];
  VOLUTE_EACH(t, TB) tap[t] = offset[t];
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
    if (const int rest = int(j.lanes - whole); rest > 0) {
      VOLUTE_EACH(t, TB) {
        const V xv = simd::load_partial<V>(x + tap[t] + whole, rest);
        VOLUTE_EACH(o, OB) acc[o][t] = simd::fma(simd::load_partial<V>(g + o * channel + whole, rest), xv, acc[o][t]);
      }
    }
  }
  reduce_tile(acc, to);
}

/// A kernel of run_weights(). Unless they are read directly, both tensors are copied.
template <class T, const conv_call& C, const pixel_weights_plan& plan>
struct weights_kernel<T, C, plan> {
  static constexpr const conv_shape& s = shape_for<C>;
  weights_run<T, C> of;
  static constexpr int OB = plan.channels, TB = plan.taps;
  static constexpr bool direct = plan.rows.direct;
  static constexpr int64_t plane_taps = s.plane_taps(), list = s.source_channels * plane_taps;  // pairs

  /// The planes of x that g's planes [first, last) read, to a copy; returns where plane 0 would stand. A vector may pass the end of each
  /// channel's last one: what stands there is multiplied by zeros, and must be a number.
  const T* copy_source(int64_t pair, int64_t first, int64_t last, T* to) const noexcept {
    const rows_layout& rows = plan.rows;
    const depth_slab slab = plan.depth.between(first, last);
    for (int64_t c = 0; c < s.source_channels; ++c)
      zero_over(to + c * rows.channel + (slab.end - slab.begin) * rows.plane, simd::width<T>);
    to -= slab.begin * rows.plane;
    copy_rows<T, false>(s, rows, of.source_at(pair, 0), s.source_channels, nullptr, to, slab.begin * s.source_channels,
                        slab.end * s.source_channels);
    return to;
  }

  VOLUTE_NO_INLINE void add(const weights_stint& at, T* memory) const noexcept {
    constexpr const correlation_axis& cd = s.axis[0];
    constexpr int64_t across = ceil_divide(plan.lanes, plan.columns);
    const int64_t pair = at.sample * s.groups + at.task;
    T* const copy = memory + plan.source_size;
    const T* source = of.source_at(pair, 0);
    if constexpr (!direct) source = copy_source(pair, at.begin * plan.planes, smaller(cd.n, at.end * plan.planes), memory);
    pixel_weights_job<T> j;
    j.x_plane = cd.step * plan.rows.plane;
    j.g_plane = direct ? plan.lanes : plan.target.plane;
    j.g_channel = direct ? s.target_volume() : plan.target.channel;
    for (int64_t i = at.begin * plan.blocks; i < at.end * plan.blocks; ++i) {
      const int64_t b = i % plan.blocks, piece = i / plan.blocks;
      const int64_t d0 = piece / across * plan.planes, column = piece % across * plan.columns, planes = smaller(plan.planes, cd.n - d0);
      const int64_t o0 = smaller(b * OB, s.target_channels - OB);
      const T* const from = of.target_at(pair, o0) + d0 * s.target_plane();
      if constexpr (!direct)
        for (int64_t o = 0; o < OB; ++o)
          of.copy_target(plan.target, from + o * s.target_volume(), planes, 0, copy + o * plan.target.channel);
      j.lanes = smaller(plan.columns, plan.lanes - column);
      for (int64_t td = 0; td < cd.taps; ++td) {
        const tap_range inside = positions_inside(cd, td, plan.rows.source[0].count);
        const int64_t d = larger(d0, inside.first);
        j.planes = larger(0, smaller(d0 + planes, inside.last) - d);
        j.x = source + cd.source_of(d, td) * plan.rows.plane + column;
        j.g = (direct ? from : copy) + (d - d0) * j.g_plane + column;
        for (int64_t t0 = 0; t0 < list; t0 += TB) add_pairs(j, at.task, td, t0, o0, b * OB, !at.first || piece > at.begin);
      }
    }
  }

  /// Up to TB pairs from t0 on, and the channels of g from o0 on: their sums of one tap of the depth, of channels from `first` on, to or (add)
  /// onto dw.
  VOLUTE_INLINE void add_pairs(const pixel_weights_job<T>& j, int64_t group, int64_t td, int64_t t0, int64_t o0, int64_t first,
                               bool add) const noexcept {
    constexpr const int64_t* offsets = width_offsets_of<C.geometry, C.side>.both;
    int64_t offset[TB];
    for (int64_t t = 0; t < TB; ++t) {
      const int64_t k = smaller(t0 + t, list - 1);
      offset[t] = k / plane_taps * plan.rows.channel + offsets[k % plane_taps];
    }
    T sum[OB * TB];
    pixel_weights_block<T, OB, TB>(j, offset, sum);
    for (int64_t t = 0; t < smaller(TB, list - t0); ++t) {
      const int64_t channel = (t0 + t) / plane_taps, tap = (t0 + t) % plane_taps;
      for (int64_t o = first - o0; o < OB; ++o)
        put_sum(of.dw[filter_offset(s, group, o0 + o, channel) + td * plane_taps + tap], sum[o * TB + t], add);
    }
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
