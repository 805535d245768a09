// Which kernel computes a convolution: settled while compiling, by rough counts of cycles and by measurements (AVX-512, 2026).
#pragma once

#include <volute/kernels/conv3d/channels.hpp>
#include <volute/kernels/conv3d/flat.hpp>
#include <volute/kernels/conv3d/flat_weights.hpp>
#include <volute/kernels/conv3d/in_place.hpp>
#include <volute/kernels/conv3d/in_place_weights.hpp>
#include <volute/kernels/conv3d/width_weights.hpp>
#include <volute/kernels/conv3d/planes.hpp>
#include <volute/kernels/conv3d/planes_weights.hpp>
#include <volute/kernels/conv3d/pointwise.hpp>
#include <volute/kernels/conv3d/pointwise_weights.hpp>
#include <volute/kernels/conv3d/rows_weights.hpp>
#include <volute/kernels/conv3d/rows.hpp>
#include <volute/kernels/conv3d/channels_weights.hpp>
#include <volute/kernels/conv3d/width.hpp>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// The kernels of the forward face and of the adjoint in the data, each in a header of its name.
inline constexpr int conv_families = 7;
enum class conv_family {
  channels,   // channels in the lanes, for many of them
  rows,       // the same with whole rows as accumulators and without the padding's rim: narrow volumes, few target channels
  width,      // pixels in the lanes, for few target channels
  planes,     // the same with several planes in flight: depthwise, or at most 4 channels on one side
  in_place,   // the same without a copy, where rows fill their vectors
  flat,       // whole planes in the lanes without a copy: few target channels, rows that fill no vector
  pointwise,  // windows that do not overlap (1x1x1; kernel 2, stride 2): products of matrices
};

constexpr const char* family_name(conv_family f) {
  constexpr const char* names[]{"channels", "rows", "width", "planes", "in_place", "flat", "pointwise"};
  static_assert(sizeof names / sizeof *names == conv_families);
  return names[static_cast<int>(f)];
}

/// Cycles for each output element that it takes to turn channels into lanes and back.
template <class T>
constexpr double turning_cycles(const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const double copies = 16 / static_cast<double>(plan_channels<T>(g, side).chunk);
  return 0.3 + 0.5 * static_cast<double>(s.source_channels) / static_cast<double>(s.target_channels) * (copies < 2 ? 1 : copies / 2);
}

/// True where channels in the lanes are expected to beat pixels in the lanes. Rough counts of cycles for each output element: the
/// multiplications at the share of lanes and of accumulators that work, and the turning.
template <class T>
constexpr bool prefers_channels(const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  constexpr double full = simd::width<T>;
  const auto count = [](int64_t n) { return static_cast<double>(n); };
  const double work = count(s.source_channels * g.taps()) / (full * 2);
  const channels_plan a = plan_channels<T>(g, side);
  const bool rows = rows_possible<T>(g, side);
  const double fold = rows ? lanes_fold<T>(s) : 1;
  const double lanes_a = fold * count(s.target_channels) / (full * count(ceil_divide(s.target_channels, simd::width<T>)));
  const double busy_a = rows ? 1 : count(smaller(10, int64_t{a.main.vectors} * a.main.rows * a.main.pixels)) / 10;
  const width_plan b = plan_width<T>(g, side);
  const int64_t width = correlation(g, side, 2, 0).n;
  const double lanes_b = count(b.slab * width) /
                         count(ceil_divide((b.slab - 1) * b.rows.pitch + width, simd::width<T> * b.vectors) * b.vectors) / full *
                         count(s.target_channels) / count(b.blocks * b.channels);
  const double busy_b = count(smaller(10, int64_t{b.channels} * b.vectors)) / 10 * (b.channels == 1 ? 0.5 : b.channels < 4 ? 0.7 : 0.8);
  return work / (lanes_a * busy_a) + turning_cycles<T>(g, side) < work / (lanes_b * busy_b) + 0.2;
}

