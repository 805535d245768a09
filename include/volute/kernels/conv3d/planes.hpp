// Direct convolution with the width in the vector and several planes of the destination in flight, for few channels on one side: depthwise,
// and layers from or to one to four channels. A vector of a source plane, loaded once for each tap of height and width, feeds the
// accumulators of all destination planes that see it (3x3x3: 9 loads for 27 multiply-adds), so loads are not the limit, and the sums of one
// destination channel finish plane by plane. Lanes run over the ends of rows as in conv3d/width.hpp.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/padded.hpp>
#include <volute/kernels/conv3d/pixels.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// True where the planes' kernel can compute this side: the depth is dense, and the width's stride at most 2.
constexpr bool planes_possible(const conv_shape& s) {
  const correlation_axis d = s.axis[0];
  if (s.class_counts[0] != 1 || d.step != 1 || d.offset_step != 1 || d.taps < 2 || d.taps > 5) return false;
  bool whole = true;  // no class without taps
  for (int a : volume_axes) {
    if (s.subsampled(a)) return false;
    s.for_each_class(a, [&](const correlation_axis& c) { whole = whole && c.taps > 0; });
  }
  return whole && s.axis[2].step <= 2 && s.class_counts[2] <= 2;
}

/// What plans with several planes in flight have: a task computes `targets` destination channels in one of `slabs` ranges of rows, as
/// many virtual source planes at a time as fit a cache.
struct flight_plan : pixels_plan {
  int64_t targets = 1, slabs = 1, planes = 1;
  int64_t weights = 0;  // packed elements of one destination channel
  constexpr flight_plan() { order.axes[1] = height_axis, order.axes[2] = width_axis, order.axes[3] = depth_axis; }
  constexpr void cut_targets(int64_t channels, int64_t most) {
    targets = ceil_divide(channels, most);
    blocks = ceil_divide(channels, targets);
  }
  constexpr tap_range targets_of(const conv_shape& s, int64_t block) const {
    return {block * targets, smaller(s.target_channels, (block + 1) * targets)};
  }
};

/// f(task, memory) for each task of a plan with planes in flight; `depths`: ranges of the depth.
template <const auto& p, class T, class F>
VOLUTE_INLINE void share_tasks(const conv_shape& s, int64_t depths, const conv_run<T>& run, F f) noexcept {
  const pixels_tasks all{s.pairs(), p.blocks, depths, p.slabs};
  share_if<p.share != sharing::none>(run.workers, all.count(), [&](int64_t i, int worker) VOLUTE_ALWAYS_INLINE {
    f(all.task(i), run.workers.memory(worker, run.scratch));
  });
}

/// What register blocks of both kernels do: some of the virtual source planes.
template <class T>
struct flight_job {
  const T* x = nullptr;
  const T* w = nullptr;
  T* carry = nullptr;
  int64_t planes = 0, first = 0, last = 0;  // virtual planes, and those of them that exist
  int64_t done = 0;                         // the first one that completes a destination plane
  int64_t channels = 1, x_channel = 0, x_plane = 0, y_plane = 0;
  bool resume = false, keep = false;  // sums come from the carry, go to the carry

  /// Planes q0, q0 + 1 ... of `all` virtual source planes, as many as the plan takes at a time; the first of all is plane `start` of
  /// `count` that the source has. There are taps - 1 more of them than of the destination: so many must follow until a destination plane
  /// is done.
  constexpr void set_planes(const flight_plan& p, int64_t q0, int64_t all, int64_t taps, int64_t start, int64_t count) {
    planes = smaller(p.planes, all - q0);
    first = smaller(planes, larger(0, -start - q0));
    last = larger(first, smaller(planes, count - start - q0));
    done = smaller(planes, larger(0, taps - 1 - q0));
    resume = q0 > 0;
    keep = q0 + planes < all;
  }
};

