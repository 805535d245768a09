// The adjoint in the filter with several planes of g in flight, for depthwise convolution and few channels: a vector of x, loaded once for
// each tap of height and width, meets the vectors of all planes of g that see its plane (3x3x3: 10 loads for 27 multiply-adds, whose 27
// sums stay in registers). x is copied as in conv3d/planes.hpp, g with the same pitch and zeros in the gaps, unless its rows are whole
// vectors; conv3d/in_place_weights.hpp reads both where they are.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/planes.hpp>
#include <volute/kernels/conv3d/weights_parts.hpp>

#include <cstdint>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// sum[t][k] += x * g[t] for all taps t of the depth from `first` on.
template <class V, int KD, int TB>
VOLUTE_INLINE void add_depth(V (&sum)[KD][TB], int k, V x, const V* g, int first) noexcept {
  simd::keep(x);
  VOLUTE_EACH(t, KD)
    if (t >= first) sum[t][k] = simd::fma(x, g[t], sum[t][k]);
}

/// One channel of x and one of g. Virtual plane q of x is the one that plane q of g reads with its first tap; of these, [first, last) exist
/// and are read.
template <class T>
struct weights_flight {
  int64_t planes, first, last;  // planes: of g
  int64_t x_plane, g_plane;
  const T* x = nullptr;  // virtual plane 0
  const T* g = nullptr;
  const T* next_x = nullptr;  // what comes next, asked for meanwhile
  const T* next_g = nullptr;

  /// `c`: the depth, without stride and dilation, whose source has `count` planes.
  constexpr weights_flight(const correlation_axis& c, int64_t count, int64_t source_plane, int64_t target_plane)
      : planes(c.n),
        first(larger(0, -c.offset)),
        last(larger(first, smaller(c.n + c.taps - 1, count - c.offset))),
        x_plane(source_plane),
        g_plane(target_plane) {}

  /// add(q, e, g) for the planes q of x in [lo, hi): g[t] is the vector of g's plane that reads q with tap t, t >= e; read(q) loads one.
  template <class V, int KD, class Read, class Add>
  VOLUTE_INLINE void for_each_plane(int64_t lo, int64_t hi, Read read, Add add) const noexcept {
    const int64_t both = smaller(hi, planes), start = smaller(lo, planes) - 1;
    V v[KD];
    VOLUTE_EACH(t, KD) v[t] = start >= t ? read(start - t) : V(T(0));
    // No loop: clang would make it a memmove before it unrolls it, and keep the vectors in memory for that (1.35 times as long).
    const auto shift = [&]<int... I>(std::integer_sequence<int, I...>) VOLUTE_ALWAYS_INLINE { ((v[KD - 1 - I] = v[KD - 2 - I]), ...); };
    VOLUTE_NO_UNROLL
    for (int64_t q = lo; q < both; ++q) {
      shift(std::make_integer_sequence<int, KD - 1>{});
      v[0] = read(q);
      simd::keep(v[0]);
      add(q, 0, v);
    }
    VOLUTE_UNROLL
    for (int e = 1; e < KD; ++e) {  // planes of x behind the last one of g
      const int64_t q = planes - 1 + e;
      if (q >= hi) continue;
      shift(std::make_integer_sequence<int, KD - 1>{});
      if (q >= lo) add(q, e, v);
    }
  }
};

struct planes_weights_plan : weights_parts {  // steps: pieces
  int depth = 1, taps = 1;  // sums of one register block: taps of depth, and of height and width
  source_axis source[3]{};
  padded_layout layout{}, target{};  // of x, of g
  int64_t rows = 1;                 // of g, of one piece
  int64_t targets = 1, blocks = 1;  // channels of g of one task
  bool direct = false;              // g's rows are read where they are, masked at their ends; else a copy of them, end to end
  int64_t vectors = 1;              // of one plane of g

  /// Sizes for pieces of so many rows, with what x's copy has beside them: `halo` rows and `gap` elements.
  template <class T>
  constexpr void cut_rows(const conv_shape& s, int64_t rows_of_piece, int64_t halo, int64_t gap) {
    constexpr int64_t size = sizeof(T), width = simd::width<T>;
    padded_layout& l = layout;
    rows = rows_of_piece;
    steps = ceil_divide(s.target_size[1], rows);
    l.set_rows(rows + halo, gap, size);
    l.channel = source[0].count * l.plane;
    vectors = direct ? rows * ceil_divide(s.target_size[2], width) : ceil_divide((rows - 1) * l.pitch + s.target_size[2], width);
    target.pitch = l.pitch;
    target.set_rows(rows, 2 * width, size);
    source_size = whole_lines(s.source_channels * l.channel + l.pitch + 2 * width);
    target_size = direct ? 0 : whole_lines(s.target_size[0] * target.plane);
  }
};

