// The adjoint in the filter with several planes of g in flight, for depthwise convolution and few channels: a vector of x, loaded once for
// each tap of height and width, meets the vectors of all planes of g that see its plane (3x3x3: 10 loads for 27 multiply-adds, whose 27
// sums stay in registers). x is copied as in conv3d/planes.hpp, g with the same pitch and zeros in the gaps. What a task adds up depends on
// the geometry alone, and so do the bits.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/planes.hpp>
#include <volute/kernels/conv3d/weights_parts.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

struct planes_weights_plan : weights_parts {  // parts: of the samples' pieces
  int depth = 1, taps = 1;                    // sums of one register block: taps of depth, and of height and width
  source_axis source[3]{};
  slab_layout layout{}, target{};   // of x, of g
  int64_t rows = 1, slabs = 1;      // rows of g of one piece; pieces
  int64_t targets = 1, blocks = 1;  // channels of g of one task
  bool direct = false;              // g's rows are read where they are, masked at their ends; else a copy of them, end to end
  int64_t vectors = 1;              // of one plane of g

  /// Sizes for pieces of so many rows, with what x's copy has beside them: `halo` rows and `gap` elements.
  template <class T>
  constexpr void cut_rows(const ops::conv_geometry& g, int64_t rows_of_piece, int64_t halo, int64_t gap) {
    constexpr int64_t size = sizeof(T), width = simd::width<T>;
    slab_layout& l = layout;
    rows = target.rows = rows_of_piece;
    slabs = ceil_divide(g.out[1], rows);
    l.rows = rows + halo;
    l.part = l.rows * l.pitch + gap;
    l.plane = odd_lines(l.step[0] * l.step[1] * l.part, size);
    l.channel = source[0].count * l.plane;
    vectors = direct ? rows * ceil_divide(g.out[2], width) : ceil_divide((rows - 1) * l.pitch + g.out[2], width);
    target.pitch = l.pitch;
    target.part = rows * l.pitch + 2 * width;
    target.plane = odd_lines(target.part, size);
    source_size = whole_lines(g.group_in() * l.channel + l.pitch + 2 * width);
    target_size = direct ? 0 : whole_lines(g.out[0] * target.plane);
  }
};

template <class T>
constexpr planes_weights_plan plan_planes_weights(const ops::conv_geometry& g) {
  planes_weights_plan p;
  constexpr int64_t size = sizeof(T), width = simd::width<T>, most_taps = 9, least_rows = 4;
  const planes_plan forward = plan_planes<T>(g, conv_side::forward);
  for (int a = 0; a < 3; ++a) p.source[a] = forward.source[a];
  p.layout = forward.layout;
  p.depth = static_cast<int>(g.kernel[0]);
  const int64_t list = g.kernel[1] * g.kernel[2], at_once = smaller(most_taps, (accumulators - 1) / p.depth);
  p.taps = static_cast<int>(near_equal(list, at_once));
  // A copy costs more than up to a seventh of the lanes.
  p.direct = simd::masks<T> && ceil_divide(g.out[2], width) * width * 7 <= g.out[2] * 8;
  const int64_t halo = p.layout.rows - forward.rows, gap = p.source[2].pad + 2 * width;
  const int64_t aligned = ceil_divide(p.layout.pitch, width) * width;  // one tap of the width then crosses no cache line: 9 % less time
  if (p.direct && aligned * 8 <= p.layout.pitch * 9) p.layout.pitch = aligned;
  p.cut_rows<T>(g, g.out[1], halo, gap);
  const auto cut_further = [&] { p.cut_rows<T>(g, smaller(p.rows - 1, ceil_divide(g.out[1], p.slabs + 1)), halo, gap); };
  while (p.rows > least_rows && p.copies() > (machine.l2 * 3 / 8) / size) cut_further();
  p.targets = g.group_out();
  p.partial = g.w_size();
  const int64_t tasks = tasks_worth(conv_work(g) * lanes_of_pixels_work);
  if (g.groups < tasks && p.targets >= 4) {
    p.targets = ceil_divide(g.group_out(), smaller(ceil_divide(tasks, g.groups), p.targets / 2));
    p.blocks = ceil_divide(g.group_out(), p.targets);
  }
  p.want_parts(conv_work(g) * lanes_of_pixels_work, g.groups * p.blocks, machine.l2 / (p.partial * size));
  while (p.rows > least_rows && g.batch * p.slabs < p.parts) cut_further();
  p.limit_parts(g.groups * p.blocks, g.batch * p.slabs);
  return p;
}

