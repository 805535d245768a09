// The adjoint in the filter with the pixels of whole planes in the lanes, as conv3d/flat.hpp: each sum is a vector, and its lanes are added
// up at the end, those of as many sums as a vector has lanes at once. The source is read where it is, with masks; each of its vectors meets
// the target's vectors of several planes and channels.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/flat.hpp>
#include <volute/kernels/conv3d/weights_parts.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What the code of one register block depends on: target channels, taps of height and width, taps of the depth; steps of dw and of the
/// tensors.
struct flat_weights_code {
  int channels = 1, window = 1;
  int64_t taps = 1, dilation = 1;
  int64_t channel_step = 0, depth_step = 0, window_step = 1;
  int64_t source_plane = 0, target_plane = 0, target_channel = 0;
};

/// `target`: the tensor with channels in the block (y's gradient g for the forward side, x for the backward side).
struct flat_weights_plan : weights_parts {  // a step is a sample
  flat_weights_code code;
  int64_t segments = 1, blocks = 1;  // of the depth, of target channels
  int64_t vectors = 1, panel = 1;    // of a plane; those whose targets stay in the first-level cache
  double cycles = 0;                 // of all samples and groups, as expected
};

/// The cycles that are expected of a block, as in plan_flat, and what a vector, a call and its sums cost beside its products.
constexpr double flat_weights_cycles(const flat_weights_plan& p, const conv_shape& s, const flat_depth& depth, int64_t planes_read) {
  const int64_t channels = p.code.channels, window = p.code.window, taps = s.plane_taps();
  const int64_t loads = p.segments * (2 * depth.sources * window + channels * depth.planes);  // one from an odd place counts twice
  const int64_t step = flat_step(planes_read * channels * window, loads, p.segments, depth.planes) + p.segments * (3 + window);
  const int64_t calls = p.segments * ceil_divide(p.vectors, p.panel), sums = channels * p.code.taps * window;
  const int64_t cycles = s.source_channels * p.blocks * (taps / window * (p.vectors * step + calls * (4 + sums)) + calls * 40);
  return double(s.batch * s.groups * cycles + s.filters());
}

/// The block of which the least cycles are expected.
template <class T>
constexpr flat_weights_plan plan_flat_weights(const conv_shape& s) {
  constexpr int64_t lanes = simd::width<T>, most_planes = 8, most_channels = 8;
  constexpr int64_t panel_vectors = machine.l1 / 2 / 64;  // 16 KiB with AVX-512
  flat_weights_plan best, p;
  const auto& [d, h, w] = s.axis;
  p.vectors = ceil_divide(s.target_plane(), lanes);
  p.code.taps = d.taps;
  p.code.dilation = d.offset_step;
  p.code.channel_step = s.weight_target;
  p.code.depth_step = d.k_step * s.plane_taps();
  p.code.window_step = w.k_step;
  p.code.source_plane = s.source_plane();
  p.code.target_plane = s.target_plane();
  p.code.target_channel = s.target_volume();
  for (int64_t most = smaller(d.n, most_planes); most > 0; --most) {
    const flat_depth depth(d, most);
    p.segments = depth.segments;
    for (int64_t window = 1; window <= h.taps * w.taps; ++window) {
      if (h.taps * w.taps % window != 0) continue;
      for (int64_t channels = 1; channels <= smaller(most_channels, s.target_channels); ++channels) {
        const int64_t sums = channels * d.taps * window;
        // The target's vectors stay in registers for several taps, too.
        const int64_t held = window > 1 ? channels * depth.planes : 1;
        if (sums > accumulators || sums + depth.sources + held + (simd::masks<T> ? 0 : window) > row_registers) break;
        p.blocks = ceil_divide(s.target_channels, channels);
        p.code.channels = int(channels);
        p.code.window = int(window);
        p.panel = smaller(p.vectors, larger(1, panel_vectors / (channels * depth.planes)));
        p.cycles = flat_weights_cycles(p, s, depth, positions_read(d, s.source_size[0]));
        if (best.cycles == 0 || p.cycles < best.cycles) best = p;
      }
    }
  }
  best.vectors_of_sums = true;
  best.partial = s.filters() * lanes;
  best.tasks = s.groups * best.blocks * s.source_channels;
  if (s.work() >= worth_sharing) {
    if (best.tasks < 8) best.parts = ceil_divide(few_tasks, best.tasks);
    best.share = sharing::pairs;
    best.limit_parts(s.batch);
  }
  return best;
}

template <class T>
struct flat_weights_job {
  const T* x = nullptr;  // what the first tap would read for the first lane
  const T* g = nullptr;
  T* sum = nullptr;
  const uint16_t* masks = nullptr;
  int64_t masks_step = 0, taps = 1, width = 1;  // taps of height and width together, and of the width
  int64_t x_h = 0, x_w = 0;
  int64_t whole = 1, rest = 0;  // whole vectors of the panel, and pixels behind them
  int64_t known = 0;            // target channels that the block before had too
  bool add = false;
};

