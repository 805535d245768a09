// What each family's way costs, counted: one model for all of them. A plan says how many vectors of products, elements of copies and of
// results, and steps of its own a convolution takes; a family has so many cycles for each. The numbers were fitted to the measured rows of
// tests/data/conv3d_families.csv (least squares of the logarithms, and the regret of what is chosen); bench/families measures them.
#pragma once

#include <volute/kernels/conv3d/channels.hpp>
#include <volute/kernels/conv3d/channels_weights.hpp>
#include <volute/kernels/conv3d/flat.hpp>
#include <volute/kernels/conv3d/flat_weights.hpp>
#include <volute/kernels/conv3d/in_place.hpp>
#include <volute/kernels/conv3d/in_place_weights.hpp>
#include <volute/kernels/conv3d/minimal.hpp>
#include <volute/kernels/conv3d/minimal_pack.hpp>
#include <volute/kernels/conv3d/minimal_weights.hpp>
#include <volute/kernels/conv3d/planes.hpp>
#include <volute/kernels/conv3d/planes_weights.hpp>
#include <volute/kernels/conv3d/pointwise.hpp>
#include <volute/kernels/conv3d/pointwise_weights.hpp>
#include <volute/kernels/conv3d/rows.hpp>
#include <volute/kernels/conv3d/rows_weights.hpp>
#include <volute/kernels/conv3d/width.hpp>
#include <volute/kernels/conv3d/width_weights.hpp>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What a plan does for one sample and group, or (of `cycles_of`) the cycles for one of each.
struct conv_counts {
  double products = 0;  // cycles of the multiply-adds at their full rate, with what keeps them waiting
  double copied = 0;    // elements that are copied before they are multiplied
  double stored = 0;    // lanes of results that are turned and stored
  double beyond = 0;    // bytes of the two tensors that no cache keeps; of all samples and groups
  double steps = 0;     // what else the family repeats: see each plan's count
  double once = 0;
};

constexpr double real(int64_t n) { return static_cast<double>(n); }
constexpr double at_least(double x, double least) { return x < least ? least : x; }

/// Products for each target element, the mean of the residue classes; those on padding count.
constexpr double taps_of_class(const ops::conv_geometry& g, conv_side side) {
  double mean = 1;
  for (int a = 0; a < 3; ++a) {
    int64_t products = 0, elements = 0;
    for (int64_t r = 0; r < class_count(g, side, a); ++r) {
      const correlation_axis c = correlation(g, side, a, r);
      products += c.n * c.taps, elements += c.n;
    }
    mean *= real(products) / real(elements);
  }
  return mean;
}

/// Products of one source and one target channel along an axis, all residue classes; `clipped`: those on padding are left out.
constexpr int64_t products_along(const ops::conv_geometry& g, conv_side side, int axis, bool clipped) {
  const int64_t count = source_of(g, side, axis, 1, false).count;
  int64_t products = 0;
  for (int64_t r = 0; r < class_count(g, side, axis); ++r) {
    const correlation_axis c = correlation(g, side, axis, r);
    products += clipped ? positions_read(c, count) : c.n * c.taps;
  }
  return products;
}

/// Products of one source and one target channel that fall on no padding; `axes` of depth, height and width.
constexpr double inner_products(const ops::conv_geometry& g, conv_side side, int axes = 3) {
  double products = 1;
  for (int a = 0; a < axes; ++a) products *= real(positions_read(correlation(g, side, a, 0), shape_of(g, side).source_size[a]));
  return products;
}

/// Cycles of so many multiply-adds of vectors with `sums` accumulators and `loads` loads for each round of them: too few accumulators wait
/// for each other, and a round cannot be shorter than its loads take.
constexpr double cycles_of_products(double count, int64_t sums, int64_t loads) {
  const double chains = real(machine.latency * machine.products), waits = real(sums) < chains ? chains / real(sums) : 1;
  return count / real(machine.products) * at_least(waits, at_least(real(loads) / real(sums), 1));
}

/// Pages of memory that one tap of whole planes in the lanes reads: the first-level table of addresses has 64 to 96 entries, and a page
/// that is not there costs about 5 cycles (1 <- 32 channels at 28^3: 4 times the time).
inline constexpr double page_bytes = 4096, pages_known = 64;

/// What a load from an odd place costs beside one of 64 bytes, which always lies across two lines; shorter vectors seldom do. Of products
/// with pixels in the lanes.
template <class T>
inline constexpr double odd_loads = simd::width<T> * sizeof(T) < 64 ? 0.65 : 1;

