// The adjoint in the filter where both tensors have few channels (depthwise, stems, heads): neighbouring pixels lie in the lanes, on the
// padded rows of conv3d/width.hpp, and a horizontal sum ends each slab of pixels. Large volumes and batches are cut into parts, whose sums
// are added in order at the end: the parts depend on the geometry alone, and so do the bits.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/width.hpp>

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
  sharing share = sharing::none;  // pairs: of a group and a part of the batch; inside: blocks of output channels and parts of one sample
  int64_t parts = 1;
  int64_t partial = 0;  // elements of one part's sums, of one group
  constexpr int64_t own() const { return (share == sharing::pairs ? source_size : 0) + target_size; }
  constexpr int64_t scratch() const { return source_size + target_size + (parts > 1 ? parts * partial : 0); }
  constexpr int64_t worker_scratch() const { return share == sharing::none ? 0 : ceil_divide(own(), 16) * 16; }
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
  // One part of a batch, or of a sample, for each thread and some to spare; but sums of at most 1 MiB of them all.
  const double work = conv_work(g) * 2;  // about half the peak
  p.partial = s.source_channels * s.target_channels * s.taps();
  const int64_t most_parts = smaller(16, machine.l2 / (p.partial * size));
  p.share = work < worth_sharing ? sharing::none : s.groups >= 8 || s.batch >= 8 ? sharing::pairs : sharing::inside;
  if (p.share == sharing::pairs && s.groups < 8) p.parts = larger(1, smaller(smaller(s.batch, ceil_divide(16, s.groups)), most_parts));
  if (p.share == sharing::inside && work / static_cast<double>(s.batch * s.groups) < worth_sharing) p.share = sharing::none;
  if (p.share == sharing::inside)
    p.parts = larger(
        1, smaller(smaller(ceil_divide(32, p.blocks), parts_of(work / static_cast<double>(s.batch * s.groups * p.blocks))), most_parts));
  if (p.rows.direct) {
    p.lanes = g.out[1] * g.out[2];
    p.segment = 4096;
    if (p.share == sharing::inside) p.parts = smaller(p.parts, g.out[0] * ceil_divide(p.lanes, p.segment));
    return p;
  }
  p.lanes = ceil_divide((g.out[1] - 1) * p.rows.pitch + g.out[2], width) * width;
  p.segment = p.lanes;
  p.planes = smaller(g.out[0], larger(1, (machine.l2 / 8) / (p.channels * p.lanes * size)));  // g's slab stays in the second-level cache
  if (p.share == sharing::inside) {                                                           // no part without a slab
    p.planes = smaller(p.planes, ceil_divide(g.out[0], p.parts));
    p.parts = smaller(p.parts, ceil_divide(g.out[0], p.planes));
  }
  p.target_size = ceil_divide(p.channels * p.planes * p.lanes, 16) * 16;
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

