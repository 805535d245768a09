// How conv3d/rows.hpp and conv3d/rows_weights.hpp cut a convolution of stride 1 into rows of pixels, and its packed filters.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/slabs.hpp>
#include <volute/kernels/conv3d/pack.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What the code of a task depends on. Where few target channels would leave lanes empty, each has `fold` neighbouring lanes, for as many
/// source channels, and these are added up at the end: 8 channels fill 16 lanes.
struct rows_code {
  int lanes = 1, vectors = 1, rows = 1, fold = 1;
  bool slab = false;    // the sums stay in memory between slabs of weights, or else in registers till the end
  bool column = false;  // filter's adjoint, slab: a row meets all taps of the height, one tap of the depth after the other
  bool ahead = false;   // filter's adjoint: the next rows are fetched meanwhile (128 -> 128 at 16^3: 0.92 to 0.99)
  int64_t chunk = 1, width = 1, source_width = 1;  // source channels at a time; pixels of a target row and of a source row
  int64_t taps = 1, offset = 0, dilation = 1, segments = 1;
};

/// Pixels of a row that are accumulated together, and which of the source pixels that their taps span exist.
struct rows_segment {
  int pixels = 1, low = 0, high = 0;
};
constexpr int64_t segment_start(const rows_code& c, int64_t i) { return c.width * i / c.segments; }
constexpr rows_segment segment_of(const rows_code& c, int64_t i) {
  const int64_t first = segment_start(c, i), last = segment_start(c, i + 1), from = first + c.offset;
  const int64_t span = last - first + (c.taps - 1) * c.dilation;
  const int64_t low = smaller(span, larger(0, -from));
  return {static_cast<int>(last - first), static_cast<int>(low), static_cast<int>(larger(low, smaller(span, c.source_width - from)))};
}

struct rows_plan {
  rows_code code;
  int64_t blocks = 1, block = 1;  // of target channels
  int64_t chunks = 1;
  correlation_axis axis[2]{};  // depth and height
  int64_t count[2]{};          // planes and rows of the source
  depth_slabs slabs;
  bool blocked = false;  // the source lies as its copy would, and is read in place
  int64_t source_row = 0, source_plane = 0, source_chunk = 0, source_sample = 0;
  int64_t source_first = 0;  // of a blocked source: where its first plane's first pixel lies
  int64_t samples = 1;       // that share a slab of weights
  int64_t unit = 1;          // rows, or planes between slabs of weights, whose sums stand in the tile together
  int64_t tile = 0;
  sharing share = sharing::none;
  int64_t slices = 1;  // parts of the pixels of one block, if threads share its work
  constexpr int64_t block_lanes() const { return int64_t{code.lanes} * code.vectors; }
  constexpr filter_order order() const { return {blocks, block_lanes(), block_lanes(), code.fold, code.chunk, chunks, true}; }
  constexpr int64_t scratch() const { return (blocked ? 0 : samples * source_sample) + tile; }
  constexpr int64_t worker_scratch() const {  // of each worker but the first, which has scratch()
    return share == sharing::none ? 0 : ceil_divide(share == sharing::pairs ? scratch() : tile, 16) * 16;
  }
};

/// Wide rows of several vectors have little rim, and conv3d/channels.hpp reads its weights less often.
template <class T>
constexpr bool rows_possible(const ops::conv_geometry& g, conv_side side) {
  const bool unit = g.stride[0] == 1 && g.stride[1] == 1 && g.stride[2] == 1;
  const int64_t width = side == conv_side::forward ? g.out[2] : g.in[2];
  const int64_t channels = shape_of(g, side).target_channels;
  return unit && g.kernel[2] > 1 && g.kernel[2] <= row_registers - 6 && (width <= 24 || channels <= simd::width<T>);
}

/// Lanes of each target channel, so that the fewest stay empty.
template <class T>
constexpr int lanes_fold(const conv_shape& s) {
  int best = 1;
  for (int fold = 2; fold * s.target_channels <= simd::width<T>; fold *= 2) {
    const int64_t twice = ceil_divide(s.source_channels, fold / 2) * (fold / 2) * 2;
    if (ceil_divide(s.source_channels, fold) * fold < twice && best == fold / 2) best = fold;
  }
  return best;
}

/// Source channels at a time: near-equal chunks of at most 64.
constexpr int64_t rows_chunk(int64_t channels, int fold) {
  return ceil_divide(ceil_divide(channels, ceil_divide(channels, 64)), fold) * fold;
}

