// What conv3d/channels.hpp and conv3d/rows.hpp share: target channels in the lanes. They differ in the register block and in the copy that
// it reads. The words for what the loops go over, from the outside in:
//   piece  what is computed from one copy of the source: some samples of one group, and a slab, a range of planes of the depth
//   block  target channels of one task (and their pixels in one call of a micro-kernel: the register block)
//   slice  a task's share of the pixels; however many there are, no sum changes
//   class  positions of the target with the same residues modulo the stride, which meet the same taps (stride 1: one class)
//   tile   results that wait in memory for more products, or for the epilogue on their way to the target
//   chunk  source channels that lie together in the copy and in the filters
#pragma once

#include <volute/kernels/conv3d/blocked.hpp>
#include <volute/kernels/conv3d/pack.hpp>
#include <volute/kernels/conv3d/registers.hpp>
#include <volute/kernels/conv3d/slabs.hpp>
#include <volute/kernels/conv3d/store.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// A copy of the source with channels last, in elements: [sample][chunk of channels][plane][row][pixel][channel].
struct chunked_copy {
  int64_t chunk = 1, chunks = 1;  // source channels of one, and chunks of a group
  source_axis source[3]{};
  int64_t source_units = 1, grain = 1;  // into which a plane's copy can be cut; that one thread copies together
  int64_t source_row = 0, source_plane = 0, source_chunk = 0, source_sample = 0;
  /// Chunks of `size` of the channels; planes with the axes' zeros.
  constexpr void cut_channels(int64_t channels, int64_t size) {
    chunk = size;
    chunks = ceil_divide(channels, chunk);
  }
  constexpr void size_planes() {
    source_row = source[2].extent * chunk;
    source_plane = source[1].extent * source_row;
  }
};

/// What run_lanes() reads of a plan.
struct lanes_plan : chunked_copy {
  filter_order order;
  int64_t blocks = 1;  // of target channels, in one group
  depth_slabs slabs;
  bool blocked = false;      // the source lies as its copy would, and is read in place
  int64_t source_first = 0;  // of a plane's first pixel, behind its zeros
  int64_t samples = 1;       // that meet a part of the filters one after the other
  int64_t tile = 0;          // results of a block of target channels that wait in memory
  sharing share = sharing::none;
  int64_t slices = 1;  // of the pixels of one block, if threads share its work
  constexpr int64_t scratch() const { return (blocked ? 0 : samples * source_sample) + tile; }
  constexpr int64_t worker_scratch() const {  // of each worker but the first, which has scratch()
    return worker_memory(share, scratch(), tile);
  }
};

/// The copy, whose elements have `size` bytes.
constexpr void plan_copy(lanes_plan& p, const conv_shape& s, int64_t size) {
  p.size_planes();
  p.slabs = cut_depth(s, p.source[0].count, p.chunks * p.source_plane * size);
  p.source_chunk = p.slabs.planes * p.source_plane;
  p.source_sample = whole_lines(p.chunks * p.source_chunk);
}

/// Filters that do not stay in the second-level cache are read once for as many samples as have copies that do, in any.
constexpr void plan_samples(lanes_plan& p, const conv_shape& s, int64_t size) {
  if (p.slabs.count == 1) p.samples = smaller(s.batch, larger(1, machine.cached / (p.source_sample * size)));
}

/// Tasks of a piece. Every slice reads the filters again: those that stream are cut no further than to feed four threads.
constexpr int64_t tasks_of_piece(bool streams) { return streams ? 8 : many_tasks; }

/// A source in layout `from`, if that is blocked.
constexpr void plan_blocked_source(lanes_plan& p, const ops::volume_layout& from) {
  if (!from.blocked()) return;
  p.blocked = true;
  if (from.padded()) {
    p.source_row = from.all_columns * from.block;
    p.source_plane = from.plane();
  }
  p.source_first = from.first();
  p.source_chunk = p.source[0].count * p.source_plane;
  p.source_sample = p.chunks * p.source_chunk;
}