template <class T>
struct planes_weights_job {
  const T* x = nullptr;
  const T* g = nullptr;
  const int64_t* tap = nullptr;             // offsets in x
  T* sum = nullptr;                         // [KD][TB]
  int64_t rows = 0, width = 0;              // of g; a copy is one long row
  int64_t first = 0, last = 0, planes = 0;  // virtual source planes that exist; planes of g
  int64_t x_row = 0, g_row = 0, x_plane = 0, g_plane = 0;
  const T* next_x = nullptr;  // what comes next, asked for meanwhile: so many lines for each vector and plane
  const T* next_g = nullptr;
  int64_t x_lines = 0, g_lines = 0, next_x_plane = 0, next_g_plane = 0;
};

/// All lanes of all planes of one piece and one pair of channels.
template <class T, int KD, int TB>
__attribute__((noinline)) void planes_weights_block(const planes_weights_job<T>& job) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  constexpr int64_t line = 64 / sizeof(T);
  const planes_weights_job<T> j = job;
  V acc[KD][TB];
  VOLUTE_UNROLL
  for (int t = 0; t < KD; ++t) VOLUTE_UNROLL
  for (int k = 0; k < TB; ++k) acc[t][k] = V(T(0));
  int64_t tap[TB];
  VOLUTE_UNROLL
  for (int k = 0; k < TB; ++k) tap[k] = j.tap[k];
  int64_t lo = 0, hi = 0;  // the present planes
  const T *next_x_at = nullptr, *next_g_at = nullptr;
  const auto column = [&](int64_t x_at, int64_t g_at, auto read) __attribute__((always_inline)) {
    const int64_t both = smaller(hi, j.planes), start = smaller(lo, j.planes) - 1;
    V g[KD];  // g[t]: of the plane that reads the present one with tap t
    VOLUTE_UNROLL
    for (int t = 0; t < KD; ++t) g[t] = start >= t ? read(j.g + (start - t) * j.g_plane + g_at) : V(T(0));
    const T* x = j.x + lo * j.x_plane + x_at;
    const T* from = j.g + lo * j.g_plane + g_at;
    if (j.x_lines > 0)
      for (int64_t q = lo; q < both; ++q)
        for (int64_t i = 0; i < j.x_lines; ++i) simd::prefetch_far(next_x_at + (q - lo) * j.next_x_plane + i * line);
    for (int64_t q = lo; q < both; ++q) {  // the next vector's, into the first-level cache: a fifth less time
      simd::prefetch(j.g + q * j.g_plane + g_at + L);
      simd::prefetch(j.x + q * j.x_plane + x_at + tap[TB - 1] + L);
    }
    if (j.g_lines > 0)  // apart from the sums, which need all registers
      for (int64_t q = lo; q < both; ++q) simd::prefetch_far(next_g_at + (q - lo) * j.next_g_plane);
    next_x_at += j.x_lines * line;
    next_g_at += line;
    VOLUTE_NO_UNROLL
    for (int64_t q = lo; q < both; ++q) {
      VOLUTE_UNROLL
      for (int t = KD - 1; t > 0; --t) g[t] = g[t - 1];
      g[0] = read(from);
      simd::keep(g[0]);
      VOLUTE_UNROLL
      for (int k = 0; k < TB; ++k) {
        V xv = simd::load<V>(x + tap[k]);
        simd::keep(xv);
        VOLUTE_UNROLL
        for (int t = 0; t < KD; ++t) acc[t][k] = simd::fma(xv, g[t], acc[t][k]);
      }
      x += j.x_plane;
      from += j.g_plane;
    }
    VOLUTE_UNROLL
    for (int e = 1; e < KD; ++e) {  // planes of x behind the last one of g
      const int64_t q = j.planes - 1 + e;
      if (q < lo || q >= hi) continue;
      const T* const at = j.x + q * j.x_plane + x_at;
      VOLUTE_UNROLL
      for (int k = 0; k < TB; ++k) {
        V xv = simd::load<V>(at + tap[k]);
        simd::keep(xv);
        VOLUTE_UNROLL
        for (int t = e; t < KD; ++t) acc[t][k] = simd::fma(xv, g[t - e], acc[t][k]);
      }
    }
  };
  // 16 planes at a time: their rows stay in the first-level cache from one vector to the next.
  for (lo = j.first; lo < j.last; lo = hi) {
    hi = smaller(lo + 16, j.last);
    next_x_at = j.next_x + (lo - j.first) * j.next_x_plane;
    next_g_at = j.next_g + (lo - j.first) * j.next_g_plane;
    for (int64_t r = 0; r < j.rows; ++r) {
      int64_t w = 0;
      for (; w + L <= j.width; w += L)
        column(
            r * j.x_row + w, r * j.g_row + w, [](const T* p) __attribute__((always_inline)) { return simd::load<V>(p); });
      if (const int n = static_cast<int>(j.width - w); n > 0)
        column(
            r * j.x_row + w, r * j.g_row + w, [n](const T* p) __attribute__((always_inline)) { return simd::load_partial<V>(p, n); });
    }
  }
  VOLUTE_UNROLL
  for (int t = 0; t < KD; ++t) VOLUTE_UNROLL
  for (int k = 0; k < TB; ++k) j.sum[t * TB + k] = simd::reduce_add(acc[t][k]);
}