/// sum[target channel][tap of depth][tap of height and width][lane] (+)= the products of one segment of the depth.
template <class T, flat_weights_code C, axis_segment S>
VOLUTE_NO_INLINE void flat_weights_block(const flat_weights_job<T>& job) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>, O = C.channels, N = S.n, W = C.window, K = int(C.taps);
  constexpr int dilation = int(C.dilation);
  const flat_weights_job<T> j = job;
  const T* row = j.x;
  const uint16_t* masks = j.masks;
  T* sum = j.sum;
  int64_t column = 0;
  for (int64_t tap = 0; tap < j.taps; tap += W, masks += W * j.masks_step, sum += W * C.window_step * L) {
    const T* x[W];
    VOLUTE_EACH(k, W) {
      x[k] = row + column * j.x_w;
      if (++column == j.width) column = 0, row += j.x_h;
    }
    V acc[O][K][W];
    VOLUTE_EACH(o, O) set_zero(acc[o]);
    const auto add = [&](int64_t v, auto read) VOLUTE_ALWAYS_INLINE {
      const T* const g = j.g + v * L;
      VOLUTE_EACH(k, W) {
        const unsigned mask = masks[k * j.masks_step + v];
        V xv[S.room()];
        VOLUTE_UNROLL
        for (int q = S.low; q < S.high; ++q)
          if (flat_reads(C.taps, C.dilation, N, q)) xv[q - S.low] = simd::load_masked<V>(x[k] + v * L + q * C.source_plane, mask);
        VOLUTE_EACH(o, O)
          VOLUTE_EACH(n, N) {
            V gv = read(g + o * C.target_channel + n * C.target_plane);
            simd::keep(gv);
            VOLUTE_EACH(t, K) {
              const int q = n + t * dilation;
              if (q < S.low || q >= S.high) continue;
              acc[o][t][k] = simd::fma(gv, xv[q - S.low], acc[o][t][k]);
            }
          }
      }
    };
    const auto all = [](const T* p) VOLUTE_ALWAYS_INLINE { return simd::load<V>(p); };
    const auto some = [rest = (1u << j.rest) - 1](const T* p) VOLUTE_ALWAYS_INLINE { return simd::load_masked<V>(p, rest); };
    VOLUTE_NO_UNROLL
    for (int64_t v = 0; v < j.whole; ++v) add(v, all);
    if (j.rest > 0) add(j.whole, some);
    VOLUTE_EACH(o, O) {
      if (o < j.known) continue;
      VOLUTE_EACH(t, K)
        VOLUTE_EACH(k, W) {
          T* const to = sum + (o * C.channel_step + t * C.depth_step + k * C.window_step) * L;
          simd::store(to, j.add ? acc[o][t][k] + simd::load<V>(to) : acc[o][t][k]);
        }
    }
  }
}

/// A kernel of run_weights(): a task has one source channel and a block of target channels. Panel by panel, all segments of the depth.
template <class T, const conv_call& C, const flat_weights_plan& plan>
struct weights_kernel<T, C, plan> {
  static constexpr const conv_shape& s = shape_for<C>;
  weights_run<T, C> of;
  static constexpr flat_weights_code code = plan.code;

  VOLUTE_NO_INLINE void add(const weights_stint& at, T*) const noexcept {
    constexpr const correlation_axis &cd = s.axis[0], &ch = s.axis[1], &cw = s.axis[2];
    constexpr int64_t L = simd::width<T>, row = s.source_size[2], first_tap = (cd.k * s.kernel[1] + ch.k) * s.kernel[2] + cw.k;
    const int64_t c = at.task % s.source_channels, block = at.task / s.source_channels, group = block / plan.blocks;
    const int64_t wanted = block % plan.blocks * code.channels, first = smaller(wanted, s.target_channels - code.channels);
    const int64_t pair = at.sample * s.groups + group;
    flat_weights_job<T> j;
    j.known = wanted - first;
    j.masks_step = flat_masks<T, C.geometry, C.side>::vectors;
    j.taps = ch.taps * cw.taps;
    j.width = cw.taps;
    j.x_h = ch.offset_step * row;
    j.x_w = cw.offset_step;
    j.sum = of.dw + (filter_offset(s, group, first, c) + first_tap) * L;
    const T* const x = of.source_at(pair, c) + cd.offset * code.source_plane + ch.offset * row + cw.offset;
    const T* const g = of.target_at(pair, first);
    for (int64_t v = 0; v < plan.vectors; v += plan.panel) {
      j.masks = flat_masks_of<T, C.geometry, C.side>.list + v;
      j.whole = smaller(plan.panel, code.target_plane / L - v);
      j.rest = v + plan.panel < plan.vectors ? 0 : code.target_plane % L;
      unrolled<plan.segments>([&](auto i) VOLUTE_ALWAYS_INLINE {
        const int64_t plane = cd.n * i / plan.segments;
        j.x = x + v * L + plane * code.source_plane;
        j.g = g + v * L + plane * code.target_plane;
        j.add = !at.first || v > 0 || i > 0;
        flat_weights_block<T, code, flat_segment_of(s.axis[0], s.source_size[0], plan.segments, i)>(j);
      });
    }
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
