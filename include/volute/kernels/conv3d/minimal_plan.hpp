// How minimal filtering cuts a convolution of stride 1: tiles F(m, r) along each axis, blocks of them that go from the data's transform
// through the products to the results' without leaving the caches, and the order of transformed filters.
//   tile     m[0] x m[1] x m[2] neighbouring results and the (m + r - 1)... source elements that they read
//   element  of a transformed tile or filter: there are as many as source elements in a tile, each a product of matrices
//   row      tiles that follow each other along the width
// With dilation, neighbours in a tile lie `step` elements apart, and `step` interleaved tiles cover the positions between them.
#pragma once

#include <volute/kernels/conv3d/channels.hpp>
#include <volute/kernels/conv3d/minimal_filter.hpp>

#include <cstdint>
#include <type_traits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// F(m, r) of each axis.
struct minimal_tile {
  minimal_filter axis[3];
  friend constexpr bool operator==(const minimal_tile&, const minimal_tile&) = default;
  constexpr int elements() const { return axis[0].size() * axis[1].size() * axis[2].size(); }
  constexpr int results() const { return axis[0].outputs * axis[1].outputs * axis[2].outputs; }
  /// See minimal_error(): of all axes.
  constexpr double error() const { return minimal_error(axis[0]) * minimal_error(axis[1]) * minimal_error(axis[2]); }
};

/// One axis: where its tiles begin, and how many there are.
struct minimal_axis {
  int64_t results = 1, step = 1;  // of a tile; from one of its elements to the next
  /// Positions of the target that `step` interleaved tiles cover.
  constexpr int64_t span() const { return results * step; }
  constexpr int64_t tiles(int64_t positions) const { return ceil_divide(positions, span()) * step; }
  /// The target position of a tile's first result.
  constexpr int64_t first(int64_t tile) const { return tile / step * span() + tile % step; }
};

/// True where the geometry has tiles at all: stride 1, and kernels of up to five taps.
constexpr bool minimal_exists(const ops::conv_geometry& g) {
  bool any = false;
  for (int a : volume_axes) {
    if (g.stride[a] != 1 || g.kernel[a] > 5 || g.in[a] < 1 || g.out[a] < 1) return false;
    any = any || g.kernel[a] > 1;
  }
  return any && g.batch > 0 && g.group_in() > 0 && g.group_out() > 0;
}

/// Single precision alone: in double, three times the accuracy that anyone asks for costs as much as the products.
template <class T>
constexpr bool minimal_possible(const ops::conv_geometry& g) {
  return std::is_same_v<T, float> && g.filtering == ops::filtering::minimal && minimal_exists(g);
}

/// Four elements along the depth where height and width have tiles too, six elsewhere if that means fewer products, but not in all three:
/// the error would double and filters grow eightfold, for 5 to 8 % less time with 64 channels and more with 32. Four and five taps have
/// six elements whatever comes of it.
constexpr minimal_tile minimal_tile_of(const ops::conv_geometry& g, const int64_t (&positions)[3], bool adjoint = false) {
  minimal_tile t;
  int sixes = 0;
  for (int a : volume_axes) sixes += g.kernel[a] >= 4;
  for (int a = 2; a >= 0; --a) {
    const int taps = int(g.kernel[a]);
    if (taps == 1) continue;
    const int64_t n = positions[a], d = g.dilation[a];
    const auto products = [&](int64_t size) { return minimal_axis{size + 1 - taps, d}.tiles(n) * size; };
    const bool inner = a == 0 && g.kernel[1] > 1 && g.kernel[2] > 1;
    const bool four = taps < 4 && (inner || sixes >= 2 || products(4) <= products(6));
    sixes += taps < 4 && !four;
    t.axis[a] = minimal_filter_of((four ? 4 : 6) + 1 - taps, taps, adjoint);
  }
  return t;
}

/// A stride between rows of vectors that are written together: an odd number of them, so that they do not lie in the same sets of a cache.
constexpr int64_t spread(int64_t vectors) { return vectors | 1; }

