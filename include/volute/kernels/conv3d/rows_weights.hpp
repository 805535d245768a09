// The adjoint in the filter for stride 1, as conv3d/rows.hpp turned round: a block of target rows (their channels in the lanes) stays in
// registers while the sums of one pair of taps in depth and height pass by, and each source pixel is loaded once for all taps of the width.
// What falls on the padding is left out.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/rows.hpp>
#include <volute/kernels/conv3d/weights_driver.hpp>
#include <volute/kernels/conv3d/weights_sums.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// `target`: the tensor whose channels are lanes (y's gradient g for the forward side, x for the backward side). The sums of a task:
/// [tap d][tap h][source channel / fold][tap w][lane].
struct row_weights_plan : weights_cut, rows_cut {  // slab: one pair of taps after the other, or else all of them for each row
  int64_t panel = 1;    // planes of the target whose share of both copies stays in the second-level cache
  bool stream = false;  // dw outgrows the caches
};

template <class T>
constexpr row_weights_plan plan_row_weights(const conv_shape& s) {
  row_weights_plan p;
  rows_code& c = p.code;
  constexpr int64_t size = sizeof(T);
  // Each sum is two chains of half as many products as pixels: more than 14 keep more of them waiting than the processor can hold, and
  // fewer mean that sums come and go more often (512 channels, rows of 14 in two halves: 1.06 of the time).
  constexpr int64_t longest = 14;
  plan_rows_blocks<T>(p, s, longest);
  const int64_t pixels = ceil_divide(c.width, c.segments), column = p.axis[1].taps * c.tap_pair();
  p.main_lanes = p.last_lanes = c.block_lanes();
  p.fold = c.fold;
  p.together = p.blocks;
  p.sum = p.axis[0].taps * column;
  const bool whole = p.sum * size <= machine.l1 / 2 && pixels * c.vectors >= 6;  // fewer products are not worth their sums' way
  if (c.segments == 1 && !whole)  // sums come and go for as many products at least, of four rows at most
    c.rows = pixels * c.vectors >= 12 ? 1 : rows_at_once(c, pixels);
  c.slab = !whole;
  // The sums of one column of taps stay in the first-level cache: five taps a row take 0.98 of the time, on two threads 0.96.
  c.column = c.slab && c.rows == 1 && column * size <= machine.l1;
  const int64_t target_plane = p.axis[1].n * c.target_row();
  p.source_units = s.source_plane(), p.target_units = s.target_plane();
  p.grain = 16;
  p.interleaved = p.parts_inside = true;  // parts inside: 1 to 2 % faster
  p.size_planes();
  p.size_copies(p.source[0].count, s.target_size[0], target_plane, 0);
  p.samples = p.samples_in(machine.cached * 2, s.batch, size);
  c.ahead = c.slab && p.copies() * size > machine.l2;  // else no gain
  p.panel = smaller(p.samples * p.axis[0].n, larger(1, (machine.l2 / 2) / ((p.source_plane + target_plane) * size)));
  p.share = choose_sharing(s.work(), s.groups, (p.copies() + p.sum) * size, true);
  constexpr int64_t enough_groups = 4;
  if (p.share == sharing::inside && s.groups >= enough_groups) p.share = sharing::pairs;  // no thread waits for what another copies
  const int64_t tasks = p.blocks * p.chunks;
  p.cut_planes(p.axis[0].n, p.axis[1].n * c.width, size, machine.l2 / 2);
  if (p.share == sharing::inside && c.slab) {
    const int64_t wanted = ceil_divide(few_tasks, tasks * p.parts), columns = p.axis[0].taps;
    p.tap_slices = c.column && wanted > 1 ? ceil_divide(wanted, columns) * columns : wanted;
    p.tap_slices = smaller(p.tap_slices, columns * p.axis[1].taps);
  }
  p.sum_count = p.samples == s.batch && p.parts * p.tap_slices == 1 ? 1 : tasks;
  p.stream = s.filters() * size >= machine.cached * 2;
  if (p.cut_slabs(s, target_plane, 0, size)) p.panel = smaller(p.panel, p.depth.size);
  if (p.parts * p.tap_slices > 1) p.slices = smaller(c.chunk / c.fold, ceil_divide(few_tasks / 2, tasks));
  return p;
}

