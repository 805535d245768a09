// The adjoint in the filter where both tensors have few channels (depthwise, stems, heads): neighbouring pixels lie in the lanes, on the
// padded rows of conv3d_width.hpp, and a horizontal sum ends each slab of pixels.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d_plan.hpp>
#include <volute/kernels/conv3d_width.hpp>

#include <cstdint>
#include <cstring>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Pixels in the lanes: OB output channels times TB pairs of a source channel and a tap, each accumulator summed over its lanes at the end
/// of a slab of pixels.
struct pixel_weights_plan {
  int channels = 1, taps = 1;
  int64_t blocks = 1;
  rows_layout rows{};
  int64_t lanes = 1;                // of one plane of g; unless read directly, its copy has the pitch of x's copy and zeros in the gaps
  int64_t planes = 1, segment = 1;  // a slab: planes of g, or a part of one plane
  int64_t source_size = 0, target_size = 0;
  constexpr int64_t scratch() const { return source_size + target_size; }
};

template <class T>
constexpr pixel_weights_plan plan_pixel_weights(const ops::conv_geometry& g) {
  pixel_weights_plan p;
  const conv_shape s = shape_of(g, conv_side::forward);
  p.rows = rows_of(g, conv_side::forward);
  const int64_t most = smaller(accumulators, 24);
  p.channels = static_cast<int>(ceil_divide(s.target_channels, ceil_divide(s.target_channels, accumulators >= 24 ? 8 : 4)));
  p.blocks = ceil_divide(s.target_channels, p.channels);
  const int64_t list = s.source_channels * g.kernel[1] * g.kernel[2], at_once = smaller(9, most / p.channels);
  p.taps = static_cast<int>(ceil_divide(list, ceil_divide(list, at_once)));
  const int64_t width = simd::width<T>, size = sizeof(T);
  if (p.rows.direct) {
    p.lanes = g.out[1] * g.out[2];
    p.segment = 4096;
    return p;
  }
  p.lanes = ceil_divide((g.out[1] - 1) * p.rows.pitch + g.out[2], width) * width;
  p.segment = p.lanes;
  p.planes = smaller(g.out[0], larger(1, (128 << 10) / (p.channels * p.lanes * size)));  // g's slab stays in the second-level cache
  p.target_size = p.channels * p.planes * p.lanes;
  p.source_size = ceil_divide(s.source_channels * p.rows.channel + p.lanes, 16) * 16;
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
  VOLUTE_UNROLL
  for (int o = 0; o < OB; ++o) VOLUTE_UNROLL
  for (int t = 0; t < TB; ++t) acc[o][t] = V(T(0));
  int64_t tap[TB];
  VOLUTE_UNROLL
  for (int t = 0; t < TB; ++t) tap[t] = j.tap[t];
  const int64_t channel = j.g_channel, whole = j.lanes / L * L;
  for (int64_t d = 0; d < j.planes; ++d) {
    const T* x = j.x + d * j.x_plane;
    const T* g = j.g + d * j.g_plane;
    VOLUTE_NO_UNROLL
    for (int64_t i = 0; i < whole; i += L) {
      V xv[TB];
      VOLUTE_UNROLL
      for (int t = 0; t < TB; ++t) xv[t] = simd::load<V>(x + tap[t] + i);
      VOLUTE_UNROLL
      for (int o = 0; o < OB; ++o) {
        const V gv = simd::load<V>(g + o * channel + i);
        VOLUTE_UNROLL
        for (int t = 0; t < TB; ++t) acc[o][t] = simd::fma(gv, xv[t], acc[o][t]);
      }
    }
    if (const int rest = static_cast<int>(j.lanes - whole); rest > 0) {
      VOLUTE_UNROLL
      for (int t = 0; t < TB; ++t) {
        const V xv = simd::load_partial<V>(x + tap[t] + whole, rest);
        VOLUTE_UNROLL
        for (int o = 0; o < OB; ++o) acc[o][t] = simd::fma(simd::load_partial<V>(g + o * channel + whole, rest), xv, acc[o][t]);
      }
    }
  }
  VOLUTE_UNROLL
  for (int o = 0; o < OB; ++o) VOLUTE_UNROLL
  for (int t = 0; t < TB; ++t) j.sum[o * TB + t] = simd::reduce_add(acc[o][t]);
}

/// A slab of g, planes [d0, d0 + planes) of `channels` channels, with the pitch of x's copy and zeros in the gaps; missing channels are
/// zero.
template <class T>
__attribute__((noinline)) void copy_pitched(const conv_shape& s, const pixel_weights_plan& p, const T* g, int64_t channels, int64_t planes,
                                            T* to) noexcept {
  const int64_t row = s.target_size[2], height = s.target_size[1];
  for (int64_t c = 0; c < p.channels; ++c, to += (p.planes - planes) * p.lanes)
    for (int64_t d = 0; d < planes; ++d, to += p.lanes) {
      const int64_t rows = c < channels ? height : 0;
      const T* from = g + c * s.target_volume() + d * height * row;
      for (int64_t h = 0; h < rows; ++h, from += row) {
        std::memcpy(to + h * p.rows.pitch, from, static_cast<std::size_t>(row) * sizeof(T));
        const int64_t gap = (h + 1 < rows ? (h + 1) * p.rows.pitch : p.lanes) - h * p.rows.pitch - row;
        std::memset(to + h * p.rows.pitch + row, 0, static_cast<std::size_t>(gap) * sizeof(T));
      }
      if (rows == 0) std::memset(to, 0, static_cast<std::size_t>(p.lanes) * sizeof(T));
    }
}

