// What each family does for a convolution, as values: its way through the nest, which reports print and no kernel depends on, and what that
// costs. There is one model for all: a plan's way takes so many vectors of products, elements of copies and of results, and steps of its
// own, and a family has so many cycles for each. The numbers were fitted to the measured rows of
// tests/data/conv3d_families.csv and conv3d_minimal.csv (least squares of the logarithms, and the regret of what is chosen); bench/families
// measures them.
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

/// What neighbouring lanes of an accumulator hold. (weights: sums of neighbouring channels of g or of x; or parts of one sum.)
enum class lane_axis { target_channels, source_channels, pixels };
/// What the register blocks read: the tensor itself, channels last in blocks, rows with the padding's zeros, panels of a matrix.
enum class source_copy { none, channels_last, padded_rows, panels };
/// What waits between two steps: nothing, sums in a tile of memory, the sums of the planes that are in flight.
enum class carry { nothing, tile, planes };

/// A way through the nest: which axis lies in the lanes, what is copied, what is carried from one step to the next, the register block, and
/// how threads share.
struct conv_schedule {
  lane_axis lanes{};
  source_copy copy{};
  carry carried{};
  int64_t vectors = 1, sums = 1;  // a register block: vectors of lanes times sums in each
  int64_t slabs = 1;              // of the depth, each copied and then convolved
  int64_t tile[3]{1, 1, 1};       // minimal filtering: results that share their products
  sharing share{};
  const char* family = "";
};

/// What a plan does for one sample and group, or (of `cycles_of`) the cycles for one of each.
struct conv_counts {
  double products = 0;  // cycles of the multiply-adds at their full rate, with what keeps them waiting
  double copied = 0;    // elements that are copied before they are multiplied
  double stored = 0;    // lanes of results that are turned and stored
  double beyond = 0;    // bytes of the two tensors that no cache keeps; of all samples and groups
  double steps = 0;     // what else the family repeats: see each plan's count
  double once = 0;
};

constexpr double at_least(double x, double least) { return x < least ? least : x; }

/// Products for each target element, the mean of the residue classes; those on padding count.
constexpr double taps_of_class(const conv_shape& s) {
  double mean = 1;
  for (int a : volume_axes) {
    int64_t products = 0, elements = 0;
    s.for_each_class(a, [&](const correlation_axis& c) { products += c.n * c.taps, elements += c.n; });
    mean *= double(products) / double(elements);
  }
  return mean;
}

/// Products of one source and one target channel along an axis, all residue classes; `clipped`: those on padding are left out.
constexpr int64_t products_along(const conv_shape& s, int axis, bool clipped) {
  const int64_t count = s.source(axis, 1, false).count;
  int64_t products = 0;
  s.for_each_class(axis, [&](const correlation_axis& c) { products += clipped ? positions_read(c, count) : c.n * c.taps; });
  return products;
}

/// Products of one source and one target channel that fall on no padding; `axes` of depth, height and width. Stride 1.
constexpr double inner_products(const conv_shape& s, int axes = 3) {
  double products = 1;
  for (int a = 0; a < axes; ++a) products *= double(positions_read(s.axis[a], s.source_size[a]));
  return products;
}

/// Cycles of so many multiply-adds of vectors with `sums` accumulators and `loads` loads for each round of them: too few accumulators wait
/// for each other, and a round cannot be shorter than its loads take.
constexpr double cycles_of_products(double count, int64_t sums, int64_t loads) {
  const double chains = double(machine.latency * machine.products), waits = double(sums) < chains ? chains / double(sums) : 1;
  return count / double(machine.products) * at_least(waits, at_least(double(loads) / double(sums), 1));
}

/// Pages of memory that one tap of whole planes in the lanes reads: the first-level table of addresses has 64 to 96 entries, and a page
/// that is not there costs about 5 cycles (1 <- 32 channels at 28^3: 4 times the time).
inline constexpr double page_bytes = 4096, pages_known = 64;

/// What a load from an odd place costs beside one of 64 bytes, which always lies across two lines; shorter vectors seldom do. Of products
/// with pixels in the lanes.
template <class T>
inline constexpr double odd_loads = simd::width<T> * sizeof(T) < 64 ? 0.65 : 1;

/// Both of a plan. (What the schedule has of the plan's own, as its slabs, schedule_of() adds.)
struct plan_account {
  conv_schedule way;
  conv_counts counts;
};