template <class T>
constexpr conv_counts count(const channels_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const int64_t sums = int64_t{p.main.vectors} * p.main.rows * p.main.pixels, width = correlation(g, side, 2, 0).n;
  const int64_t vectors = ceil_divide(s.target_channels, simd::width<T>);
  const int64_t planes = products_along(g, side, 0, true), rows = products_along(g, side, 1, p.main.rows == 1);
  const double products = real(s.source_channels * vectors * planes * rows) * real(products_along(g, side, 2, false));
  const double used = real(width) / real(ceil_divide(width, p.main.pixels) * p.main.pixels);
  return {.products = cycles_of_products(products / used, sums, p.main.vectors + p.main.rows * p.main.pixels),
          .copied = real(s.source_channels * s.source_volume()),
          .stored = real(s.target_volume() * vectors * simd::width<T>),
          .steps = p.together < p.chunks ? real(s.target_channels * s.target_volume() * ceil_divide(p.chunks, p.together)) : 0};
}

/// Steps: rows and pairs of taps, about 14 cycles where their sums come from memory, and 8 where they stay in registers.
template <class T>
constexpr conv_counts count(const rows_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const int64_t vectors = ceil_divide(s.target_channels * p.code.fold, simd::width<T>);
  const double rows = inner_products(g, side, 2) * real(p.blocks * p.chunks);
  return {.products = inner_products(g, side) * real(ceil_divide(s.source_channels, p.code.fold) * vectors) / 2,
          .copied = real(s.source_channels * s.source_volume()),
          .stored = real(s.target_volume() * vectors * simd::width<T>),
          .steps = rows * (p.code.slab ? 14 : 8 * real(p.code.segments))};
}

/// Steps: elements that come from the tile and go back to it.
template <class T>
constexpr conv_counts count(const width_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const int64_t width = correlation(g, side, 2, 0).n, height = correlation(g, side, 1, 0).n, block = p.vectors * simd::width<T>;
  int64_t vectors = 0;
  for (int64_t h = 0; h < height; h += p.slab)
    vectors += ceil_divide((smaller(p.slab, height - h) - 1) * p.rows.pitch + width, block) * p.vectors;
  const int64_t all = vectors * correlation(g, side, 0, 0).n * s.class_counts[0] * s.class_counts[1] * s.class_counts[2];
  const double products = real(all * s.source_channels * p.blocks * p.channels) * taps_of_class(g, side);
  return {.products = cycles_of_products(products, int64_t{p.channels} * p.vectors, 2 * p.vectors + p.channels),
          .copied = p.rows.direct ? 0 : real(s.source_channels * s.source_volume()),
          .stored = real(s.target_channels * s.target_volume()),
          .steps = real(ceil_divide(s.source_channels, p.chunk) * s.target_channels * s.target_volume())};
}

/// Steps: register blocks, each of a source plane's rows.
template <class T>
constexpr conv_counts count(const planes_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const int64_t blocks = s.source_channels * s.target_channels * (s.target_size[0] + p.taps - 1) * p.slabs * p.strips;
  return {.products = real(blocks * p.vectors * s.class_counts[1] * s.class_counts[2]) * taps_of_class(g, side) * odd_loads<T> / 2,
          .copied = real(s.source_channels * s.source_volume() * p.blocks),
          .stored = real(s.target_channels * s.target_volume()),
          .steps = real(blocks)};
}

/// Steps: register blocks, each of a source plane's rows.
template <class T>
constexpr conv_counts count(const in_place_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const int64_t planes = s.source_channels * s.target_channels * s.source_size[0];
  const int64_t vectors = s.target_size[1] * ceil_divide(s.target_size[2], simd::width<T>);
  return {.products = real(planes * vectors) * taps_of_class(g, side) / 2,
          .stored = real(s.target_channels * s.target_volume()),
          .steps = real(planes * p.row_blocks * p.codes)};
}

/// Planes that lie in the same sets of the first-level cache drive each other out, where it has few ways (4 -> 4 channels at 32^3: 1.7
/// times the time on Zen 4, nothing on Sapphire Rapids).
template <class T>
constexpr double aliased(const ops::conv_geometry& g) {
  const int64_t size = sizeof(T), x = g.in[1] * g.in[2] * size, y = g.out[1] * g.out[2] * size;
  return x % machine.aliasing == 0 || y % machine.aliasing == 0 ? 1.2 : 1;
}