/// The sums in flight: acc[t] belongs to the destination plane that reads the present one with tap t. At the beginning of a run those of
/// taps 1 ... are zeros or come from the carry, behind each plane all pass on to the next tap, at the end they go to the carry.
template <int KD, int N, class V, class T>
VOLUTE_INLINE void begin_run(V (&acc)[KD][N], bool resume, const T* carry) noexcept {
  VOLUTE_EACH(t, KD - 1) set_zero(acc[t + 1]);
  if (!resume) return;
  VOLUTE_EACH(t, KD - 1) load_all(acc[t + 1], carry + t * N * simd::lanes<V>);
}
template <int KD, int N, class V>
VOLUTE_INLINE void pass_on(V (&acc)[KD][N]) noexcept {
  VOLUTE_EACH(t, KD - 1)
    VOLUTE_EACH(i, N) acc[KD - 1 - t][i] = acc[KD - 2 - t][i];
}
template <int KD, int N, class V, class T>
VOLUTE_INLINE void end_run(const V (&acc)[KD][N], bool keep, T* carry) noexcept {
  if (!keep) return;
  VOLUTE_EACH(t, KD - 1) store_all(acc[t + 1], carry + t * N * simd::lanes<V>);
}

struct planes_plan : flight_plan {
  int taps = 1, vectors = 1;  // planes in flight and vectors of each: accumulators of one register block
  source_axis source[3]{};
  padded_layout layout{};
  int64_t height = 1, width = 1, halo = 0;  // of a residue class of the destination; rows that its copy has beyond
  int64_t rows = 1;                         // of each residue class that one task computes
  int64_t chunk = 1;                        // source channels at a time; if not all of them, one plane at a time
  int64_t parts = 1;                        // ranges of the destination's depth that threads may take: each begins with KD - 1 more planes
  int64_t lanes = 0, strips = 1;            // of one plane of the tile, and its register blocks
  int64_t tile_size = 0;
  constexpr int64_t carried(int64_t channels) const { return chunk < channels ? taps : taps - 1; }  // vectors of sums that wait
};

/// The sizes for so many rows and planes; `classes` of the width.
template <class T>
constexpr void resize_planes(planes_plan& p, int64_t classes, int64_t rows, int64_t planes) {
  constexpr int64_t size = sizeof(T), L = simd::width<T>;
  padded_layout& l = p.layout;
  p.rows = rows;
  p.planes = planes;
  p.slabs = ceil_divide(p.height, rows);
  l.set_rows(rows + p.halo, p.source[2].pad + 2 * L, size);
  l.channel = planes * l.plane;
  // A quarter of the accumulators is left to what else is in flight.
  const int64_t vectors = ceil_divide((rows - 1) * l.pitch + p.width, L), most = (accumulators - accumulators / 4) / p.taps;
  p.strips = ceil_divide(vectors, most);
  p.vectors = int(ceil_divide(vectors, p.strips));
  p.lanes = odd_lines(p.strips * p.vectors * L, size);
  p.source_size = whole_lines(p.chunk * l.channel + p.vectors * L + l.pitch);  // the last block reads beyond the last row
  p.tile_size = whole_lines(classes * planes * p.lanes + L);
}

