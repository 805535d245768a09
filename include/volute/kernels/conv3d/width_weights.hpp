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
/// of a piece. Shared: pairs of a group and a part of the batch, or inside a sample blocks of output channels and parts of the pieces.
struct pixel_weights_plan : weights_parts {
  int channels = 1, taps = 1;
  int64_t blocks = 1;
  rows_layout rows{};
  int64_t lanes = 1;                // of one plane of g; unless read directly, its copy has the pitch of x's copy and zeros in the gaps
  int64_t planes = 1, columns = 1;  // of a piece: planes of g, or lanes of one plane
  constexpr int64_t worker_scratch() const {
    return share == sharing::none ? 0 : whole_lines((share == sharing::pairs ? source_size : 0) + target_size);
  }
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
  // One part of a batch, or of a sample, for each thread and some to spare; but sums of at most 1 MiB of them all.
  const double work = conv_work(g) * 2, sample = work / static_cast<double>(s.batch * s.groups);  // about half the peak
  p.partial = s.source_channels * s.target_channels * s.taps();
  const int64_t most = smaller(most_parts, machine.l2 / (p.partial * size));
  p.share = work < worth_sharing ? sharing::none : s.groups >= 8 || s.batch >= 8 ? sharing::pairs : sharing::inside;
  if (p.share == sharing::pairs && s.groups < 8) p.parts = larger(1, smaller(smaller(s.batch, ceil_divide(most_parts, s.groups)), most));
  if (p.share == sharing::inside && sample < worth_sharing) p.share = sharing::none;
  if (p.share == sharing::inside)
    p.parts = larger(1, smaller(smaller(ceil_divide(32, p.blocks), parts_of(sample / static_cast<double>(p.blocks))), most));
  if (p.rows.direct) {
    p.lanes = g.out[1] * g.out[2];
    p.columns = direct_columns;
    if (p.share == sharing::inside) p.parts = smaller(p.parts, g.out[0] * ceil_divide(p.lanes, p.columns));
    return p;
  }
  p.lanes = p.columns = ceil_divide((g.out[1] - 1) * p.rows.pitch + g.out[2], width) * width;
  p.planes = smaller(g.out[0], larger(1, (machine.l2 / 8) / (p.channels * p.lanes * size)));  // so that the copy of g stays there
  if (p.share == sharing::inside) {                                                           // no part without a piece
    p.planes = smaller(p.planes, ceil_divide(g.out[0], p.parts));
    p.parts = smaller(p.parts, ceil_divide(g.out[0], p.planes));
  }
  p.target_size = whole_lines(p.channels * p.planes * p.lanes);
  p.source_size = whole_lines(s.source_channels * p.rows.channel + p.lanes);
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
  clear_tile(acc);
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
  reduce_tile(acc, j.sum);
}

/// `planes` planes of `channels` channels of g, with the pitch of x's copy and zeros in the gaps; missing channels are zero.
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
/// pieces. g is copied piece by piece unless `copy` is null.
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
  const int64_t across = ceil_divide(p.lanes, p.columns), pieces = ceil_divide(cd.n, p.planes) * across;
  bool add = !first;
  for (int64_t i = pieces * part / parts; i < pieces * (part + 1) / parts; ++i, add = true) {
    const int64_t d0 = i / across * p.planes, begin = i % across * p.columns, planes = smaller(p.planes, cd.n - d0);
    if (copy != nullptr) copy_pitched<T>(s, p, g + o0 * s.target_volume() + d0 * s.target_size[1] * s.target_size[2], valid, planes, copy);
    j.lanes = smaller(p.columns, p.lanes - begin);
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
  constexpr int64_t planes = s.source_channels * p.rows.source[0].count, used = s.source_channels * p.rows.channel;
  const auto copy = [&](int64_t pair, T* to, int64_t begin, int64_t end) noexcept {
    if constexpr (!direct) {
      copy_rows<T, false>(s, p.rows, x + pair * s.source_channels * s.source_volume(), s.source_channels, nullptr, to, begin, end);
      if (end == planes) std::memset(to + used, 0, static_cast<std::size_t>(p.source_size - used) * sizeof(T));
    }
  };
  const auto block = [&](int64_t pair, int64_t b, int64_t part, int64_t parts, const T* source, T* target, T* to, bool first) noexcept {
    pixel_weights_task<T, p.channels, p.taps>(s, p, width_offsets_of<G, conv_side::forward>.h, width_offsets_of<G, conv_side::forward>.w,
                                              direct ? x + pair * s.source_channels * s.source_volume() : source,
                                              g + pair * s.target_channels * s.target_volume(), direct ? nullptr : target, to, b, part,
                                              parts, first);
  };
  // All samples of a group, by all threads; or some samples with one's own memory.
  const auto group_inside = [&](int64_t group, T* to) noexcept {
    for (int64_t pair = group; pair < s.batch * s.groups; pair += s.groups) {
      share_ranges(workers, planes, 1, copy_parts(p.source_size),
                   [&](int64_t begin, int64_t end, int) noexcept { copy(pair, scratch, begin, end); });
      share(workers, p.blocks * p.parts, [&](int64_t i, int worker) noexcept {
        const int64_t part = i / p.blocks;
        block(pair, i % p.blocks, part, p.parts, scratch, workers.memory(worker, scratch + p.source_size), p.sums(scratch, part, to),
              pair == group);
      });
    }
  };
  const auto samples_of = [&](int64_t group, int64_t begin, int64_t end, T* memory, T* to) noexcept {
    for (int64_t n = begin; n < end; ++n) {
      copy(n * s.groups + group, memory, 0, planes);
      for (int64_t b = 0; b < p.blocks; ++b) block(n * s.groups + group, b, 0, 1, memory, memory + p.source_size, to, n == begin);
    }
  };
  if constexpr (p.share != sharing::inside && p.parts == 1) {
    share_if<p.share == sharing::pairs>(
        workers, s.groups, [&](int64_t group, int worker) __attribute__((always_inline)) {
          samples_of(group, 0, s.batch, workers.memory(worker, scratch), dw + group * p.partial);
        });
  } else if constexpr (p.share != sharing::inside) {
    for (int64_t group = 0; group < s.groups; ++group, dw += p.partial)
      run_parts<true>(p, 1, s.batch, scratch, dw, workers,
                      [&](int64_t, int64_t begin, int64_t end, T* memory, T* to) noexcept { samples_of(group, begin, end, memory, to); });
  } else {
    for (int64_t group = 0; group < s.groups; ++group, dw += p.partial) {
      group_inside(group, dw);
      if constexpr (p.parts > 1) add_parts(scratch + p.copies(), p.parts, p.partial, dw);
    }
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