/// True where pixels in the lanes go with several planes in flight: few channels on one side, and lanes and accumulators mostly busy if
/// channels would fill the lanes too. The other kernels copy the whole source, which takes memory twice if no cache holds it (1 <- 32: as
/// fast at 28^3, 1.4 times at 40^3, 3 times at 64^3; two channels, which fill the lanes of rows, are slower even at 40^3).
template <class T>
constexpr bool prefers_planes(const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  if (!planes_possible(g, side) || (s.source_channels > 4 && s.target_channels > 4)) return false;
  if (!prefers_channels<T>(g, side)) return true;
  const bool single = s.target_channels == 1 && s.source_channels <= 8;
  if (s.source_channels * g.taps() > 128 && !single) {  // so many products pay for turning channels into lanes
    const int64_t bytes = s.source_channels * s.source_volume() * static_cast<int64_t>(sizeof(T));
    return s.target_channels < 4 && bytes > (s.target_channels == 2 ? machine.cached * 2 : machine.cached / 2);
  }
  const planes_plan p = plan_planes<T>(g, side);
  const double used = static_cast<double>(correlation(g, side, 1, 0).n * correlation(g, side, 2, 0).n);
  const double lanes = used / static_cast<double>(p.slabs * p.strips * p.vectors * simd::width<T>);
  return lanes * static_cast<double>(smaller(10, int64_t{p.taps} * p.vectors)) > 6;
}

/// True where rows fill their vectors much better than channels do (23 of 32 lanes: 457 us, rows of 16: 370 us).
template <class T>
constexpr bool fills_lanes_better(const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  constexpr int64_t L = simd::width<T>;
  const int64_t n = correlation(g, side, 2, 0).n, lanes = s.target_channels * (rows_possible<T>(g, side) ? lanes_fold<T>(s) : 1);
  return lanes * ceil_divide(n, L) * 5 < ceil_divide(lanes, L) * n * 4;
}

/// Products of one source and one target channel that fall on no padding.
constexpr int64_t inner_products(const ops::conv_geometry& g, conv_side side) {
  int64_t products = 1;
  for (int a = 0; a < 3; ++a) products *= positions_read(correlation(g, side, a, 0), shape_of(g, side).source_size[a]);
  return products;
}

/// Cycles that channels in the lanes need for one sample and group with stride 1: the products, channels into lanes and back, and about 14
/// for each row and pair of taps whose sums come from memory, 8 if they stay in registers (4 -> 4 at 5^3: 47 % of the time of the former).
template <class T>
constexpr double lanes_cycles(const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  const int64_t fold = rows_possible<T>(g, side) ? lanes_fold<T>(s) : 1;
  const auto products = [&](int64_t each) {
    return static_cast<double>(each * ceil_divide(s.source_channels, fold) * ceil_divide(s.target_channels * fold, simd::width<T>)) / 2;
  };
  const double turning = turning_cycles<T>(g, side) * static_cast<double>(s.target_channels * s.target_volume());
  if (!rows_possible<T>(g, side)) return products(s.target_volume() * g.taps()) + turning;
  const rows_plan p = plan_rows<T>(g, side);
  ops::conv_geometry rows = g;
  rows.in[2] = rows.out[2] = rows.kernel[2] = 1;
  rows.lo[2] = 0;
  const int64_t steps = inner_products(rows, side) * p.blocks * p.chunks;
  return products(inner_products(g, side)) + turning + static_cast<double>(steps * (p.code.slab ? 14 : 8) + 500);
}

/// True where in place is expected to beat so many cycles for each sample and group: it needs 1.1 to 1.5 times those of its products, and
/// asks for what comes next where the tensors outgrow the caches (x3d_dw54, weights: 0.9 ms, whole planes in the lanes 1.6).
template <class T>
constexpr bool in_place_beats(const ops::conv_geometry& g, conv_side side, double cycles) {
  const conv_shape s = shape_of(g, side);
  const int64_t vectors = s.target_size[1] * ceil_divide(s.target_size[2], simd::width<T>);
  return (g.x_size() + g.y_size()) * static_cast<int64_t>(sizeof(T)) > machine.cached ||
         cycles > 1.15 * static_cast<double>(s.source_channels * s.source_size[0] * g.taps() * s.target_channels * vectors) / 2;
}