template <class T>
constexpr planes_plan plan_planes(const conv_shape& s) {
  planes_plan p;
  constexpr int64_t size = sizeof(T);
  const correlation_axis cd = s.axis[0], ch = s.axis[1], cw = s.axis[2];
  for (int a : volume_axes) p.source[a] = s.source(a, 1, a > 0);
  p.taps = int(cd.taps);
  p.height = ch.n;
  p.width = cw.n;
  p.layout.step[0] = ch.step;
  p.layout.step[1] = cw.step;
  p.layout.pitch = ceil_divide(p.source[2].extent, cw.step);
  s.for_each_class(1, [&](const correlation_axis& c) { p.halo = larger(p.halo, tap_position(c, c.taps - 1, p.source[1]) / ch.step); });
  p.weights = s.source_channels * s.taps();
  // Many channels would fill the second-level cache before a row is long enough for memory, and where their planes lie a power of two
  // apart, more than 8 lines asked for ahead would drive each other out.
  const int64_t chunks = ceil_divide(s.source_channels, 8), all = cd.n + cd.taps - 1;
  p.chunk = ceil_divide(s.source_channels, chunks);
  const auto resize = [&](int64_t rows, int64_t planes) { resize_planes<T>(p, s.class_counts[2], rows, planes); };
  const auto cut_rows = [&] { resize(smaller(p.rows - 1, ceil_divide(ch.n, p.slabs + 1)), p.planes); };
  // All planes of all rows, if source and tile then stay in the second-level cache; else fewer rows, but long runs of memory; else fewer
  // planes, whose sums wait in memory for the next run.
  const int64_t room = chunks > 1 ? machine.l2 / 8 : machine.l2 * 3 / 8;
  const auto too_large = [&] { return p.source_size + p.tile_size > room / size; };
  resize(ch.n, chunks > 1 ? 1 : all);
  while (p.rows > 16 && too_large()) cut_rows();
  while (p.planes > 1 && too_large()) resize(p.rows, ceil_divide(p.planes, 2));
  while (p.rows > 4 && too_large()) cut_rows();
  p.targets = s.target_channels;
  const int64_t pairs = s.pairs();
  const double work = s.work();
  if (chunks > 1 && work >= worth_sharing) {  // a slab's rim is copied only, a part's computed too
    while (p.rows > 8 && pairs * p.slabs < 4) cut_rows();
    p.parts = larger(1, smaller(ceil_divide(few_tasks, pairs * p.slabs), cd.n / 8));
  } else if (work >= worth_sharing && pairs * p.slabs < few_tasks) {  // fewer channels or rows for each task, but 12 us of work
    const int64_t tasks = smaller(few_tasks, ceil_divide(larger(1, int64_t(work / 12e3)), pairs));
    p.cut_targets(s.target_channels, p.targets < 8 ? 1 : larger(1, smaller(ceil_divide(tasks, p.slabs), p.targets / 4)));
    while (p.rows > 4 && p.slabs * p.blocks < tasks) cut_rows();
  }
  // Somewhat fewer rows may fill the vectors better.
  const auto vectors = [&] { return p.slabs * p.strips * p.vectors; };
  int64_t best = p.rows, least = vectors();
  for (int64_t rows = best - 1, least_rows = best * 3 / 4; rows >= 4 && rows > least_rows; --rows) {
    resize(rows, p.planes);
    if (vectors() < least) best = rows, least = vectors();
  }
  resize(best, p.planes);
  if (work >= worth_sharing && pairs * p.slabs * p.blocks * p.parts > 1) p.share = sharing::pairs;
  const int64_t waiting = p.planes < all ? p.targets * s.inner_classes() * p.carried(s.source_channels) : 0;
  p.own_size = p.tile_size + waiting * p.strips * p.vectors * simd::width<T>;
  return p;
}

template <class T>
struct planes_job : flight_job<T> {
  T* tile = nullptr;
  const int64_t* offset = nullptr;  // of the taps of height and width
  int64_t taps = 0, tile_plane = 0;
  bool inside = false, open = false;  // of a single plane: it is begun already, it waits for more channels
  // What comes next is asked for while this is computed, so many lines at a time: the source of the next chunk by channel and plane, and
  // where the tile will be stored.
  const T* next = nullptr;
  const T* y = nullptr;
  int64_t next_lines = 0, y_lines = 0, next_channel = 0, next_plane = 0;
};