/// The rows of x that a piece reads, from row h0 of g on: the planes `planes` of all channels of one sample and group.
template <class T>
VOLUTE_INLINE void copy_planes_source(const conv_shape& s, const planes_weights_plan& p, const T* x, int64_t pair, tap_range planes,
                                      int64_t h0, T* to) noexcept {
  const int64_t row = s.source_size[2], plane = s.source_size[1] * row, volume = s.source_volume();
  const T* const end = x + s.batch * s.groups * s.source_channels * volume;
  for (int64_t c = 0; c < s.source_channels; ++c, to += p.layout.channel)
    for (int64_t q = planes.first; q < planes.last; ++q)
      copy_plane<T, false>(p.layout, p.source[1], p.source[2], x + (pair * s.source_channels + c) * volume + q * plane, row, end, h0, T(1),
                           to + q * p.layout.plane);
}

/// The rows of one channel of g, `from`, of a piece.
template <class T>
VOLUTE_INLINE void copy_planes_target(const conv_shape& s, const planes_weights_plan& p, const T* from, const T* end, int64_t h0,
                                      T* to) noexcept {
  source_axis height, width;
  height.count = s.target_size[1];
  width.count = s.target_size[2];
  for (int64_t d = 0; d < s.target_size[0]; ++d, from += height.count * width.count, to += p.target.plane)
    copy_slab<T, false, 1>(p.target, height, width, from, width.count, end, h0, T(1), to);
}