/// True where whole planes in the lanes are possible, and their masks take the compiler no time.
template <class T>
constexpr bool flat_compiles(const ops::conv_geometry& g) {
  const int64_t x = g.in[1] * g.in[2], y = g.out[1] * g.out[2], masks = larger(x, y) * g.kernel[1] * g.kernel[2];
  return flat_possible<T>(g) && g.taps() > 1 && larger(g.in[0], g.out[0]) <= 128 && masks <= (32 << 10);
}

/// True where whole planes in the lanes are possible and the source stays in the second-level cache. Planes a multiple of 2 KiB apart lie
/// in the same few sets of the first-level cache (4 -> 4 at 32^3: 1.7 times the time).
template <class T>
constexpr bool flat_worth_trying(const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  constexpr int64_t size = sizeof(T);
  return flat_possible<T>(g) && g.taps() > 1 && s.source_channels * s.source_volume() * size <= machine.cached / 2 &&
         s.target_size[0] <= 128 && s.target_size[1] * s.target_size[2] * s.kernel[1] * s.kernel[2] <= machine.l1 &&
         s.source_size[1] * s.source_size[2] * size % machine.aliasing != 0;
}

/// True where whole planes in the lanes are expected to be faster. The plan's cycles are estimated (0.75 to 1.05 times as many were
/// measured for 70 shapes with AVX-512; with AVX2, whose loads from odd places cross fewer lines, 0.65 to 0.85 times), those in the lanes'
/// also.
template <class T>
constexpr bool prefers_flat(const ops::conv_geometry& g, conv_side side) {
  if (!flat_worth_trying<T>(g, side)) return false;
  const double cycles = (simd::masks<T> ? 0.9 : 0.7) * plan_flat<T>(g, side).cycles;
  return cycles < lanes_cycles<T>(g, side) && !(prefers_in_place<T>(g, side) && in_place_beats<T>(g, side, cycles));
}

template <class T>
constexpr conv_family choose_family(const ops::conv_geometry& g, conv_side side) {
  if (prefers_pointwise<T>(g, side)) return conv_family::pointwise;
  if (prefers_flat<T>(g, side)) return conv_family::flat;
  if (prefers_planes<T>(g, side)) return prefers_in_place<T>(g, side) ? conv_family::in_place : conv_family::planes;
  const bool channels = prefers_channels<T>(g, side);
  if (prefers_in_place<T>(g, side) && (!channels || fills_lanes_better<T>(g, side))) return conv_family::in_place;
  if (!channels) return conv_family::width;
  return rows_possible<T>(g, side) ? conv_family::rows : conv_family::channels;
}

/// True where a family can compute a convolution, fast or not.
VOLUTE_EXHAUSTIVE_BEGIN
template <class T>
constexpr bool possible(conv_family family, const ops::conv_geometry& g, conv_side side) {
  switch (family) {
    case conv_family::channels:
    case conv_family::width:
      return true;
    case conv_family::rows:
      return rows_possible<T>(g, side);
    case conv_family::planes:
      return planes_possible(g, side);
    case conv_family::in_place:
      return prefers_in_place<T>(g, side);
    case conv_family::flat:
      return flat_compiles<T>(g);
    case conv_family::pointwise:
      return windows_apart(g) && g.out_volume() >= simd::width<T> && plan_pointwise<T>(g, side).depth > 1;
  }
  return false;
}
VOLUTE_EXHAUSTIVE_END

/// f(plan) with the plan of a family, which reads its source in layout `from`.
VOLUTE_EXHAUSTIVE_BEGIN
template <class T, class F>
constexpr int64_t with_plan(conv_family family, const ops::conv_geometry& g, conv_side side, const ops::volume_layout& from, F f) {
  switch (family) {
    case conv_family::pointwise:
      return f(plan_pointwise<T>(g, side));
    case conv_family::planes:
      return f(plan_planes<T>(g, side));
    case conv_family::in_place:
      return f(plan_in_place<T>(g, side));
    case conv_family::flat:
      return f(plan_flat<T>(g, side));
    case conv_family::rows:
      return f(plan_rows<T>(g, side, from));
    case conv_family::channels:
      return f(plan_channels<T>(g, side, from));
    case conv_family::width:
      break;
  }
  return f(plan_width<T>(g, side));
}
VOLUTE_EXHAUSTIVE_END