/// The plan has counted its cycles. Steps: pages of memory that are not known when a tap reads them.
template <class T>
constexpr conv_counts count(const flat_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const correlation_axis d = correlation(g, side, 0, 0);
  const double plane = real(p.code.plane * static_cast<int64_t>(sizeof(T))), all = real(s.source_size[0]) * plane / page_bytes + 1;
  const int64_t planes = smaller(ceil_divide(s.target_size[0], p.segments) + (d.taps - 1) * d.offset_step, s.source_size[0]);
  double pages = real(planes) * plane / page_bytes + 1;
  if (real(planes) < pages) pages = real(planes);
  if (all < pages) pages = all;
  const double known = pages_known / (real(s.source_channels) * pages);
  const int64_t reads = p.vector_blocks * p.blocks * p.segments * s.kernel[1] * s.kernel[2] * s.source_channels;
  return {.products = p.cycles * odd_loads<T> * aliased<T>(g), .steps = known < 1 ? real(reads) * pages * (1 - known) : 0};
}

template <class T>
constexpr conv_counts count(const pointwise_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  return {.products = real(p.depth * p.units * p.blocks * p.rows * ceil_divide(p.pixels, simd::width<T>)) / 2,
          .copied = real(s.source_channels * s.source_volume()),
          .stored = real(s.target_channels * s.target_volume())};
}

/// Stored: vectors of transformed tiles, which go to the second-level cache and back, and those of results, which are turned. Steps: bytes
/// of the filters that no cache near the core keeps, for each block of tiles.
template <class T>
constexpr conv_counts count(const minimal_plan& p, const ops::conv_geometry&, conv_side) {
  const int64_t elements = p.tile_kind.elements(), vectors = p.target_blocks * p.vectors;
  const double blocks = real(p.block.counts[0] * p.block.counts[1] * p.block.counts[2]), tiles = blocks * real(p.block.tiles);
  const int64_t filters = p.target_blocks * p.block_filters() * static_cast<int64_t>(sizeof(T));
  return {.products = tiles * real(elements * p.chunks * p.chunk * vectors) / 2,
          .copied = blocks * real(p.source_chunk * p.chunks) * real(p.block.spans[0] * p.axis[0].span()) / real(p.planes),
          .stored = tiles * real(elements * (p.source_vectors() + vectors) * p.lanes) / simd::width<T>,
          .steps = filters > machine.l2 / 2 ? blocks * real(filters) : 0};
}

/// Steps: elements of dw.
template <class T>
constexpr conv_counts count(const weights_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const correlation_axis width = correlation(g, side, 2, 0);
  const int64_t vectors = ceil_divide(s.target_channels, simd::width<T>), elements = (joined_taps(width) ? width.taps : 1) * p.chunk;
  const double used = elements == 0 ? 1 : real(elements) / real(ceil_divide(elements, p.window) * p.window);
  const double products = real(s.target_volume() * s.source_channels * vectors) * taps_of_class(g, side) / used;
  return {.products = cycles_of_products(products, int64_t{p.window} * p.main, p.window + p.main),
          .copied = real(s.source_channels * s.source_volume() + vectors * simd::width<T> * s.target_volume()),
          .steps = real(g.w_size()) / real(g.batch * g.groups)};
}

/// Stored: vectors of sums that come and go with each row and pair of taps. Steps: elements of dw.
template <class T>
constexpr conv_counts count(const row_weights_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const int64_t vectors = ceil_divide(s.target_channels * p.code.fold, simd::width<T>),
                sources = ceil_divide(s.source_channels, p.code.fold);
  return {.products = inner_products(g, conv_side::forward) * real(sources * vectors) / 2,
          .copied = real(s.source_channels * s.source_volume() + vectors * simd::width<T> * s.target_volume()),
          .stored = inner_products(g, conv_side::forward, 2) / p.code.rows *
                    real(p.blocks * p.code.segments * sources * p.code.taps * p.code.vectors),
          .steps = real(g.w_size()) / real(g.batch * g.groups)};
}