/// What each family's plan does for a convolution. Of the adjoint in the filter, s is of the side whose channels the family's blocks have.
template <class T>
struct conv_account {
  using enum lane_axis;
  using enum source_copy;
  const conv_shape& s;
  const lane_axis channels = s.side == conv_side::backward ? source_channels : target_channels;  // of a filter's adjoint
  const double source_elements = double(s.source_elements()), target_elements = double(s.target_elements());
  static constexpr int64_t size = sizeof(T), lanes = simd::width<T>;

  static constexpr carry tile_if(bool waits) { return waits ? carry::tile : carry::nothing; }
  constexpr int64_t target_vectors(int64_t fold = 1) const { return ceil_divide(s.target_channels * fold, lanes); }
  /// Elements of dw, each time that the tensors of one sample and group are met.
  constexpr double filters_of_pair() const { return double(s.filters()) / double(s.pairs()); }
  constexpr double filters_of_group() const { return double(s.filters()) / double(s.groups); }
  /// Planes that lie in the same sets of a cache drive each other out, where it has few ways.
  constexpr double aliased() const {
    return s.source_plane() * size % machine.aliasing == 0 || s.target_plane() * size % machine.aliasing == 0 ? machine.crowded : 1;
  }

  constexpr plan_account of(const channels_plan& p) const {
    const int64_t sums = int64_t{p.main.vectors} * p.main.rows * p.main.pixels, width = s.axis[2].n;
    const int64_t planes = products_along(s, 0, true), rows = products_along(s, 1, p.main.rows == 1);
    const double products = double(s.source_channels * target_vectors() * planes * rows) * double(products_along(s, 2, false));
    const double used = double(width) / double(ceil_divide(width, p.main.pixels) * p.main.pixels);
    return {{target_channels, channels_last, tile_if(p.together < p.chunks), p.main.vectors, sums},
            {.products = cycles_of_products(products / used, sums, p.main.vectors + p.main.rows * p.main.pixels),
             .copied = source_elements,
             .stored = double(s.target_volume() * target_vectors() * lanes),
             .steps = p.together < p.chunks ? double(ceil_divide(p.chunks, p.together)) * target_elements : 0}};
  }

  /// Steps: rows and pairs of taps, about 14 cycles where their sums come from memory, and 8 where they stay in registers.
  constexpr plan_account of(const rows_plan& p) const {
    const int64_t vectors = target_vectors(p.code.fold);
    return {
        {target_channels, channels_last, tile_if(p.code.slab), p.code.vectors, p.code.rows * ceil_divide(p.code.width, p.code.segments)},
        {.products = inner_products(s) * double(ceil_divide(s.source_channels, p.code.fold) * vectors) / 2,
         .copied = source_elements,
         .stored = double(s.target_volume() * vectors * lanes),
         .steps = inner_products(s, 2) * double(p.blocks * p.chunks) * (p.code.slab ? 14 : 8 * double(p.code.segments))}};
  }

  /// Steps: elements that come from the tile and go back to it.
  constexpr plan_account of(const width_plan& p) const {
    const int64_t width = s.axis[2].n, height = s.axis[1].n, block = p.vectors * lanes;
    int64_t vectors = 0;
    for (int64_t h = 0; h < height; h += p.slab)
      vectors += ceil_divide((smaller(p.slab, height - h) - 1) * p.rows.pitch + width, block) * p.vectors;
    const int64_t all = vectors * s.axis[0].n * s.class_counts[0] * s.inner_classes();
    const double products = double(all * s.source_channels * p.blocks * p.channels) * taps_of_class(s);
    return {{pixels, p.rows.direct ? none : padded_rows, tile_if(p.chunk < s.source_channels), p.vectors, p.channels},
            {.products = cycles_of_products(products, int64_t{p.channels} * p.vectors, 2 * p.vectors + p.channels),
             .copied = p.rows.direct ? 0 : source_elements,
             .stored = target_elements,
             .steps = double(ceil_divide(s.source_channels, p.chunk)) * target_elements}};
  }

  /// Steps: register blocks, each of a source plane's rows.
  constexpr plan_account of(const planes_plan& p) const {
    const int64_t blocks = s.source_channels * s.target_channels * (s.target_size[0] + p.taps - 1) * p.slabs * p.strips;
    return {{pixels, padded_rows, carry::planes, p.vectors, p.taps},
            {.products = double(blocks * p.vectors * s.inner_classes()) * taps_of_class(s) * odd_loads<T> / 2,
             .copied = double(p.blocks) * source_elements,
             .stored = target_elements,
             .steps = double(blocks)}};
  }
  constexpr plan_account of(const in_place_plan& p) const {
    const int64_t planes = s.source_channels * s.target_channels * s.source_size[0];
    return {{pixels, none, carry::planes, p.code[0].vectors, p.code[0].depth * p.code[0].rows},
            {.products = double(planes * s.target_size[1] * ceil_divide(s.target_size[2], lanes)) * taps_of_class(s) / 2,
             .stored = target_elements,
             .steps = double(planes * p.row_blocks * p.codes)}};
  }