/// Adds products of one sample and one group to dw (writes them, if `first`): block b of the output channels, part `part` of `parts` of the
/// slabs. g is copied slab by slab unless `copy` is null.
template <class T, int OB, int TB>
__attribute__((noinline)) void pixel_weights_task(const conv_shape& s, const pixel_weights_plan& p, const int64_t* offsets_h,
                                                  const int64_t* offsets_w, const T* source, const T* g, T* copy, T* dw, int64_t b,
                                                  int64_t part, int64_t parts, bool first) noexcept {
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
  const int64_t o0 = copy != nullptr ? b * OB : larger(0, smaller(b * OB, s.target_channels - OB));  // direct: no zero channels to read
  const int64_t valid = smaller(OB, s.target_channels - o0);
  const int64_t segments = ceil_divide(p.lanes, p.segment), slabs = ceil_divide(cd.n, p.planes) * segments;
  bool add = !first;
  for (int64_t u = slabs * part / parts; u < slabs * (part + 1) / parts; ++u, add = true) {
    const int64_t d0 = u / segments * p.planes, begin = u % segments * p.segment, planes = smaller(p.planes, cd.n - d0);
    if (copy != nullptr) copy_pitched<T>(s, p, g + o0 * s.target_volume() + d0 * s.target_size[1] * s.target_size[2], valid, planes, copy);
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

template <class T, ops::conv_geometry G>
void run_weights_pixels(const T* x, const T* g, T* dw, T* scratch, const team<T>& workers) noexcept {
  constexpr const conv_shape& s = conv_shape_of<G, conv_side::forward>;
  static constexpr pixel_weights_plan p = plan_pixel_weights<T>(G);
  constexpr bool direct = p.rows.direct;
  const int64_t planes = s.source_channels * p.rows.source[0].count, used = s.source_channels * p.rows.channel;
  T* const sums = scratch + p.source_size + p.target_size;  // of all parts but where there is only one
  const auto copy = [&](int64_t pair, T* to, int64_t begin, int64_t end) noexcept {
    if constexpr (!direct) {
      copy_rows<T, false>(s, p.rows, x + pair * s.source_channels * s.source_volume(), s.source_channels, nullptr, to, begin, end);
      if (end == planes) std::memset(to + used, 0, static_cast<std::size_t>(p.source_size - used) * sizeof(T));
    }
  };
  const auto block = [&](int64_t pair, int64_t b, int64_t part, int64_t parts, const T* source, T* own, T* to, bool first) noexcept {
    pixel_weights_task<T, p.channels, p.taps>(s, p, width_offsets_of<G, conv_side::forward>.h, width_offsets_of<G, conv_side::forward>.w,
                                              direct ? x + pair * s.source_channels * s.source_volume() : source,
                                              g + pair * s.target_channels * s.target_volume(), direct ? nullptr : own, to, b, part, parts,
                                              first);
  };
  if constexpr (p.share == sharing::inside) {
    for (int64_t group = 0; group < s.groups; ++group) {
      T* const to = dw + group * p.partial;
      for (int64_t n = 0; n < s.batch; ++n) {
        const int64_t pair = n * s.groups + group;
        // The copy runs at about 2 elements a nanosecond.
        share_ranges(workers, planes, 1, copy_parts(p.source_size),
                     [&](int64_t begin, int64_t end, int) noexcept { copy(pair, scratch, begin, end); });
        share(workers, p.blocks * p.parts, [&](int64_t i, int worker) noexcept {
          const int64_t part = i / p.blocks;
          block(pair, i % p.blocks, part, p.parts, scratch, workers.memory(worker, scratch + p.source_size),
                p.parts > 1 ? sums + part * p.partial : to, n == 0);
        });
      }
      if (p.parts > 1) add_parts(sums, p.parts, p.partial, to);
    }
  } else {  // parts of the batch
    const auto part_of = [&](int64_t group, int64_t part, T* memory) noexcept {
      T* const to = p.parts > 1 ? sums + part * p.partial : dw + group * p.partial;
      const int64_t first = s.batch * part / p.parts;
      for (int64_t n = first; n < s.batch * (part + 1) / p.parts; ++n) {
        copy(n * s.groups + group, memory, 0, planes);
        for (int64_t b = 0; b < p.blocks; ++b) block(n * s.groups + group, b, 0, 1, memory, memory + p.source_size, to, n == first);
      }
    };
    if (p.parts == 1) {
      share_if<p.share == sharing::pairs>(
          workers,
          s.groups, [&](int64_t group, int worker) __attribute__((always_inline)) { part_of(group, 0, workers.memory(worker, scratch)); });
    } else {
      for (int64_t group = 0; group < s.groups; ++group) {
        share(workers, p.parts, [&](int64_t part, int worker) noexcept { part_of(group, part, workers.memory(worker, scratch)); });
        add_parts(sums, p.parts, p.partial, dw + group * p.partial);
      }
    }
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