/// The kernels of the adjoint in the filter: channels of g or of x in the lanes (`row_`: whole rows in registers), pixels in the lanes, the
/// same with several planes in flight, that without a copy, whole planes in the lanes (blocks of channels of g or of x), or a product of
/// matrices.
inline constexpr int weights_families = 10;
enum class weights_family { outputs, inputs, row_outputs, row_inputs, pixels, planes, in_place, flat_outputs, flat_inputs, pointwise };

constexpr const char* family_name(weights_family f) {
  constexpr const char* names[]{"outputs", "inputs",   "row_outputs",  "row_inputs",  "pixels",
                                "planes",  "in_place", "flat_outputs", "flat_inputs", "pointwise"};
  static_assert(sizeof names / sizeof *names == weights_families);
  return names[static_cast<int>(f)];
}

/// Wide rows pay in the filter's adjoint while the copies stay in the caches: 16 -> 8 channels take 20 ms by rows at 64^3 if each tensor is
/// copied whole, 11 by channels, and 10 by slabs of rows.
template <class T>
constexpr bool row_weights_possible(const ops::conv_geometry& g, conv_side side) {
  if (!rows_possible<T>(g, side) || g.out[2] <= 32) return rows_possible<T>(g, side);
  const row_weights_plan p = plan_row_weights<T>(g, side);
  return p.samples * (p.source_sample + p.target_sample) * static_cast<int64_t>(sizeof(T)) <= machine.cached;
}

template <class T>
constexpr weights_family choose_weights(const ops::conv_geometry& g) {
  if (flat_worth_trying<T>(g, conv_side::forward) && flat_worth_trying<T>(g, conv_side::backward)) {
    const double outputs = plan_flat_weights<T>(g, conv_side::forward).cycles, inputs = plan_flat_weights<T>(g, conv_side::backward).cycles;
    const double cycles = (simd::masks<T> ? 1.0 : 0.62) * (outputs < inputs ? outputs : inputs);  // estimated, as in prefers_flat
    const double pairs = static_cast<double>(g.batch * g.groups);
    const double by_outputs = lanes_cycles<T>(g, conv_side::forward), by_inputs = lanes_cycles<T>(g, conv_side::backward);
    const double by_lanes = pairs * (by_outputs < by_inputs ? by_outputs : by_inputs) + 0.3 * static_cast<double>(g.w_size());
    if (cycles < by_lanes && !(prefers_in_place_weights<T>(g) && in_place_beats<T>(g, conv_side::forward, 1.1 * cycles / pairs)))
      return outputs <= inputs ? weights_family::flat_outputs : weights_family::flat_inputs;
  }
  if (prefers_in_place_weights<T>(g) && fills_lanes_better<T>(g, conv_side::forward) && fills_lanes_better<T>(g, conv_side::backward))
    return weights_family::in_place;
  // Few channels on one side: with many on the other, channels in the lanes win once their copies are used often (128: 3 -> 64 with 27 taps
  // is faster by planes, with 147 by channels).
  const int64_t few = smaller(g.group_in(), g.group_out()), many = larger(g.group_in(), g.group_out());
  if (planes_possible(g, conv_side::forward) && few <= 4 && (many <= 8 || few * g.taps() <= 128)) {
    if (prefers_in_place_weights<T>(g)) return weights_family::in_place;
    const planes_weights_plan p = plan_planes_weights<T>(g);
    if (g.out[1] * g.out[2] * 10 >= p.slabs * p.vectors * simd::width<T> * 7) return weights_family::planes;
  }
  const auto count = [](int64_t n) { return static_cast<double>(n); };
  constexpr double full = simd::width<T>;
  double rate[2]{};
  for (int i = 0; i < 2; ++i) {
    const conv_side side = i == 0 ? conv_side::forward : conv_side::backward;
    const conv_shape s = shape_of(g, side);
    const weights_plan p = plan_weights<T>(g, side);
    const double busy = count(smaller(10, int64_t{p.window} * p.main)) / 10;
    rate[i] = count(s.target_channels) / (full * count(ceil_divide(s.target_channels, simd::width<T>))) * busy;
    if (row_weights_possible<T>(g, side)) {
      const double fold = lanes_fold<T>(s);
      rate[i] = fold * count(s.target_channels) / (full * count(ceil_divide(lanes_fold<T>(s) * s.target_channels, simd::width<T>)));
    }
    rate[i] *= count(s.source_channels * g.taps()) / (count(s.source_channels * g.taps()) + full);  // the copies
  }
  const pixel_weights_plan p = plan_pixel_weights<T>(g);
  // Each block of output channels reads x again, from memory if no cache holds a sample (16 -> 16 at 64^3: 2150 us, by pointwise 1110).
  const int64_t sample = g.group_in() * g.in_volume() + g.group_out() * g.out_volume();
  const bool again = p.rows.direct && p.blocks > 1 && sample * static_cast<int64_t>(sizeof(T)) > machine.cached * 4;
  const double pixels = (again ? 0.5 : 1) * count(g.out[1] * g.out[2]) / count(p.lanes) * count(g.group_out()) /
                        count(p.blocks * p.channels) *
                        (p.channels == 1  ? 0.4
                         : p.channels < 4 ? 0.6
                                          : 0.75) *
                        count(p.lanes) / (count(p.lanes) + 4 * full);
  if (windows_apart(g) && g.out_volume() >= simd::width<T>) {
    const pointwise_weights_plan q = plan_pointwise_weights<T>(g);
    const double least = count(q.turned * q.broadcast) / (2 * full);
    if (least / pointwise_weights_cost<T>(q.turned, q.broadcast) > pixels) return weights_family::pointwise;
  }
  if (pixels > rate[0] && pixels > rate[1]) return weights_family::pixels;
  if (rate[0] >= rate[1]) return row_weights_possible<T>(g, conv_side::forward) ? weights_family::row_outputs : weights_family::outputs;
  return row_weights_possible<T>(g, conv_side::backward) ? weights_family::row_inputs : weights_family::inputs;
}