template <class T>
constexpr planes_weights_plan plan_planes_weights(const conv_shape& s) {
  planes_weights_plan p;
  constexpr int64_t size = sizeof(T), width = simd::width<T>, least_rows = 4;
  const planes_plan forward = plan_planes<T>(s);
  for (int a : volume_axes) p.source[a] = forward.source[a];
  p.layout = forward.layout;
  p.depth = int(s.kernel[0]);
  p.taps = taps_together(s.plane_taps(), (accumulators - 1) / p.depth);
  // A copy costs more than up to a seventh of the lanes.
  p.direct = simd::masks<T> && ceil_divide(s.target_size[2], width) * width * 7 <= s.target_size[2] * 8;
  const int64_t halo = p.layout.rows - forward.rows, gap = p.source[2].pad + 2 * width;
  const int64_t aligned = ceil_divide(p.layout.pitch, width) * width;  // one tap of the width then crosses no cache line: 9 % less time
  if (p.direct && aligned * 8 <= p.layout.pitch * 9) p.layout.pitch = aligned;
  p.cut_rows<T>(s, s.target_size[1], halo, gap);
  const auto cut_further = [&] { p.cut_rows<T>(s, smaller(p.rows - 1, ceil_divide(s.target_size[1], p.steps + 1)), halo, gap); };
  while (p.rows > least_rows && p.copies() > (machine.l2 * 3 / 8) / size) cut_further();
  p.targets = s.target_channels;
  if (const int64_t tasks = tasks_worth(s.work() * lanes_of_pixels_work); s.groups < tasks && p.targets >= 4) {
    p.targets = ceil_divide(s.target_channels, smaller(ceil_divide(tasks, s.groups), p.targets / 2));
    p.blocks = ceil_divide(s.target_channels, p.targets);
  }
  p.want_parts(s, s.groups * p.blocks, lanes_of_pixels_work, machine.l2 / size);
  while (p.rows > least_rows && s.batch * p.steps < p.parts) cut_further();
  p.limit_parts(s.batch);
  return p;
}

template <class T>
struct planes_weights_job : weights_flight<T> {
  int64_t rows = 0, width = 0;  // of g; a copy is one long row
  int64_t x_row = 0, g_row = 0;
  int64_t x_lines = 0, g_lines = 0, next_x_plane = 0, next_g_plane = 0;  // lines that are asked for with each vector and plane
};

/// to[KD][TB]: all lanes of all planes of one piece and one pair of channels, for the taps that x has at `offset`.
template <class T, int KD, int TB>
VOLUTE_NO_INLINE void planes_weights_block(const planes_weights_job<T>& job, const int64_t* offset, T* to) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  const planes_weights_job<T> j = job;
  V acc[KD][TB];
  set_zero(acc);
  int64_t tap[TB];
  VOLUTE_EACH(k, TB) tap[k] = offset[k];
  // 16 planes at a time: their rows stay in the first-level cache from one vector to the next.
  for (int64_t lo = j.first, hi = lo; lo < j.last; lo = hi) {
    hi = smaller(lo + 16, j.last);
    const int64_t both = smaller(hi, j.planes);
    const T* next_x = j.next_x + (lo - j.first) * j.next_x_plane;
    const T* next_g = j.next_g + (lo - j.first) * j.next_g_plane;
    const auto column = [&](int64_t x_at, int64_t g_at, auto read) VOLUTE_ALWAYS_INLINE {
      if (j.x_lines > 0)
        for (int64_t q = lo; q < both; ++q)
          for (int64_t i = 0; i < j.x_lines; ++i) simd::prefetch_far(next_x + (q - lo) * j.next_x_plane + i * line_of<T>);
      for (int64_t q = lo; q < both; ++q) {  // the next vector's, into the first-level cache: a fifth less time
        simd::prefetch(j.g + q * j.g_plane + g_at + L);
        simd::prefetch(j.x + q * j.x_plane + x_at + tap[TB - 1] + L);
      }
      if (j.g_lines > 0)  // apart from the sums, which need all registers
        for (int64_t q = lo; q < both; ++q) simd::prefetch_far(next_g + (q - lo) * j.next_g_plane);
      next_x += j.x_lines * line_of<T>;
      next_g += line_of<T>;
      j.template for_each_plane<V, KD>(
          lo, hi, [&](int64_t q) VOLUTE_ALWAYS_INLINE { return read(j.g + q * j.g_plane + g_at); },
          [&](int64_t q, int first, const V* g) VOLUTE_ALWAYS_INLINE {
            const T* const x = j.x + q * j.x_plane + x_at;
            VOLUTE_EACH(k, TB) add_depth(acc, k, simd::load<V>(x + tap[k]), g, first);
          });
    };
    for (int64_t r = 0; r < j.rows; ++r) {
      int64_t w = 0;
      for (; w + L <= j.width; w += L)
        column(r * j.x_row + w, r * j.g_row + w, [](const T* p) VOLUTE_ALWAYS_INLINE { return simd::load<V>(p); });
      if (const int n = int(j.width - w); n > 0)
        column(r * j.x_row + w, r * j.g_row + w, [n](const T* p) VOLUTE_ALWAYS_INLINE { return simd::load_partial<V>(p, n); });
    }
  }
  reduce_tile(acc, to);
}