/// One block of vectors through some source planes.
template <class T, int KD, int NV>
VOLUTE_NO_INLINE void planes_block(const planes_job<T>& j) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  constexpr int64_t line = line_of<T>;
  V acc[KD][NV];
  begin_run(acc, j.resume, j.carry + (j.inside ? NV * L : 0));
  for (int64_t q = 0; q < j.planes; ++q) {
    set_zero(acc[0]);
    if (j.inside) load_all(acc[0], j.carry);
    if (q >= j.first && q < j.last) {
      const T* w = j.w;
      for (int64_t c = 0; c < j.channels; ++c) {
        const T* const x = j.x + c * j.x_channel + q * j.x_plane;
        for (int64_t i = 0; i < j.next_lines; ++i) simd::prefetch_far(j.next + c * j.next_channel + q * j.next_plane + i * line);
        VOLUTE_NO_UNROLL
        for (int64_t k = 0; k < j.taps; ++k, w += KD) {
          V xv[NV];
          load_operands<KD>(xv, x + j.offset[k]);
          VOLUTE_EACH(t, KD) add_products(acc[t], V(w[t]), xv);
        }
      }
    }
    if (j.open) {
      store_all(acc, j.carry);
      return;
    }
    if (q >= j.done) {
      for (int64_t i = 0; i < j.y_lines; ++i) simd::prefetch_write(j.y + q * j.y_plane + i * line);
      store_all(acc[KD - 1], j.tile + q * j.tile_plane);
    }
    pass_on(acc);
  }
  end_run(acc, j.keep, j.carry);
}

/// A run of planes of one destination channel from a chunk of the source's: all its residue classes, and to y if none is missing. The job
/// stands at the beginning of source, tile, carry and filters; `first`: the channel's plane that virtual plane 0 completes.
template <class T, int KD, int NV, ops::epilogue E>
VOLUTE_INLINE void planes_target(const conv_shape& s, const planes_plan& p, planes_job<T> j, int64_t h0, int64_t c0,
                                 const conv_place& first, const conv_output<T>& out) noexcept {
  constexpr int64_t lanes = NV * simd::width<T>;
  const int64_t classes = s.class_counts[2], carried = p.carried(s.source_channels) * lanes, y_row = s.target_size[2];
  const T *const source = j.x, *w = j.w;
  T* const tile = j.tile;
  j.y = out.y + first.offset + h0 * s.class_counts[1] * y_row;
  for (int64_t ih = 0; ih < s.class_counts[1]; ++ih) {
    const correlation_axis& ch = s.classes[1][ih];
    const int64_t rows = smaller(p.rows, ch.n - h0);
    for (int64_t iw = 0; iw < classes; ++iw) {
      const correlation_axis& cw = s.classes[2][iw];
      j.taps = ch.taps * cw.taps;
      j.w = w + j.taps * c0 * KD;
      const int64_t total = rows > 0 ? (rows - 1) * p.layout.pitch + cw.n : 0;
      T* const after = j.carry + p.strips * carried;
      for (int64_t at = 0; at < total; at += lanes, j.carry += carried) {
        j.x = source + at;
        j.tile = tile + iw * p.planes * p.lanes + at;
        planes_block<T, KD, NV>(j);
        j.next += j.next_lines * line_of<T>;
        j.y += j.y_lines * line_of<T>;
      }
      j.carry = after;
      j.offset += j.taps;
      w += j.taps * s.source_channels * KD;
    }
    if (rows <= 0 || j.open) continue;
    conv_place at = first;
    for (int64_t q = j.done; q < j.planes; ++q) {
      at.offset = first.offset + q * j.y_plane + (ch.dst + h0 * ch.dst_step) * y_row;
      store_tile<T, E>({tile + q * p.lanes, p.layout.pitch, classes, p.planes * p.lanes, rows, y_row, ch.dst_step * y_row}, out, at);
    }
  }
}

/// What is read after the present chunk, whose first plane is d0: more channels, the next planes of these rows, or the first ones of the
/// next slab or pair; null where another block of channels reads the same, and behind the last pair.
template <class T>
VOLUTE_INLINE const T* planes_next(const conv_shape& s, const planes_plan& p, const planes_job<T>& j, const pixels_task& task, const T* x,
                                   int64_t c0, int64_t d0) noexcept {
  const bool here = j.open || j.keep, more_rows = here || task.rows + 1 < p.slabs;
  const int64_t slab = here ? task.rows : more_rows ? task.rows + 1 : 0, pair = more_rows ? task.pair : task.pair + 1;
  if (task.block + 1 < p.blocks || pair >= s.pairs()) return nullptr;
  const int64_t row = larger(0, slab * p.rows * p.layout.step[0] - p.source[1].pad), channel = j.open ? c0 + p.chunk : 0;
  const int64_t plane = j.open ? d0 : j.keep ? d0 + p.planes : s.axis[0].offset;
  return x + (pair * s.source_channels + channel) * j.next_channel + plane * j.next_plane + row * s.source_size[2];
}