/// Tiles that are transformed together: spans of each axis, and how the volume's spans are cut into such blocks.
struct minimal_block_plan {
  int64_t spans[3]{1, 1, 1};   // of a block
  int64_t counts[3]{1, 1, 1};  // blocks along each axis
  int64_t tiles = 1;           // of a block
};

struct minimal_plan {
  minimal_tile tile_kind;
  minimal_axis axis[3]{};
  int lanes = 1;
  int vectors = 1, rows = 1;  // a register block: vectors of target channels, and tiles
  int64_t target_blocks = 1;  // of `vectors` vectors each, all of which use a block's transformed tiles
  int64_t chunk = 1, chunks = 1;
  source_axis source[3]{};
  bool blocked = false;  // the source lies in blocks, and is read in place; else the planes of a block are copied
  int64_t source_row = 0, source_plane = 0, source_chunk = 0, source_first = 0;
  int64_t planes = 1;  // of the copy, which are used in turn
  minimal_block_plan block;
  int64_t segments = 1;                                            // of the depth, each a task with a copy of its own
  int64_t data_element = 0, data_vector = 0, product_element = 0;  // steps in the transformed tiles, in elements of T
  int64_t line_size = 0, result_size = 0;                          // of the memory for a row of tiles
  sharing share = sharing::none;

  constexpr int64_t chunk_vectors() const { return ceil_divide(chunk, lanes); }
  constexpr int64_t source_vectors() const { return chunks * chunk_vectors(); }
  constexpr int64_t block_lanes() const { return int64_t{lanes} * vectors; }
  /// Elements of a block of target channels in the transformed filters: [element][source channel][lane].
  constexpr int64_t block_filters() const { return tile_kind.elements() * chunks * chunk * block_lanes(); }
  constexpr int64_t size(const conv_shape& s) const { return s.groups * target_blocks * block_filters(); }
  constexpr void put(hash& h) const {
    for (int64_t v : {target_blocks, int64_t{vectors}, int64_t{lanes}, chunk, chunks, int64_t{tile_kind.elements()}}) h.put(v);
    for (const minimal_filter& a : tile_kind.axis) h.put(a.outputs);
  }
  constexpr int64_t copy() const { return blocked ? 0 : whole_lines(chunks * source_chunk) + copy_surplus; }
  constexpr int64_t scratch() const {
    return copy() + source_vectors() * data_vector + tile_kind.elements() * product_element + line_size + result_size;
  }
  constexpr int64_t worker_scratch() const { return share == sharing::none ? 0 : whole_lines(scratch()); }
};

/// Vectors of target channels in a register block: those that leave the fewest lanes empty, two if that is all the same.
constexpr int minimal_vectors(int64_t vectors) {
  if (vectors <= 3) return int(vectors);
  return vectors % 2 == 0 || ceil_divide(vectors, 3) * 3 > vectors + 1 ? 2 : 3;
}

/// Transformed tiles of a block stay in three quarters of the second-level cache, but at least 16 share what is read of the filters.
inline constexpr int64_t minimal_room = machine.l2 * 3 / 4, least_tiles = 16, most_tiles = 56;

/// A block of `most` tiles at most: whole rows first, then rows, then planes. good(tiles): how well so many are worked on.
template <class Good>
constexpr minimal_block_plan plan_minimal_block(const minimal_axis (&axis)[3], const int64_t (&positions)[3], int64_t most, Good good) {
  minimal_block_plan b;
  b.tiles = axis[0].step * axis[1].step * axis[2].step;
  for (int a = 2; a >= 0; --a) {
    const int64_t all = ceil_divide(positions[a], axis[a].span()), limit = smaller(all, larger(1, most / b.tiles));
    double best = 0;
    for (int64_t n = 1; n <= limit; ++n) {
      const int64_t spans = near_equal(all, n);
      const double g = good(spans * b.tiles) * double(all) / double(ceil_divide(all, spans) * spans);
      if (g >= best) best = g, b.spans[a] = spans;
    }
    b.counts[a] = ceil_divide(all, b.spans[a]);
    b.tiles *= b.spans[a];
  }
  return b;
}

