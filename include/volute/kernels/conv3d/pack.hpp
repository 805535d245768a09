// Filters into the order in which a convolution with target channels in the lanes reads them: transposes in registers, rows of target
// channels, columns of neighbouring filter elements. Gathering one element after the other takes 1 to 2 ns for each.
#pragma once

#include <volute/core/hash.hpp>
#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/registers.hpp>
#include <volute/kernels/team.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Packed filters of more bytes than this are written past the caches: they would drive out what the convolution reads next, and a store
/// of whole lines need not read them first.
inline constexpr int64_t pack_streams = machine.cached * 2;

/// One residue class of the depth and one of the height, and how many taps the classes before have in the order of the packed filters: in
/// all, and those of the height alone.
struct plane_class {
  const correlation_axis &d, &h;
  int64_t before = 0, before_h = 0;
  /// The target's row, counted through its planes, of positions of the two.
  constexpr int64_t target_row(const conv_shape& s, int64_t at_d, int64_t at_h) const {
    return d.target_of(at_d) * s.target_size[1] + h.target_of(at_h);
  }
};
/// One of each axis: a dense correlation.
struct conv_class {
  const correlation_axis &d, &h, &w;
  int64_t before = 0;
  constexpr int64_t taps() const { return d.taps * h.taps * w.taps; }
};

/// f(plane_class) for all of them in the order of the packed filters; the classes of the width follow each other within them.
template <class F>
VOLUTE_INLINE constexpr void for_each_plane_class(const conv_shape& s, F f) {
  int64_t taps = 0;
  for (int64_t d = 0; d < s.class_counts[0]; ++d) {
    int64_t taps_h = 0;
    for (int64_t h = 0; h < s.class_counts[1]; ++h) {
      const correlation_axis &cd = s.classes[0][d], &ch = s.classes[1][h];
      f(plane_class{cd, ch, taps, taps_h});
      taps_h += ch.taps;
      for (int64_t w = 0; w < s.class_counts[2]; ++w) taps += cd.taps * ch.taps * s.classes[2][w].taps;
    }
  }
}
/// f(conv_class) for those of the width in one of these.
template <class F>
VOLUTE_INLINE constexpr void for_each_width_class(const conv_shape& s, const plane_class& plane, F f) {
  int64_t taps = plane.before;
  for (int64_t w = 0; w < s.class_counts[2]; ++w) {
    const conv_class at{plane.d, plane.h, s.classes[2][w], taps};
    f(at);
    taps += at.taps();
  }
}
/// f(conv_class) for all.
template <class F>
VOLUTE_INLINE constexpr void for_each_class(const conv_shape& s, F f) {
  for_each_plane_class(s, [&](const plane_class& plane) { for_each_width_class(s, plane, f); });
}

/// f(d, h, w, the filter's element) for the taps of one class.
template <class F>
VOLUTE_INLINE constexpr void for_each_tap(const conv_shape& s, const conv_class& at, F f) {
  for (int64_t d = 0; d < at.d.taps; ++d)
    for (int64_t h = 0; h < at.h.taps; ++h)
      for (int64_t w = 0; w < at.w.taps; ++w)
        f(d, h, w, ((at.d.k + d * at.d.k_step) * s.kernel[1] + at.h.k + h * at.h.k_step) * s.kernel[2] + at.w.k + w * at.w.k_step);
}

/// How far the loops of a register block go over chunks of source channels and taps of depth and height, and their steps in the source and in
/// the packed filters.
struct tap_loops {
  int64_t chunks = 1, d = 1, h = 1;
  int64_t x_chunk = 0, x_d = 0, x_h = 0, w_chunk = 0, w_d = 0, w_h = 0;