template <class T, int R>
struct row_weights_job {
  const T* x[R]{};
  const T* g[R]{};
  T* sum = nullptr;
  int64_t d = 1, h = 1;
  int64_t x_d = 0, x_h = 0, sum_d = 0, sum_h = 0;
  bool add = false;
};

/// sum[tap d][tap h][source channel][tap w][lanes] (+)= the products of R rows' segments. A sum's products make two chains if there
/// are many and registers allow: in one, they wait for its latency (three taps of 12 pixels, 8 -> 16 channels at 12^3: 0.92 of the time).
template <class T, rows_code C, int R, axis_segment S>
VOLUTE_NO_INLINE void row_weights_block(const row_weights_job<T, R>& j, int64_t x_first, int64_t g_first, bool add) noexcept {
  constexpr int L = C.lanes, NV = C.vectors, Q = S.n, K = int(C.taps);
  constexpr int chains = R * Q >= 8 && (R * Q + 2 * K) * NV + 2 <= row_registers + 1 ? 2 : 1;
  using V = simd::vec<T, L>;
  V g[R][Q][NV];
  VOLUTE_EACH(r, R)
    for_each_place(g[r], j.g[r] + g_first, [](V& v, const T* at) VOLUTE_ALWAYS_INLINE { simd::keep(v = simd::load<V>(at)); });
  for (int64_t d = 0; d < j.d; ++d)
    for (int64_t h = 0; h < j.h; ++h) {
      T* sum = j.sum + d * j.sum_d + h * j.sum_h;
      const T* x[R];
      VOLUTE_EACH(r, R) x[r] = j.x[r] + x_first + d * j.x_d + h * j.x_h;
      T* const end = sum + C.tap_pair();
      [[maybe_unused]] const T* next = x[R - 1] + C.source_width * C.chunk;  // the rows after these
      VOLUTE_NO_UNROLL
      for (; sum != end; sum += K * NV * L) {
        if constexpr (C.ahead) ask_for_pixels<C, S>(next, R);
        V acc[chains][K][NV];
        set_zero(acc[chains - 1]);
        C.column || add ? load_all(acc[0], sum) : set_zero(acc[0]);  // sums wait in memory between blocks
        for_each_product<V, C, S>(x, [&](const V& xv, int i, int r, int k, int q) VOLUTE_ALWAYS_INLINE {
          add_products(acc[(i * R + r) % chains][k], xv, g[r][q]);
        });
        if constexpr (chains == 2) for_each_vector(acc[0], [&](V& v, int i) VOLUTE_ALWAYS_INLINE { v = v + acc[1][i / NV][i % NV]; });
        store_all(acc[0], sum);
      }
    }
}

template <class T, rows_code C, int R>
VOLUTE_INLINE void row_weights_segments(const row_weights_job<T, R>& j) noexcept {
  for_each_segment<C>([&](auto i, int64_t x, int64_t g) VOLUTE_ALWAYS_INLINE {
    row_weights_block<T, C, R, segment_of(C, i)>(j, x, g, j.add || i > 0);
  });
}

/// A task: the sums of one chunk and block, of one slice of the pairs of taps if these come one after the other.
template <class T, const row_weights_plan& p>
struct row_weights_task {
  static constexpr rows_code C = p.code;
  static constexpr const correlation_axis &cd = p.axis[0], &ch = p.axis[1];
  static constexpr int64_t g_row = C.target_row(), x_row = p.source_row, tap_sums = C.tap_pair();
  static constexpr bool pair = C.rows > 1;                                // rows wait for others, and all meet one pair
  static constexpr bool joined = !C.slab || C.column;                     // a row meets several pairs
  const T *source, *target;
  T* sums;
  const weights_range& range;

  VOLUTE_NO_INLINE void run() const noexcept {
    const tap_range all = nth_range(cd.taps * ch.taps, range.slice, range.slices);
    for (int64_t begin = range.first, end = 0; begin < range.last; begin = end) {
      end = C.slab ? smaller(range.last, begin + p.panel) : range.last;
      const bool add = range.add || begin > range.first;
      for (int64_t tap = all.first, after = 0; tap < all.last; tap = after) {
        const int64_t td = tap / ch.taps, th = tap % ch.taps;
        after = !C.slab ? all.last : C.column ? smaller(all.last, (td + 1) * ch.taps) : tap + 1;
        if (joined && !add) clear(tap, after - tap);
        if constexpr (!C.slab)
          taps(begin, end, {0, cd.taps}, {0, ch.taps}, true);
        else
          taps(begin, end, {td, td + 1}, {th, th + after - tap}, joined || add);
      }
    }
  }