/// Tiles of a row whose columns wait in the first-level cache together.
inline constexpr int64_t minimal_line = 4;

/// Of a canonical geometry with tiles (minimal_exists()).
template <class T>
constexpr minimal_plan plan_minimal(const conv_shape& s, const ops::volume_layout& from = {}) {
  minimal_plan p;
  constexpr int64_t size = sizeof(T);
  const ops::conv_geometry& g = s.geometry;
  const int L = channel_lanes<T>(larger(s.source_channels, s.target_channels));
  p.tile_kind = minimal_tile_of(g, s.target_size);
  p.lanes = L;
  const int64_t vectors = ceil_divide(s.target_channels, L), elements = p.tile_kind.elements();
  p.vectors = minimal_vectors(vectors);
  p.target_blocks = ceil_divide(vectors, p.vectors);
  p.chunk = near_equal(s.source_channels, 16);
  p.chunks = ceil_divide(s.source_channels, p.chunk);
  for (int a : volume_axes) {
    p.axis[a] = {p.tile_kind.axis[a].outputs, g.dilation[a]};
    const int64_t asked = ceil_divide(s.target_size[a], p.axis[a].span()) * p.axis[a].span();
    p.source[a] = s.source(a, a == 0 ? 1 : asked, a > 0);
  }
  const int64_t tile_bytes = elements * L * size * (p.source_vectors() + p.vectors), registers = accumulators / p.vectors;
  const int64_t most = larger(least_tiles, smaller(most_tiles, minimal_room / tile_bytes));
  p.block = plan_minimal_block(p.axis, s.target_size, most, [&](int64_t tiles) {
    const int64_t each = near_equal(tiles, registers);
    const double n = double(tiles), full = n / double(ceil_divide(tiles, each) * each);
    return full * double(each) / double(each + 1) * n / (n + 4);
  });
  p.rows = int(near_equal(p.block.tiles, registers));
  p.block.tiles = ceil_divide(p.block.tiles, p.rows) * p.rows;
  p.data_element = spread(p.block.tiles) * L;
  p.data_vector = elements * p.data_element;
  p.product_element = spread(p.block.tiles * p.vectors) * L;
  const auto reach = [&](int of) { return (p.tile_kind.axis[of].taps - 1) * p.axis[of].step; };  // beyond the block
  p.planes = p.block.spans[0] * p.axis[0].span() + reach(0);
  p.source_row = (p.block.spans[2] * p.axis[2].span() + reach(2)) * p.chunk;
  p.source_plane = (p.block.spans[1] * p.axis[1].span() + reach(1)) * p.source_row;
  p.source_chunk = p.planes * p.source_plane;
  if (from.blocked()) {
    p.blocked = true;
    p.source_row = from.all_columns * from.block, p.source_plane = from.plane(), p.source_first = from.first();
    p.source_chunk = p.source[0].count * p.source_plane;
  }
  const minimal_filter(&f)[3] = p.tile_kind.axis;
  const int64_t columns = minimal_line * f[2].outputs + f[2].taps - 1;
  p.line_size = larger(columns * f[0].size() * f[1].size(), f[2].size() * f[0].outputs * f[1].outputs) * L;
  p.result_size = int64_t{f[0].outputs} * f[1].outputs * p.block.spans[2] * p.axis[2].span() * p.block_lanes();
  const double work = s.work() / 3;
  if (work >= worth_sharing) {
    // Tasks that 2, 4, 8 or 16 threads share without a rest. A segment of the depth copies planes that its neighbour copies too.
    p.share = sharing::inside;
    const int64_t tasks = g.batch * g.groups * p.block.counts[1] * p.block.counts[2];
    p.segments = smaller(p.block.counts[0], smaller(ceil_divide(32, tasks), parts_of(work / double(tasks))));
  }
  return p;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