  /// From where the loops begin to (c, d, h), in the source and in the filters.
  VOLUTE_INLINE int64_t source_at(int64_t c, int64_t td, int64_t th) const { return c * x_chunk + td * x_d + th * x_h; }
  VOLUTE_INLINE int64_t filters_at(int64_t c, int64_t td, int64_t th) const { return c * w_chunk + td * w_d + th * w_h; }
  /// Where they read the source after (c, d, h), which is `here`: from x on, or `next` behind the last.
  template <class T>
  VOLUTE_INLINE const T* after(const T* x, const T* here, int64_t c, int64_t td, int64_t th, const T* next) const {
    return th + 1 < h ? here + x_h : td + 1 < d ? x + source_at(c, td + 1, 0) : c + 1 < chunks ? x + source_at(c + 1, 0, 0) : next;
  }
  VOLUTE_INLINE void filter_steps(const correlation_axis& cd, const correlation_axis& ch, int64_t row_filters) {
    w_h = row_filters, w_d = ch.taps * w_h, w_chunk = cd.taps * w_d;
  }
  /// Returns where the filters of these taps begin.
  VOLUTE_INLINE int64_t take(const tap_range& td, const tap_range& th) {
    d = td.count(), h = th.count();
    return td.first * w_d + th.first * w_h;
  }
};

/// The order of packed filters, of `size` elements; what `put` names is equal where they can be shared: [group][block of target
/// channels][class][chunk of source channels][tap d][tap h] and then [tap w][source channel / fold][lane] or, `width_last`, [source channel
/// / fold][tap w][lane].
struct filter_order {
  int64_t blocks = 1, lanes = 1, last_lanes = 1;  // in one group; lanes of a block, and of the last one
  int64_t fold = 1;                               // neighbouring lanes for each target channel, with as many source channels
  int64_t chunk = 1, chunks = 1;
  bool width_last = false;
  constexpr int64_t size(const conv_shape& s) const { return s.groups * group_size(s.taps()); }
  constexpr void put(hash& h) const {
    for (int64_t v : {blocks, lanes, last_lanes, fold, chunk, chunks}) h.put(v);
  }
  constexpr int64_t steps() const { return chunk / fold; }
  constexpr int64_t block_lanes(int64_t b) const { return b + 1 < blocks ? lanes : last_lanes; }
  constexpr int64_t group_size(int64_t taps) const { return ((blocks - 1) * lanes + last_lanes) * taps * steps() * chunks; }
  constexpr int64_t block_first(int64_t group, int64_t b, int64_t taps) const {
    return group * group_size(taps) + b * lanes * taps * steps() * chunks;
  }
  /// Rows of lanes before tap (d, h, w) and the first source channel, in a chunk of one class; and from one source channel to the next.
  constexpr int64_t row(const conv_class& at, int64_t d, int64_t h, int64_t w) const {
    return (d * at.h.taps + h) * at.w.taps * steps() + w * (width_last ? 1 : steps());
  }
  constexpr int64_t row_step(const correlation_axis& w_axis) const { return width_last ? w_axis.taps : 1; }
};

/// One chunk of a block of target channels, for filters whose taps all belong to one class: `targets` channels in `lanes`, a multiple of
/// the widest vector, and `sources` channels; zeros for the rest. rows: of each tap and the first source channel.
template <class T>
VOLUTE_NO_INLINE void pack_block(const conv_shape& s, const filter_order& order, const int64_t* rows, const T* w, int64_t lanes,
                                 int64_t targets, int64_t sources, bool streams, T* to) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::width<T>;
  const int64_t taps = s.taps(), target_stride = s.weight_target, source_stride = s.weight_source;
  const int64_t step = order.row_step(s.axis[2]) * lanes;
  const bool dense = source_stride == taps;  // the source channels of a target channel lie one after the other
  const int64_t runs = dense ? 1 : sources, length = dense ? sources * taps : taps;
  const int64_t ahead = dense ? 8 * L : source_stride;  // the rows lie far apart: the processor does not see what comes next
  for (int64_t run = 0; run < runs; ++run)
    for (int64_t first = 0; first < lanes; first += L) {
      const T* const from = w + first * target_stride + run * source_stride;
      int64_t tap = 0;
      T* base = to + run * step + first;
      for (int64_t m = 0; m < length; m += L) {
        const int n = int(smaller(L, length - m));
        V r[L];
        for (int o = 0; o < L; ++o) simd::prefetch(from + o * target_stride + m + ahead);
        for (int o = 0; o < L; ++o) r[o] = first + o >= targets ? V(T(0)) : load_first<V>(from + o * target_stride + m, n);
        simd::transpose(r);
        for (int i = 0; i < n; ++i) {
          T* const at = base + rows[tap] * lanes;
          if (streams)
            simd::stream(at, r[i]);
          else
            simd::store(at, r[i]);
          if (++tap == taps) tap = 0, base += step;
        }
      }
    }
  for (int64_t k = sources; k < order.chunk; ++k)
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t o = 0; o < lanes; ++o) to[rows[tap] * lanes + k * step + o] = T(0);
  if (streams) simd::stream_fence();
}

