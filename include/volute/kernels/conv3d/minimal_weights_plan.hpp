// How minimal filtering cuts the adjoint in the filter: copies of both tensors, tiles, and tasks with sums of their own.
#pragma once

#include <volute/kernels/conv3d/minimal_plan.hpp>
#include <volute/kernels/conv3d/weights_parts.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

struct minimal_weights_plan {
  minimal_tile tile_kind;
  minimal_axis axis[3]{};
  int lanes = 1, vectors = 1, rows = 1;  // a register block: vectors of g's channels, and channels of x
  chunked_copy x, g;                     // of the two tensors
  minimal_block_plan block;  // of rows and columns; one tile deep
  depth_slabs slabs;
  int64_t samples = 1;               // whose copies stand together
  int64_t x_range = 1, g_range = 1;  // vectors of channels of a task, on both sides
  int64_t x_ranges = 1, g_ranges = 1;
  int64_t parts = 1;                       // of the rows of tiles, each with sums of its own that are added in order
  int64_t element = 0, vector = 0;         // steps in the transformed tiles
  int64_t line_size = 0, sum_element = 0;  // of a row of tiles; the sums of an element of a task
  sharing share = sharing::none;

  constexpr int plane_elements() const { return tile_kind.axis[1].size() * tile_kind.axis[2].size(); }
  constexpr int64_t x_rows() const { return ceil_divide(x.chunk, rows) * rows; }  // of sums, for a vector of x's channels
  constexpr int64_t block_lanes() const { return int64_t{lanes} * vectors; }
  constexpr int64_t tasks() const { return parts * tile_kind.axis[0].size() * x_ranges * g_ranges; }
  constexpr int64_t copies() const { return samples * (x.source_sample + g.source_sample); }
  constexpr int64_t sum() const { return plane_elements() * sum_element; }
  constexpr int64_t worker() const { return (x_range + g_range) * vector + line_size; }
  constexpr int64_t scratch() const { return copies() + tasks() * sum() + worker(); }
  constexpr int64_t worker_scratch() const { return share == sharing::none ? 0 : whole_lines(worker()); }
};

/// Of a canonical geometry with tiles (minimal_exists()).
template <class T>
constexpr minimal_weights_plan plan_minimal_weights(const conv_shape& s) {
  minimal_weights_plan p;
  const ops::conv_geometry& q = s.geometry;
  constexpr int64_t size = sizeof(T);
  const int L = channel_lanes<T>(larger(q.group_in(), q.group_out()));
  p.tile_kind = minimal_tile_of(q, s.target_size, true);
  p.lanes = L;
  p.x.cut_channels(q.group_in(), near_equal(q.group_in(), L));
  p.g.cut_channels(q.group_out(), near_equal(q.group_out(), L));
  p.vectors = minimal_vectors(p.g.chunks);
  p.rows = int(near_equal(p.x.chunk, most_sums / p.vectors));
  for (int a : volume_axes) {
    p.axis[a] = {p.tile_kind.axis[a].outputs, q.dilation[a]};
    const int64_t asked = ceil_divide(q.out[a], p.axis[a].span()) * p.axis[a].span();
    p.x.source[a] = s.source(a, a == 0 ? 1 : asked, a > 0);
    p.g.source[a] = {0, 1, q.out[a], 0, a == 0 ? q.out[a] : asked};
  }
  p.x.size_planes(), p.g.size_planes();
  p.slabs = cut_depth(s, q.in[0], (p.x.chunks * p.x.source_plane + p.g.chunks * p.g.source_plane) * size);
  if (p.slabs.count > 1) {  // slabs end with whole tiles
    p.slabs.size = ceil_divide(p.slabs.size, p.axis[0].span()) * p.axis[0].span();
    p.slabs.count = ceil_divide(p.slabs.n, p.slabs.size);
    p.slabs.planes = smaller(q.in[0], p.slabs.size - 1 + p.slabs.high - p.slabs.low);
  }
  p.x.source_chunk = smaller(p.slabs.planes, q.in[0]) * p.x.source_plane;
  p.g.source_chunk = smaller(p.slabs.size, q.out[0]) * p.g.source_plane;
  constexpr int64_t surplus = 64;  // vectors of the last pixel may pass its end by
  p.x.source_sample = whole_lines(p.x.chunks * p.x.source_chunk) + surplus;
  p.g.source_sample = whole_lines(p.g.chunks * p.g.source_chunk) + surplus;
  if (p.slabs.count == 1) p.samples = smaller(q.batch, larger(1, slab_bytes / ((p.x.source_sample + p.g.source_sample) * size)));
  // The sums of a task stay in half of the second-level cache, of 64 channels of g at least.
  const int64_t elements = p.plane_elements(), room = machine.l2 / 2 / (elements * p.x_rows() * size);
  p.g_range = smaller(ceil_divide(p.g.chunks, p.vectors) * p.vectors, ceil_divide(ceil_divide(64, L), p.vectors) * p.vectors);
  p.x_range = larger(1, smaller(p.x.chunks, room / (p.g_range * L)));
  p.x_range = near_equal(p.x.chunks, p.x_range);
  p.x_ranges = ceil_divide(p.x.chunks, p.x_range), p.g_ranges = ceil_divide(p.g.chunks, p.g_range);
  p.sum_element = p.x_range * p.x_rows() * p.g_range * L;
  const int64_t tile_bytes = elements * L * size * (p.x_range + p.g_range);
  const int64_t most = larger(least_tiles, smaller(most_tiles, minimal_room / tile_bytes));
  p.block = plan_minimal_block(p.axis, {1, q.out[1], q.out[2]}, most, [](int64_t tiles) { return double(tiles); });
  p.element = spread(p.block.tiles) * L;
  p.vector = elements * p.element;
  const minimal_filter(&f)[3] = p.tile_kind.axis;
  p.line_size = (minimal_line * f[2].outputs + f[2].taps - 1) * f[1].size() * L;
  const int64_t tasks = f[0].size() * p.x_ranges * p.g_ranges;
  const int64_t blocks = p.samples * p.axis[0].tiles(p.slabs.size) * p.block.counts[1] * p.block.counts[2];
  if (s.work() >= worth_sharing) p.share = sharing::inside;
  if (tasks < 16 && p.share == sharing::inside)  // 8 at least for each of two threads, if sums stay in the caches
    p.parts = larger(1, smaller(smaller(16 / tasks, blocks), machine.l2 / 2 / (tasks * p.sum() * size)));
  return p;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