  /// The plan has counted its cycles. Steps: pages of memory that are not known when a tap reads them.
  constexpr plan_account of(const flat_plan& p) const {
    const correlation_axis d = s.axis[0];
    const double plane = double(p.code.plane * size), all = double(s.source_size[0]) * plane / page_bytes + 1;
    const int64_t planes = smaller(ceil_divide(s.target_size[0], p.segments) + (d.taps - 1) * d.offset_step, s.source_size[0]);
    double pages = double(planes) * plane / page_bytes + 1;
    if (double(planes) < pages) pages = double(planes);
    if (all < pages) pages = all;
    const double known = pages_known / (double(s.source_channels) * pages);
    const int64_t reads = p.vector_blocks * p.blocks * p.segments * s.plane_taps() * s.source_channels;
    return {{pixels, none, carry::nothing, p.code.vectors, p.code.channels * ceil_divide(s.target_size[0], p.segments)},
            {.products = p.cycles * odd_loads<T> * aliased(), .steps = known < 1 ? double(reads) * pages * (1 - known) : 0}};
  }

  constexpr plan_account of(const pointwise_plan& p) const {
    return {{pixels, p.straight ? none : panels, carry::nothing, p.vectors, p.rows},
            {.products = double(p.depth * p.units * p.blocks * p.rows * ceil_divide(p.pixels, lanes)) / 2,
             .copied = source_elements,
             .stored = target_elements}};
  }

  /// Stored: vectors of transformed tiles, which go to the second-level cache and back, and those of results, which are turned. Steps:
  /// bytes of the filters that no cache near the core keeps, for each block of tiles; eightfold those that come from memory each time.
  constexpr plan_account of(const minimal_plan& p) const {
    const int64_t elements = p.tile_kind.elements(), vectors = p.target_blocks * p.vectors;
    const double blocks = double(p.block.counts[0] * p.block.counts[1] * p.block.counts[2]), tiles = blocks * double(p.block.tiles);
    const int64_t filters = p.target_blocks * p.block_filters() * size;
    return {{target_channels, channels_last, carry::tile, p.vectors, p.rows},
            {.products = tiles * double(elements * p.chunks * p.chunk * vectors) / 2,
             .copied = blocks * double(p.source_chunk * p.chunks) * double(p.block.spans[0] * p.axis[0].span()) / double(p.planes),
             .stored = tiles * double(elements * (p.source_vectors() + vectors) * p.lanes) / lanes,
             .steps = filters > machine.l2 / 2 ? blocks * double(filters + 7 * larger(0, filters - 2 * machine.cached)) : 0}};
  }

  /// Steps: elements of dw.
  constexpr plan_account of(const weights_plan& p) const {
    const correlation_axis width = s.axis[2];
    const int64_t elements = (joined_taps(width) ? width.taps : 1) * p.chunk;
    const double used = elements == 0 ? 1 : double(elements) / double(ceil_divide(elements, p.window) * p.window);
    const double products = double(s.target_volume() * s.source_channels * target_vectors()) * taps_of_class(s) / used;
    return {{channels, channels_last, carry::tile, p.main, p.window},
            {.products = cycles_of_products(products, int64_t{p.window} * p.main, p.window + p.main),
             .copied = source_elements + double(target_vectors() * lanes * s.target_volume()),
             .steps = filters_of_pair()}};
  }

  /// Stored: vectors of sums that come and go with each row and pair of taps. Steps: elements of dw.
  constexpr plan_account of(const row_weights_plan& p) const {
    const int64_t vectors = target_vectors(p.code.fold), sources = ceil_divide(s.source_channels, p.code.fold);
    return {{channels, channels_last, carry::tile, p.code.vectors, p.code.taps},
            {.products = inner_products(s) * double(sources * vectors) / 2,
             .copied = source_elements + double(vectors * lanes * s.target_volume()),
             .stored = inner_products(s, 2) / p.code.rows * double(p.blocks * p.code.segments * sources * p.code.taps * p.code.vectors),
             .steps = filters_of_pair()}};
  }