  /// The sums of n pairs of taps.
  VOLUTE_INLINE void clear(int64_t pair_of_taps, int64_t n) const noexcept { fill_zeros(sums + pair_of_taps * tap_sums, n * tap_sums); }

  /// Planes [begin, end), counted through the samples, C.rows rows at a time: each row meets the taps td of the depth and th of the height
  /// that find a row of the source (several rows: one pair of taps). The first sums are written, unless `add`.
  VOLUTE_INLINE void taps(int64_t begin, int64_t end, tap_range td, tap_range th, bool add) const noexcept {
    const auto both = [](tap_range a, tap_range b) { return tap_range{larger(a.first, b.first), smaller(a.last, b.last)}; };
    const tap_range rows = pair ? positions_inside(ch, th.first, p.source[1].count) : tap_range{0, ch.n};
    row_weights_job<T, C.rows> j;
    j.x_d = cd.offset_step * p.source_plane;
    j.x_h = ch.offset_step * x_row;
    j.sum_h = tap_sums;
    j.sum_d = ch.taps * j.sum_h;
    j.add = add;
    int waiting = 0;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / cd.n, d = u % cd.n;
      const tap_range inside_d = both(taps_inside(cd, d, p.source[0].count), td);
      j.d = inside_d.count();
      if (j.d <= 0) continue;
      const T* const x = source + n * p.source_sample + (cd.source_of(d, inside_d.first) - range.source_base) * p.source_plane;
      const T* g = target + n * p.target_sample + ((d - range.target_base) * ch.n + rows.first) * g_row;
      for (int64_t h = rows.first; h < rows.last; ++h, g += g_row) {
        const tap_range inside_h = pair ? th : both(taps_inside(ch, h, p.source[1].count), th);
        j.h = inside_h.count();
        if (j.h <= 0) continue;
        j.sum = sums + inside_d.first * j.sum_d + inside_h.first * j.sum_h;
        j.x[waiting] = x + ch.source_of(h, inside_h.first) * x_row;
        j.g[waiting] = g;
        if (++waiting < C.rows) continue;
        row_weights_segments<T, C, C.rows>(j);
        j.add = true;
        waiting = 0;
      }
    }
    for (int i = 0; i < waiting; ++i, j.add = true) row_weights_segments<T, C, 1>({{j.x[i]}, {j.g[i]}, j.sum, 1, 1, 0, 0, 0, 0, j.add});
    if (!j.add) clear(td.first * ch.taps + th.first, 1);
  }
};

/// A kernel of run_weights().
template <class T, const conv_call& C, const row_weights_plan& plan>
struct weights_kernel<T, C, plan> {
  static constexpr const conv_shape& s = shape_for<C>;
  weights_run<T, C> of;
  static constexpr rows_code code = plan.code;

  void task(const weights_place&, const T* x, const T* g, T* sum, const weights_range& range) const noexcept {
    row_weights_task<T, plan>{x, g, sum, range}.run();
  }

  void complete(const weights_place& at, const T* sums) const noexcept {
    static constexpr tap_places<C.geometry, C.side> places([](const correlation_axis&) { return code.tap_pair(); },
                                                           [](const correlation_axis&) { return code.block_lanes(); });
    const tap_range targets = plan.targets(at.block, s), sources = plan.sources(at.chunk, s);
    const tap_range steps = nth_range(ceil_divide(sources.count(), code.fold), at.slice, at.slices);
    T* const dw = of.dw + filter_offset(s, at.group, targets.first, sources.first);
    const complete_sums<T> all{s, sums, dw, targets.count(), steps.first * code.fold, smaller(sources.count(), steps.last * code.fold),
                               places.of, 1, code.tap_row(), plan.parts, plan.sum_count * plan.sum};
    if constexpr (C.side == conv_side::forward && code.fold == 1 && s.taps() <= dense_taps)
      all.template turn_dense<code.lanes>(plan.stream);
    else
      all.template turn<code.lanes, code.fold>();
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