/// The slab task.rows of a block of the destination channels of a pair, in planes `depth` of the destination.
template <class T, int KD, int NV, ops::epilogue E, bool Scale>
VOLUTE_NO_INLINE void planes_task(const conv_shape& s, const planes_plan& p, const int64_t* offsets, const conv_run<T>& a,
                                  const pixels_task& task, tap_range depth, T* memory) noexcept {
  const int64_t h0 = task.rows * p.rows, row = s.source_size[2], volume = s.source_volume(), start = depth.first + s.axis[0].offset;
  const int64_t all = depth.count() + KD - 1, blocks = p.strips * s.inner_classes();
  const tap_range targets = p.targets_of(s, task.block);
  const slab_copy<T> copy{p.layout, p.source[1], p.source[2], row, s.source_plane(), volume, a.x + s.pairs() * s.source_elements()};
  planes_job<T> j;
  j.x = memory;
  j.tile = memory + p.source_size;
  j.offset = offsets;
  j.x_channel = p.layout.channel;
  j.x_plane = p.layout.plane;
  j.tile_plane = p.lanes;
  j.next_channel = volume;
  j.next_plane = s.source_plane();
  j.y_plane = s.target_plane();
  j.y_lines = ceil_divide(p.rows * s.class_counts[1] * s.target_size[2], blocks * line_of<T>);
  for (int64_t q0 = 0; q0 < all; q0 += p.planes) {
    j.set_planes(p, q0, all, KD, start, p.source[0].count);
    const int64_t channels = j.first < j.last ? s.source_channels : smaller(p.chunk, s.source_channels);
    for (int64_t c0 = 0; c0 < channels; c0 += p.chunk) {
      j.channels = smaller(p.chunk, channels - c0);
      j.inside = c0 > 0;
      j.open = c0 + p.chunk < channels;
      j.resume = q0 > 0 || j.inside;
      const int64_t channel = task.pair * s.source_channels + c0;
      copy_slabs<T, Scale>(copy, a.x + channel * volume + (start + q0) * j.next_plane, {j.first, j.last}, j.channels, h0,
                           Scale ? a.scale + channel : nullptr, memory);
      const T* const next = planes_next(s, p, j, task, a.x, c0, start + q0);
      j.carry = j.tile + p.tile_size;
      for (int64_t o = targets.first; o < targets.last; ++o) {
        conv_place at = place_of(s, task.pair, o);
        j.w = a.packed + at.channel * p.weights;
        j.next = next;
        j.next_lines = next != nullptr && o + 1 == targets.last ? ceil_divide(p.rows * p.layout.step[0] * row, blocks * line_of<T>) : 0;
        at.offset += (depth.first + q0 - (KD - 1)) * j.y_plane;
        planes_target<T, KD, NV, E>(s, p, j, h0, c0, at, a.out);
        j.carry += blocks * p.carried(s.source_channels) * NV * simd::width<T>;
      }
    }
  }
}

template <class T, const conv_call& C, const planes_plan& p>
void run_family(const conv_run<T>& run) noexcept {
  constexpr const conv_shape& s = shape_for<C>;
  static constexpr tap_offsets<C.geometry, C.side> offsets(p.layout, p.source);
  // The order of no sum depends on the parts.
  const int64_t parts = run.workers.alone() ? 1 : p.parts, depth = s.axis[0].n;
  share_tasks<p>(s, parts, run, [&](const pixels_task& task, T* memory) VOLUTE_ALWAYS_INLINE {
    planes_task<T, p.taps, p.vectors, C.epilogue, C.scale>(s, p, offsets.both, run, task, nth_range(depth, task.depth, parts), memory);
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