  /// Stored: elements of x that each block of channels reads again. Steps: sums of a slab of pixels that are added across the lanes.
  constexpr plan_account of(const pixel_weights_plan& p) const {
    const int64_t vectors = ceil_divide(p.lanes, lanes) * s.target_size[0],
                  products = vectors * s.taps() * s.source_channels * p.blocks * p.channels;
    return {{pixels, p.rows.direct ? none : padded_rows, carry::tile, 1, p.channels * p.taps},
            {.products = cycles_of_products(double(products), int64_t{p.channels} * p.taps, 2 * p.taps + p.channels) * odd_loads<T>,
             .copied = p.rows.direct ? 0 : source_elements + target_elements,
             .stored = p.rows.direct ? double(p.blocks) * source_elements : 0,
             .steps = filters_of_group() * double(ceil_divide(p.lanes * s.target_size[0], larger(1, p.columns)))}};
  }

  /// Stored: register blocks of the taps of a plane. Steps: elements of dw, each slab.
  constexpr plan_account of(const planes_weights_plan& p) const {
    const double vectors = double(s.target_size[0] * p.vectors * p.steps * s.source_channels * s.target_channels);
    return {{pixels, padded_rows, carry::tile, 1, p.depth * p.taps},
            {.products = vectors * double(s.taps()) * odd_loads<T> / 2,
             .copied = source_elements + (p.direct ? 0 : target_elements),
             .stored = vectors * double(ceil_divide(s.plane_taps(), p.taps)),
             .steps = filters_of_group() * double(p.steps)}};
  }

  /// Stored: register blocks of the taps of a row. Steps: elements of dw, every tenth row.
  constexpr plan_account of(const in_place_weights_plan& p) const {
    const double vectors =
        double(s.source_size[0] * s.target_size[1] * ceil_divide(s.target_size[2], lanes) * s.source_channels * s.target_channels);
    return {{pixels, none, carry::tile, p.code.vectors, p.code.depth * p.taps},
            {.products = vectors * double(s.taps()) / 2,
             .stored = vectors * double(ceil_divide(s.kernel[1], p.taps)),
             .steps = filters_of_group() * double(s.target_size[1]) / 10}};
  }

  /// The plan has counted its cycles. Stored: pages of memory that are not known when a tap reads them. Steps: elements of dw.
  constexpr plan_account of(const flat_weights_plan& p) const {
    const double pages = double(s.source_volume() * size) / page_bytes + 1, known = pages_known / (double(s.source_channels) * pages);
    const int64_t reads = p.vectors * p.blocks * p.segments * s.plane_taps() * s.source_channels;
    return {{pixels, none, carry::tile, 1, p.code.channels * p.code.window * p.code.taps},
            {.products = p.cycles * odd_loads<T> * aliased() / double(s.pairs()),
             .stored = known < 1 ? double(reads) * (1 - known) : 0,
             .steps = filters_of_group()}};
  }

  /// Steps: elements of dw.
  constexpr plan_account of(const pointwise_weights_plan& p) const {
    return {{channels, panels, carry::tile, p.vectors, p.rows},
            {.products = double(ceil_divide(p.turned, lanes) * p.broadcast * s.target_volume()) / 2,
             .copied = double(p.turned * s.target_volume()),
             .stored = double(p.broadcast * s.target_volume()),
             .steps = filters_of_group()}};
  }

  /// Stored: vectors of transformed tiles. Steps: the sums of all tasks.
  constexpr plan_account of(const minimal_weights_plan& p) const {
    int64_t tiles = p.tile_kind.elements();
    for (int a : volume_axes) tiles *= p.axis[a].tiles(s.target_size[a]);
    return {{channels, channels_last, carry::tile, p.vectors, p.rows},
            {.products = double(tiles) * double(p.x.chunks * p.x_rows() * p.g.chunks) / 2,
             .copied = double(p.x.chunks * p.x.chunk * s.source_volume() + p.g.chunks * p.g.chunk * s.target_volume()),
             .stored = double(tiles) * double((p.x.chunks * p.g_ranges + p.g.chunks * p.x_ranges) * p.lanes) / lanes,
             .steps = double(p.tasks() * p.sum()) / double(s.batch)}};
  }
};

/// Cycles that a plan takes for all samples and groups, by one thread; `each`: those for one of each of its counts.
template <class T, class Plan>
constexpr double cycles(const Plan& plan, const conv_shape& s, const conv_counts& each) {
  const conv_counts n = conv_account<T>{s}.of(plan).counts;
  const int64_t bytes = (s.geometry.x_size() + s.geometry.y_size()) * bytes_of<T>;
  const double pair = n.products * each.products + n.copied * each.copied + n.stored * each.stored + n.steps * each.steps;
  return pair * double(s.pairs()) + double(larger(0, bytes - machine.cached)) * each.beyond + each.once;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