/// What the rows' plans have in common: taps, rows, how target channels and `longest` pixels of a row at most become accumulators.
template <class T, class Plan>
constexpr void plan_rows_blocks(Plan& p, const ops::conv_geometry& g, conv_side side, const conv_shape& s, int64_t longest) {
  auto& c = p.code;
  for (int a = 0; a < 2; ++a) {
    p.axis[a] = correlation(g, side, a, 0);
    p.count[a] = s.source_size[a];
  }
  const correlation_axis w = correlation(g, side, 2, 0);
  c.width = s.target_size[2];
  c.source_width = s.source_size[2];
  c.taps = w.taps;
  c.offset = w.offset;
  c.dilation = w.offset_step;
  c.lanes = simd::width<T>;
  c.fold = lanes_fold<T>(s);
  const int64_t vectors = ceil_divide(s.target_channels * c.fold, c.lanes);
  c.vectors = vectors % 2 == 0 && 2 * (c.width + c.taps) <= row_registers ? 2 : 1;
  c.segments = ceil_divide(c.width, smaller(longest, row_registers / c.vectors - c.taps));
  p.blocks = vectors / c.vectors;
  p.block = p.block_lanes() / c.fold;
  c.chunk = rows_chunk(s.source_channels, c.fold);
  p.chunks = ceil_divide(s.source_channels, c.chunk);
}

template <class T>
constexpr rows_plan plan_rows(const ops::conv_geometry& g, conv_side side, const ops::volume_layout& from = {}) {
  rows_plan p;
  rows_code& c = p.code;
  const conv_shape s = shape_of(g, side);
  constexpr int64_t size = sizeof(T), most = row_registers >= 28 ? 10 : 8;  // accumulators that hide the latency of their sums
  plan_rows_blocks<T>(p, g, side, s, 24);
  const int64_t pixels = ceil_divide(c.width, c.segments), lanes = p.block_lanes();
  c.slab = pixels * c.vectors < most || s.taps() * c.chunk / c.fold * p.chunks * lanes * size > machine.l2 * 3 / 16;
  p.source_row = c.source_width * c.chunk;
  p.source_plane = p.count[1] * p.source_row;
  p.slabs = cut_depth(g, side, p.count[0], p.chunks * p.source_plane * size);
  p.source_chunk = p.slabs.planes * p.source_plane;
  p.source_sample = ceil_divide(p.chunks * p.source_chunk, 16) * 16;
  const int64_t row = c.width * lanes, planes = p.slabs.size;
  int64_t units = 1;
  if (c.slab) {
    const int64_t wanted = smaller(4, ceil_divide(14, c.vectors * pixels)), room = (row_registers / c.vectors - c.taps) / pixels;
    c.rows = static_cast<int>(c.segments > 1 ? 1 : larger(1, smaller(wanted, room)));
    if (p.slabs.count == 1) p.samples = smaller(s.batch, larger(1, machine.cached / (p.source_sample * size)));
    p.unit = smaller(p.samples * planes, larger(1, (machine.l2 / 2) / ((p.source_plane + p.axis[1].n * row) * size)));
    p.tile = p.unit * p.axis[1].n * row;
    units = p.samples * planes;
  } else {
    const int64_t rows = planes * p.axis[1].n;  // whole vectors of pixels, if possible
    int64_t together = 1;
    while (together * c.width % simd::width<T> != 0) ++together;
    p.unit = larger(1, (machine.l1 / 4) / (row * size));
    if (p.unit > together) p.unit -= p.unit % together;
    p.unit = smaller(p.unit, rows);
    p.tile = p.unit * row;
    units = ceil_divide(rows, p.unit);
  }
  const int64_t pairs = ceil_divide(s.batch, p.samples) * s.groups * p.slabs.count;
  p.share = choose_sharing(conv_work(g), pairs, p.scratch() * size, p.samples == 1);
  // Every slice reads a slab's weights again: cut no further than to feed four threads.
  if (p.share == sharing::inside)
    p.slices = smaller(
        units, smaller(ceil_divide(c.slab ? 8 : 32, p.blocks), larger(1, parts_of(conv_work(g) / static_cast<double>(pairs * p.blocks)))));
  if (from.blocked()) {
    p.blocked = true;
    if (from.padded()) {
      p.source_row = from.all_columns * c.chunk;
      p.source_plane = from.plane();
      p.source_first = from.first();
    }
    p.source_chunk = p.count[0] * p.source_plane;
    p.source_sample = p.chunks * p.source_chunk;
  }
  return p;
}

constexpr int64_t rows_packed_size(const rows_plan& p, const ops::conv_geometry& g) { return g.groups * p.order().group_size(g.taps()); }

template <class T>
void pack_rows(const conv_shape& s, const rows_plan& p, const T* w, T* packed, const team<T>& workers) noexcept {
  pack_filters(s, p.order(), w, packed, workers);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