/// Pixels of up to `most` channels of a group of x, from number `first` on, to to[pixel][most][Fold]. A unit: a pixel.
template <class T, int Fold, bool Scale, ops::volume_layout From>
VOLUTE_NO_INLINE void copy_channels(const conv_tensor<T>& x, const T* scale, int64_t first, int64_t most, const copy_range& range,
                                    T* to) noexcept {
  const int64_t there = smaller(most, x.channels - first), channel = (range.sample * x.groups + range.group) * x.channels + first;
  const int64_t pixel = most * Fold, n = range.end - range.begin;
  to += (range.begin - range.base) * pixel;
  if constexpr (From.blocked())
    copy_blocked<T>(From, x.first, range.sample, first, there, range.begin, range.end, to, pixel);
  else
    turn_channels<T, Fold, Scale>(x.first + channel * x.volume + range.begin, to, there, most, x.volume, n,
                                  Scale ? scale + channel : nullptr, to + n * pixel);
}

/// Loops over a copy with channels last.
struct lanes_loops : tap_loops {
  void steps(const lanes_plan& p, const correlation_axis& cd, const correlation_axis& ch, int64_t row_filters) {
    x_chunk = p.source_chunk, x_d = cd.offset_step * p.source_plane, x_h = ch.offset_step * p.source_row;
    filter_steps(cd, ch, row_filters);
  }
};

/// A tile to the target in layout To.
template <class T, int L, int Fold, ops::epilogue E, ops::volume_layout To>
void store_lanes(const conv_shape& s, const lanes_tile<T>& tile, const conv_output<T>& out, const conv_place& at) noexcept {
  if constexpr (To.blocked())
    store_blocked<T, L, E, To>(tile, out, at);
  else
    store_pixels<T, L, E, Fold>(tile, out, s.target_volume(), at);
}

/// One slice of one block of target channels of a piece.
template <class T>
struct lanes_task {
  const conv_run<T>& run;
  conv_piece piece;
  int64_t channel = 0, channels = 0;  // the block's first, in the group, and their number
  int64_t slice = 0, slices = 1;
  const T* source = nullptr;  // the first pixel of the piece
  const T* filters = nullptr;
  T* tile = nullptr;

  /// The row of the source that taps td and th of depth and height read for position (d, h) of sample n.
  const T* row(const lanes_plan& p, const correlation_axis& cd, const correlation_axis& ch, int64_t n, int64_t d, int64_t td, int64_t h,
               int64_t th) const {
    return source + n * p.source_sample + (cd.source_of(d, td) - piece.slab.begin) * p.source_plane + ch.source_of(h, th) * p.source_row;
  }
  /// A tile of sample `sample` of the piece to y.
  template <int L, int Fold, ops::epilogue E, ops::volume_layout To>
  void store(const conv_shape& s, int64_t sample, const lanes_tile<T>& from) const noexcept {
    store_lanes<T, L, Fold, E, To>(s, from, run.out, place_of(s, piece.sample + sample, piece.group, channel));
  }
};

/// All pieces of a call with plan p: copy_source<T, Scale, From>(s, p, x, scale, range, to) makes a range of the copy of x, which has
/// layout From; compute(block of target channels, task). L: the lanes that store results.
template <class T, const conv_call& C, const auto& p, int L, class Compute>
VOLUTE_INLINE void run_lanes(const conv_run<T>& run, Compute compute) {
  constexpr const conv_shape& s = shape_for<C>;
  // Not inline: the driver calls it in two places.
  const auto block = [&](const conv_piece& piece, int64_t b, int64_t slice, int64_t slices, const T* source, T* tile) VOLUTE_NO_INLINE {
    // (g++ looks for names outside when it makes this: a user's `channels` would be a shadow.)
    const int64_t channel = b * p.order.lanes / p.order.fold, most = p.order.block_lanes(b) / p.order.fold;
    compute(b, lanes_task<T>{run, piece, channel, smaller(most, s.target_channels - channel), slice, slices, source + p.source_first,
                             run.packed + p.order.block_first(piece.group, b, s.taps()), tile});
    if constexpr (streams_blocks<T, L, C.layouts.target>) simd::stream_fence();
  };
  const auto copy = [&](const copy_range& range, T* to) noexcept {
    copy_source<T, C.scale, ops::volume_layout{}>(s, p, run.x, run.scale, range, to);
  };
  if constexpr (p.blocked)
    run_pieces<p.share>(s, p, run.scratch, run.workers, run.x, block);
  else
    run_pieces<p.share>(s, p, run.scratch, run.workers, copy, block);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