/// A kernel of run_weights(): a task has some of the channels of g in one group.
template <class T, const conv_call& C, const planes_weights_plan& plan>
struct weights_kernel<T, C, plan> {
  static constexpr const conv_shape& s = shape_for<C>;
  weights_run<T, C> of;
  static constexpr tap_offsets<C.geometry, C.side> offsets{plan.layout, plan.source};
  static constexpr int64_t row = s.source_size[2], g_row = s.target_size[2];

  /// Every block of targets copies x again (16 of them: 14 % of the time for 3 -> 64 channels), so there are no more than threads ask for.
  int64_t tasks() const noexcept { return s.groups * (of.workers.alone() ? 1 : smaller(plan.blocks, 4 * of.workers.workers->threads())); }

  VOLUTE_NO_INLINE void add(const weights_stint& at, T* memory) const noexcept {
    constexpr const correlation_axis& cd = s.axis[0];
    constexpr int64_t volume = s.source_volume(), below = plan.rows * plan.layout.step[0] * row;  // x of the next piece
    const int64_t blocks = at.tasks / s.groups, group = at.task / blocks, b = at.task % blocks, pair = at.sample * s.groups + group;
    const tap_range targets = nth_range(s.target_channels, b, blocks);
    const T* const x = of.source_at(pair, 0);
    const slab_copy<T> copy{plan.layout, plan.source[1], plan.source[2], row, s.source_plane(), volume, of.source_at(s.pairs(), 0)};
    T* const target = memory + plan.source_size;
    planes_weights_job<T> j{{cd, plan.source[0].count, plan.layout.plane, plan.direct ? s.target_plane() : plan.target.plane}};
    j.width = plan.direct ? g_row : plan.vectors * simd::width<T>;
    j.x_row = plan.layout.pitch;
    j.g_row = g_row;
    j.next_x_plane = s.source_plane();
    j.next_g_plane = s.target_plane();
    for (int64_t piece = at.begin; piece < at.end; ++piece) {
      const int64_t h0 = piece * plan.rows, next_row = piece + 1 < plan.steps ? h0 + plan.rows : 0;
      j.rows = plan.direct ? smaller(plan.rows, s.target_size[1] - h0) : 1;
      copy_slabs<T, false>(copy, x, {j.first + cd.offset, j.last + cd.offset}, s.source_channels, h0, nullptr, memory);
      for (int64_t o = targets.first; o < targets.last; ++o) {
        const T* from = of.target_at(pair, o);
        const bool last = o + 1 == s.target_channels;
        j.g = plan.direct ? from + h0 * g_row : target;
        if constexpr (!plan.direct) of.copy_target(plan.target, from, cd.n, h0, target);
        j.next_g = from + (!last ? s.target_volume() + h0 * g_row : next_row > 0 ? next_row * g_row : s.target_volume());
        j.next_x = x + (next_row > 0 ? (piece + 1) * below : s.source_channels * volume);
        for (int64_t c = 0; c < s.source_channels; ++c, j.next_x += volume) {
          j.x = memory + c * plan.layout.channel + cd.offset * plan.layout.plane;
          j.x_lines = last ? ceil_divide(below, plan.vectors * line_of<T>) : 0;
          j.g_lines = c == 0 ? 1 : 0;
          add_taps(j, of.dw + filter_offset(s, group, o, c), !at.first || piece > at.begin);
        }
      }
    }
  }

  /// The sums of all taps of one pair of channels, to or (add) onto dw. The first ones ask for what comes next.
  VOLUTE_INLINE void add_taps(planes_weights_job<T>& j, T* to, bool add) const noexcept {
    constexpr int64_t KD = plan.depth, TB = plan.taps, list = s.plane_taps();
    T sum[KD * TB];
    int64_t tap[TB];
    for (int64_t k0 = 0; k0 < list; k0 += TB) {
      for (int64_t k = 0; k < TB; ++k) tap[k] = offsets.both[smaller(k0 + k, list - 1)];
      planes_weights_block<T, plan.depth, plan.taps>(j, tap, sum);
      put_sums(sum, TB, KD, smaller(TB, list - k0), to + k0, list, add);
      j.x_lines = j.g_lines = 0;
    }
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