/// Adds (writes, if `first`) the products of one piece of one sample and one group for some channels of g.
template <class T, int KD, int TB>
__attribute__((noinline)) void planes_weights_task(const conv_shape& s, const planes_weights_plan& p, const int64_t* offsets, const T* x,
                                                   const T* g, T* source, int64_t sample, int64_t group, tap_range targets, int64_t piece,
                                                   T* dw, bool first) noexcept {
  const correlation_axis& cd = s.classes[0][0];
  const int64_t row = s.source_size[2], volume = s.source_volume(), pair = sample * s.groups + group;
  const int64_t g_row = s.target_size[2], h0 = piece * p.rows, list = s.kernel[1] * s.kernel[2];
  const tap_range planes = planes_read(cd, p.source[0].count);
  T* const target = source + p.source_size;
  T sum[KD * TB];
  int64_t tap[TB];
  planes_weights_job<T> j;
  j.tap = tap;
  j.sum = sum;
  j.rows = p.direct ? smaller(p.rows, s.target_size[1] - h0) : 1;
  j.width = p.direct ? g_row : p.vectors * simd::width<T>;
  j.x_row = p.layout.pitch;
  j.g_row = g_row;
  j.planes = cd.n;
  j.first = planes.first;
  j.last = planes.last;
  j.next_x_plane = s.source_size[1] * row;
  j.next_g_plane = s.target_size[1] * g_row;
  j.x_plane = p.layout.plane;
  j.g_plane = p.direct ? j.next_g_plane : p.target.plane;
  const int64_t x_lines = ceil_divide(p.rows * p.layout.step[0] * row, p.vectors * static_cast<int64_t>(64 / sizeof(T)));
  copy_planes_source(s, p, x, pair, {planes.first + cd.offset, planes.last + cd.offset}, h0, source);
  const bool more_rows = piece + 1 < p.slabs;
  for (int64_t o = targets.first; o < targets.last; ++o) {
    const T* from = g + (pair * s.target_channels + o) * s.target_volume();
    j.g = p.direct ? from + h0 * g_row : target;
    if (!p.direct) copy_planes_target(s, p, from, g + s.batch * s.groups * s.target_channels * s.target_volume(), h0, target);
    j.next_g = from + (o + 1 < s.target_channels ? s.target_volume() + h0 * g_row : more_rows ? (h0 + p.rows) * g_row : s.target_volume());
    j.next_x = x + pair * s.source_channels * volume + (more_rows ? (h0 + p.rows) * p.layout.step[0] * row : s.source_channels * volume);
    for (int64_t c = 0; c < s.source_channels; ++c, j.next_x += volume) {
      j.x = source + c * p.layout.channel + cd.offset * p.layout.plane;
      T* const to = dw + filter_offset(s, group, o, c);
      for (int64_t k0 = 0; k0 < list; k0 += TB) {
        for (int64_t k = 0; k < TB; ++k) tap[k] = offsets[smaller(k0 + k, list - 1)];
        j.x_lines = k0 == 0 && o + 1 == s.target_channels ? x_lines : 0;
        j.g_lines = k0 == 0 && c == 0 ? 1 : 0;
        planes_weights_block<T, KD, TB>(j);
        put_sums(sum, TB, KD, smaller(TB, list - k0), to + k0, list, !first);
      }
    }
  }
}

/// Offsets of the taps of height and width in the padded copy.
template <class T, ops::conv_geometry G>
struct planes_weights_offsets {
  int64_t list[G.kernel[1] * G.kernel[2]];
  constexpr planes_weights_offsets() : list{} {
    const planes_weights_plan p = plan_planes_weights<T>(G);
    for (int64_t h = 0; h < G.kernel[1]; ++h)
      for (int64_t w = 0; w < G.kernel[2]; ++w)
        list[h * G.kernel[2] + w] =
            p.layout.offset(h * G.dilation[1] - G.lo[1] + p.source[1].pad, w * G.dilation[2] - G.lo[2] + p.source[2].pad);
  }
};
template <class T, ops::conv_geometry G>
inline constexpr planes_weights_offsets<T, G> planes_weights_offsets_of{};

template <class T, ops::conv_geometry G>
void run_weights_planes(const T* x, const T* g, T* dw, T* scratch, const team<T>& workers) noexcept {
  constexpr const conv_shape& s = conv_shape_of<G, conv_side::forward>;
  static constexpr planes_weights_plan p = plan_planes_weights<T>(G);
  // Every block of targets copies x again (16 of them: 14 % of the time for 3 -> 64 channels), so there are no more than threads ask for.
  const int64_t blocks = workers.alone() ? 1 : smaller(p.blocks, 4 * workers.workers->threads());
  run_parts<p.share != sharing::none>(
      p, s.groups * blocks, s.batch * p.slabs, scratch, dw,
      workers, [&](int64_t task, int64_t begin, int64_t end, T * memory, T * to) __attribute__((always_inline)) {
        const int64_t b = task % blocks;
        const tap_range targets{s.target_channels * b / blocks, s.target_channels * (b + 1) / blocks};
        for (int64_t i = begin; i < end; ++i)
          planes_weights_task<T, p.depth, p.taps>(s, p, planes_weights_offsets_of<T, G>.list, x, g, memory, i / p.slabs, task / blocks,
                                                  targets, i % p.slabs, to, i == begin);
      });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