/// The same for any classes and folds, element by element: `from` is the filter of the first channels, `c` the chunk.
template <class T>
void gather_block(const conv_shape& s, const filter_order& order, const T* from, int64_t c, int64_t lanes, int64_t targets,
                  T* to) noexcept {
  const int64_t fold = order.fold, block = lanes / fold, begin = c * order.chunk, end = begin + order.chunk;
  for_each_class(s, [&](const conv_class& at) {
    T* const first = to + (at.before * order.chunks + c * at.taps()) * order.steps() * lanes;
    const int64_t step = order.row_step(at.w) * lanes;
    for_each_tap(s, at, [&](int64_t d, int64_t h, int64_t w, int64_t tap) {
      T* out = first + order.row(at, d, h, w) * lanes;
      const T* in = from + begin * s.weight_source + tap;
      for (int64_t k = begin; k < end; k += fold, out += step, in += fold * s.weight_source) {
        const int64_t sources = larger(0, smaller(fold, s.source_channels - k)), filled = sources > 0 ? targets : 0;
        for (int64_t f = 0; f < fold; ++f)
          for (int64_t o = 0; o < filled; ++o) out[o * fold + f] = f < sources ? in[o * s.weight_target + f * s.weight_source] : T(0);
        for (int64_t i = filled * fold; i < block * fold; ++i) out[i] = T(0);
      }
    });
  });
}

/// What a plan knows of its packed filters: `size`, `put` and what pack_filters() wants. Some plans are their order themselves.
template <class Plan>
constexpr const auto& order_of(const Plan& p) {
  if constexpr (requires { p.order; })
    return p.order;
  else
    return p;
}

/// Filters w to `packed`.
template <class T>
VOLUTE_NO_INLINE void pack_filters(const conv_shape& s, const filter_order& order, const T* w, T* packed, const team<T>& workers) noexcept {
  constexpr int64_t most_taps = 512;  // of a table on the stack; filters with more are gathered
  int64_t rows[most_taps];
  const conv_class all{s.axis[0], s.axis[1], s.axis[2]};
  const bool one_class = s.class_counts[0] * s.inner_classes() == 1 && all.taps() == s.taps();
  const bool turns = one_class && order.fold == 1 && s.taps() <= most_taps;
  if (turns) for_each_tap(s, all, [&](int64_t d, int64_t h, int64_t x, int64_t tap) { rows[tap] = order.row(all, d, h, x); });
  const int64_t size = order.size(s);
  const bool streams = size * bytes_of<T> > pack_streams;
  // Reads of stride `weight_target` take about 1 ns an element, transposes in registers a third of it.
  share_ranges(workers, s.groups * order.blocks * order.chunks, 1, parts_of(double(size)), [&](int64_t begin, int64_t end, int) noexcept {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i % order.chunks, b = i / order.chunks % order.blocks, group = i / (order.blocks * order.chunks);
      const int64_t lanes = order.block_lanes(b), first = b * order.lanes / order.fold;
      const int64_t targets = smaller(lanes / order.fold, s.target_channels - first), source = c * order.chunk;
      const T* const from = w + group * s.target_channels * s.source_channels * s.taps() + first * s.weight_target;
      T* const to = packed + order.block_first(group, b, s.taps());
      if (turns && lanes % simd::width<T> == 0) {
        pack_block(s, order, rows, from + source * s.weight_source, lanes, targets, smaller(order.chunk, s.source_channels - source),
                   streams, to + source * s.taps() * lanes);
      } else {
        gather_block(s, order, from, c, lanes, targets, to);
      }
    }
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