/// Stored: elements of x that each block of channels reads again. Steps: sums of a slab of pixels that are added across the lanes.
template <class T>
constexpr conv_counts count(const pixel_weights_plan& p, const ops::conv_geometry& g, conv_side) {
  const int64_t vectors = ceil_divide(p.lanes, simd::width<T>) * g.out[0], of_x = g.group_in() * g.in_volume();
  const int64_t products = vectors * g.taps() * g.group_in() * p.blocks * p.channels;
  return {.products = cycles_of_products(real(products), int64_t{p.channels} * p.taps, 2 * p.taps + p.channels) * odd_loads<T>,
          .copied = p.rows.direct ? 0 : real(of_x + g.group_out() * g.out_volume()),
          .stored = p.rows.direct ? real(p.blocks * of_x) : 0,
          .steps = real(g.w_size()) / real(g.groups) * real(ceil_divide(p.lanes * g.out[0], larger(1, p.columns)))};
}

/// Stored: register blocks of the taps of a plane. Steps: elements of dw, each slab.
template <class T>
constexpr conv_counts count(const planes_weights_plan& p, const ops::conv_geometry& g, conv_side) {
  const double vectors = real(g.out[0] * p.vectors * p.slabs * g.group_in() * g.group_out());
  return {.products = vectors * real(g.taps()) * odd_loads<T> / 2,
          .copied = real(g.group_in() * g.in_volume() + (p.direct ? 0 : g.group_out() * g.out_volume())),
          .stored = vectors * real(ceil_divide(g.kernel[1] * g.kernel[2], p.taps)),
          .steps = real(g.w_size() * p.slabs) / real(g.groups)};
}

/// Stored: register blocks of the taps of a row. Steps: elements of dw, every tenth row.
template <class T>
constexpr conv_counts count(const in_place_weights_plan& p, const ops::conv_geometry& g, conv_side) {
  const double vectors = real(g.in[0] * g.out[1] * ceil_divide(g.out[2], simd::width<T>) * g.group_in() * g.group_out());
  return {.products = vectors * real(g.taps()) / 2,
          .stored = vectors * real(ceil_divide(g.kernel[1], p.taps)),
          .steps = real(g.w_size() * g.out[1]) / real(10 * g.groups)};
}

/// The plan has counted its cycles. Stored: pages of memory that are not known when a tap reads them. Steps: elements of dw.
template <class T>
constexpr conv_counts count(const flat_weights_plan& p, const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const double pages = real(s.source_volume() * static_cast<int64_t>(sizeof(T))) / page_bytes + 1;
  const double known = pages_known / (real(s.source_channels) * pages);
  const int64_t reads = p.vectors * p.blocks * p.segments * g.kernel[1] * g.kernel[2] * s.source_channels;
  return {.products = p.cycles * odd_loads<T> * aliased<T>(g) / real(g.batch * g.groups),
          .stored = known < 1 ? real(reads) * (1 - known) : 0,
          .steps = real(g.w_size()) / real(g.groups)};
}

/// Steps: elements of dw.
template <class T>
constexpr conv_counts count(const pointwise_weights_plan& p, const ops::conv_geometry& g, conv_side) {
  return {.products = real(ceil_divide(p.turned, simd::width<T>) * p.broadcast * g.out_volume()) / 2,
          .copied = real(p.turned * g.out_volume()),
          .stored = real(p.broadcast * g.out_volume()),
          .steps = real(g.w_size()) / real(g.groups)};
}

/// Stored: vectors of transformed tiles. Steps: the sums of all tasks.
template <class T>
constexpr conv_counts count(const minimal_weights_plan& p, const ops::conv_geometry& g, conv_side) {
  int64_t tiles = 1;
  for (int a = 0; a < 3; ++a) tiles *= p.axis[a].tiles(g.out[a]);
  const int64_t elements = p.tile_kind.elements();
  return {.products = real(tiles * elements) * real(p.x.chunks * p.x_rows() * p.g.chunks) / 2,
          .copied = real(p.x.chunks * p.x.chunk * g.in_volume() + p.g.chunks * p.g.chunk * g.out_volume()),
          .stored = real(tiles * elements) * real((p.x.chunks * p.g_ranges + p.g.chunks * p.x_ranges) * p.lanes) / simd::width<T>,
          .steps = real(p.tasks() * p.sum()) / real(g.batch)};
}

/// Cycles of all samples and groups, by one thread.
template <class T>
constexpr double cycles(const conv_counts& n, const conv_counts& each, const ops::conv_geometry& g) {
  const int64_t bytes = (g.x_size() + g.y_size()) * static_cast<int64_t>(sizeof(T));
  const double pair = n.products * each.products + n.copied * each.copied + n.stored * each.stored + n.steps * each.steps;
  return pair * real(g.batch * g.groups) + real(larger(0, bytes - machine.cached)) * each.beyond + each.once;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
