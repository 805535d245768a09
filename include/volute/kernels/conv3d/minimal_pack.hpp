// Filters of minimal filtering, transformed: [group][block of target channels][element][source channel][lane].
#pragma once

#include <volute/kernels/conv3d/minimal_plan.hpp>

#include <cstdint>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What the products of each element are multiplied by: minimal_scale() of all axes.
template <minimal_tile F, class T>
struct minimal_scales {
  T of[F.elements()];
  constexpr minimal_scales() : of{} {
    const minimal_filter(&f)[3] = F.axis;
    for (int e = 0; e < F.elements(); ++e)
      of[e] = static_cast<T>(minimal_scale(f[0], e / (f[1].size() * f[2].size())) * minimal_scale(f[1], e / f[2].size() % f[1].size()) *
                             minimal_scale(f[2], e % f[2].size()));
  }
};
template <minimal_tile F, class T>
inline constexpr minimal_scales<F, T> scales_of{};

/// A filter, w[tap] (one vector for each), to its values at all points, times the scales: to[element], `step` apart; Stream: past the
/// caches.
template <minimal_tile F, bool Stream, class V, class T>
VOLUTE_INLINE void transform_filter(const V* w, T* to, int64_t step) noexcept {
  constexpr minimal_filter D = F.axis[0], H = F.axis[1], W = F.axis[2];
  constexpr int depth = D.size(), height = H.size(), width = W.size(), planes = D.taps, rows = H.taps;
  V values[planes * rows][width];
  VOLUTE_EACH(i, planes * rows) minimal_values<W, W.taps>(w + i * W.taps, values[i]);
  VOLUTE_NO_UNROLL
  for (int k = 0; k < width; ++k) {
    V of_depth[height][planes];
    VOLUTE_EACH(d, planes) {
      V in[rows], out[height];
      VOLUTE_EACH(h, rows) in[h] = values[d * rows + h][k];
      minimal_values<H, H.taps>(in, out);
      VOLUTE_EACH(h, height) of_depth[h][d] = out[h];
    }
    VOLUTE_EACH(h, height) {
      V out[depth];
      minimal_values<D, D.taps>(of_depth[h], out);
      VOLUTE_EACH(d, depth) {
        const int e = (d * height + h) * width + k;
        const V scaled[1]{out[d] * V(scales_of<F, T>.of[e])};
        store_all<Stream>(scaled, to + e * step);
      }
    }
  }
}

/// Of one source channel and a vector of target channels, `targets` of which exist: from[target][tap], `step` apart, to to[element].
template <int L, minimal_tile F, bool Stream, class T>
VOLUTE_NO_INLINE void transform_filters(const conv_shape& s, const T* from, int64_t step, int64_t targets, T* to,
                                        int64_t element) noexcept {
  using V = simd::vec<T, L>;
  constexpr int taps = F.axis[0].taps * F.axis[1].taps * F.axis[2].taps;
  V w[ceil_divide(taps, L) * L];
  for (int first = 0; first < taps; first += L) {  // rows of target channels to vectors of them, in registers
    V r[L];
    const int n = int(smaller(L, taps - first));
    VOLUTE_EACH(o, L) r[o] = o >= targets ? V(T(0)) : load_first<V>(from + o * step + first, n);
    simd::transpose(r);
    VOLUTE_EACH(i, L) w[first + i] = r[i];
  }
  if (s.classes[0][0].k_step < 0) {  // the adjoint in the data reads its taps from behind
    for (int i = 0; i < taps / 2; ++i) std::swap(w[i], w[taps - 1 - i]);
  }
  transform_filter<F, Stream>(w, to, element);
}

/// w, as the convolution has it, to `packed`; Stream: past the caches (256 -> 256 channels, 38 MB: 3.6 ms for 16, since lines of the
/// elements lie a power of two apart).
template <class T, int L, minimal_tile F, bool Stream>
void pack_minimal(const conv_shape& s, const minimal_plan& p, const T* w, T* packed, const team<T>& workers) noexcept {
  const int64_t channels = p.chunks * p.chunk, lanes = p.block_lanes(), tasks = s.groups * p.target_blocks * p.vectors;
  // About 600 cycles for a source channel and a vector of target channels, most of them stores to lines that lie far apart.
  share_ranges(workers, tasks * channels, 1, parts_of(double(tasks * channels) * 250),
               [&](int64_t begin, int64_t end, int) noexcept {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t c = i % channels, v = i / channels % p.vectors, b = i / (channels * p.vectors) % p.target_blocks,
                                 group = i / (channels * p.vectors * p.target_blocks), first = b * lanes + v * p.lanes;
                   const int64_t targets = c < s.source_channels ? smaller(p.lanes, s.target_channels - first) : 0;
                   const T* const from =
                       w + group * s.target_channels * s.source_channels * s.taps() + first * s.weight_target + c * s.weight_source;
                   transform_filters<L, F, Stream>(s, from, s.weight_target, targets,
                                                   packed + (group * p.target_blocks + b) * p.block_filters() + c * lanes + v * p.lanes,
                                                   channels * lanes);
                 }
                 if constexpr (Stream) simd::stream_fence();
               });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