/// Adds one sample's products of one group to dw (writes it, for the first sample). g is copied slab by slab unless `copy` is null.
template <class T, int OB, int TB>
__attribute__((noinline)) void pixel_weights_task(const conv_shape& s, const pixel_weights_plan& p, const int64_t* offsets_h,
                                                  const int64_t* offsets_w, const T* source, const T* g, T* copy, T* dw,
                                                  bool first) noexcept {
  const correlation_axis& cd = s.classes[0][0];
  const int64_t plane_taps = s.kernel[1] * s.kernel[2], list = s.source_channels * plane_taps;
  pixel_weights_job<T> j;
  T sum[OB * TB];
  int64_t offset[TB];
  j.tap = offset;
  j.sum = sum;
  j.x_plane = cd.step * p.rows.plane;
  j.g_plane = p.lanes;
  j.g_channel = copy != nullptr ? p.planes * p.lanes : s.target_volume();
  for (int64_t b = 0; b < p.blocks; ++b) {
    const int64_t o0 = copy != nullptr ? b * OB : larger(0, smaller(b * OB, s.target_channels - OB));  // direct: no zero channels to read
    const int64_t valid = smaller(OB, s.target_channels - o0);
    bool add = !first;
    for (int64_t d0 = 0; d0 < cd.n; d0 += p.planes)
      for (int64_t begin = 0; begin < p.lanes; begin += p.segment, add = true) {
        const int64_t planes = smaller(p.planes, cd.n - d0);
        if (copy != nullptr)
          copy_pitched<T>(s, p, g + o0 * s.target_volume() + d0 * s.target_size[1] * s.target_size[2], valid, planes, copy);
        j.lanes = smaller(p.segment, p.lanes - begin);
        for (int64_t td = 0; td < s.kernel[0]; ++td) {
          const tap_range inside = positions_inside(cd, td, p.rows.source[0].count);
          const int64_t d = larger(d0, inside.first);
          j.planes = larger(0, smaller(d0 + planes, inside.last) - d);
          j.x = source + (d * cd.step + cd.offset + td * cd.offset_step) * p.rows.plane + begin;
          j.g = (copy != nullptr ? copy + (d - d0) * p.lanes : g + o0 * s.target_volume() + d * p.lanes) + begin;
          for (int64_t t0 = 0; t0 < list; t0 += TB) {
            for (int64_t t = 0; t < TB; ++t) {
              const int64_t pair = smaller(t0 + t, list - 1), tap = pair % plane_taps;
              offset[t] = pair / plane_taps * p.rows.channel + offsets_h[tap / s.kernel[2]] + offsets_w[tap % s.kernel[2]];
            }
            pixel_weights_block<T, OB, TB>(j);
            for (int64_t t = 0; t < smaller(TB, list - t0); ++t) {
              const int64_t channel = (t0 + t) / plane_taps, tap = (t0 + t) % plane_taps;
              for (int64_t o = copy != nullptr ? 0 : b * OB - o0; o < valid; ++o) {
                T& to = dw[((o0 + o) * s.source_channels + channel) * s.taps() + td * plane_taps + tap];
                to = add ? to + sum[o * TB + t] : sum[o * TB + t];
              }
            }
          }
        }
      }
  }
}

template <class T, ops::conv_geometry G>
void run_weights_pixels(const conv_shape& s, const T* x, const T* g, T* dw, T* scratch) noexcept {
  static constexpr pixel_weights_plan p = plan_pixel_weights<T>(G);
  constexpr bool direct = p.rows.direct;
  const int64_t used = s.source_channels * p.rows.channel, size = s.source_channels * s.target_channels * s.taps();
  if constexpr (!direct) std::memset(scratch + used, 0, static_cast<std::size_t>(p.source_size - used) * sizeof(T));
  for (int64_t group = 0; group < s.groups; ++group)
    for (int64_t n = 0; n < s.batch; ++n) {
      const T* from = x + (n * s.groups + group) * s.source_channels * s.source_volume();
      if constexpr (!direct) copy_rows<T, false>(s, p.rows, from, s.source_channels, nullptr, scratch);
      pixel_weights_task<T, p.channels, p.taps>(s, p, width_offsets_of<G, conv_side::forward>.h, width_offsets_of<G, conv_side::forward>.w,
                                                direct ? from : scratch, g + (n * s.groups + group) * s.target_channels * s.target_volume(),
                                                direct ? nullptr : scratch + p.source_size, dw + group * size, n == 0);
    }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