/// True where a family can compute the adjoint in the filter, fast or not.
VOLUTE_EXHAUSTIVE_BEGIN
template <class T>
constexpr bool possible(weights_family family, const ops::conv_geometry& g) {
  switch (family) {
    case weights_family::outputs:
    case weights_family::inputs:
    case weights_family::pixels:
      return true;
    case weights_family::row_outputs:
      return rows_possible<T>(g, conv_side::forward);
    case weights_family::row_inputs:
      return rows_possible<T>(g, conv_side::backward);
    case weights_family::planes:
      return planes_possible(g, conv_side::forward);
    case weights_family::in_place:
      return prefers_in_place_weights<T>(g);
    case weights_family::flat_outputs:
    case weights_family::flat_inputs:
      return flat_compiles<T>(g);
    case weights_family::pointwise:
      return windows_apart(g) && g.out_volume() >= simd::width<T>;
  }
  return false;
}
VOLUTE_EXHAUSTIVE_END

/// f(plan) with the plan of a family.
VOLUTE_EXHAUSTIVE_BEGIN
template <class T, class F>
constexpr int64_t with_weights_plan(const ops::conv_geometry& g, weights_family family, F f) {
  switch (family) {
    case weights_family::outputs:
      return f(plan_weights<T>(g, conv_side::forward));
    case weights_family::inputs:
      return f(plan_weights<T>(g, conv_side::backward));
    case weights_family::row_outputs:
      return f(plan_row_weights<T>(g, conv_side::forward));
    case weights_family::row_inputs:
      return f(plan_row_weights<T>(g, conv_side::backward));
    case weights_family::planes:
      return f(plan_planes_weights<T>(g));
    case weights_family::in_place:
      return f(plan_in_place_weights<T>(g));
    case weights_family::flat_outputs:
      return f(plan_flat_weights<T>(g, conv_side::forward));
    case weights_family::flat_inputs:
      return f(plan_flat_weights<T>(g, conv_side::backward));
    case weights_family::pointwise:
      return f(plan_pointwise_weights<T>(g));
    case weights_family::pixels:
      break;
  }
  return f(plan_pixel_weights<T>(g));
}
VOLUTE_EXHAUSTIVE_END

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
