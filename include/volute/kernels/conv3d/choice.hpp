// Which family computes a convolution: of those that can, the one whose cost is the least, settled while compiling.
#pragma once

#include <volute/kernels/conv3d/cost.hpp>
#include <volute/ops/rule.hpp>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// The kernels of the forward face and of the adjoint in the data, each in a header of its name.
enum class conv_family {
  channels,   // channels in the lanes, for many of them
  rows,       // the same with whole rows as accumulators and without the padding's rim: narrow volumes, few target channels
  width,      // pixels in the lanes, for few target channels
  planes,     // the same with several planes in flight: depthwise, or few channels on one side
  in_place,   // the same without a copy, where rows fill their vectors
  flat,       // whole planes in the lanes without a copy: few target channels, rows that fill no vector
  pointwise,  // windows that do not overlap (1x1x1; kernel 2, stride 2): products of matrices
  minimal,    // minimal filtering, where it was asked for
};
inline constexpr int conv_families = 8;

/// Those of the adjoint in the filter.
enum class weights_family {
  outputs,       // channels of g in the lanes
  inputs,        // channels of x
  row_outputs,   // channels of g, whole rows in registers
  row_inputs,    // channels of x
  pixels,        // pixels in the lanes
  planes,        // the same with several planes in flight
  in_place,      // that without a copy
  flat_outputs,  // whole planes in the lanes, blocks of channels of g
  flat_inputs,   // of x
  pointwise,     // a product of matrices
  minimal,       // minimal filtering, where it was asked for
};
inline constexpr int weights_families = 11;

/// True where whole planes in the lanes are possible, and their masks take the compiler no time.
template <class T>
constexpr bool flat_compiles(const ops::conv_geometry& g) {
  constexpr int64_t most_planes = 128, most_masks = 32 << 10;
  const int64_t masks = larger(g.in[1] * g.in[2], g.out[1] * g.out[2]) * g.kernel[1] * g.kernel[2];
  return flat_possible<T>(g) && g.taps() > 1 && larger(g.in[0], g.out[0]) <= most_planes && masks <= most_masks;
}

/// Wide rows pay in the filter's adjoint while the copies stay in the caches: 16 -> 8 channels take 20 ms by rows at 64^3 if each tensor is
/// copied whole, 11 by channels, and 10 by slabs of rows.
template <class T>
constexpr bool row_weights_possible(const ops::conv_geometry& g, conv_side side) {
  if (!rows_possible<T>({g, side}) || g.out[2] <= 32) return rows_possible<T>({g, side});
  const row_weights_plan p = plan_row_weights<T>(g, side);
  return p.samples * (p.source_sample + p.target_sample) * static_cast<int64_t>(sizeof(T)) <= machine.cached;
}

VOLUTE_EXHAUSTIVE_BEGIN
/// True where a family can compute a convolution, fast or not.
template <class T>
constexpr bool possible(conv_family family, const conv_shape& s) {
  switch (family) {
    case conv_family::channels:
    case conv_family::width:
      return true;
    case conv_family::rows:
      return rows_possible<T>(s);
    case conv_family::planes:
      return planes_possible(s);
    case conv_family::in_place:
      return prefers_in_place<T>(s);
    case conv_family::flat:
      return flat_compiles<T>(s.geometry);
    case conv_family::pointwise:
      return prefers_pointwise<T>(s);
    case conv_family::minimal:
      return minimal_possible<T>(s.geometry);
  }
  return false;
}
/// The same of the adjoint in the filter.
template <class T>
constexpr bool possible(weights_family family, const ops::conv_geometry& g) {
  switch (family) {
    case weights_family::outputs:
    case weights_family::inputs:
    case weights_family::pixels:
      return true;
    case weights_family::row_outputs:
      return row_weights_possible<T>(g, conv_side::forward);
    case weights_family::row_inputs:
      return row_weights_possible<T>(g, conv_side::backward);
    case weights_family::planes:
      return planes_possible({g, conv_side::forward});
    case weights_family::in_place:
      return prefers_in_place_weights<T>(g);
    case weights_family::flat_outputs:
    case weights_family::flat_inputs:
      return flat_compiles<T>(g);
    case weights_family::pointwise:
      return windows_apart(g) && g.out_volume() >= simd::width<T>;
    case weights_family::minimal:
      return minimal_possible<T>(g);
  }
  return false;
}
VOLUTE_EXHAUSTIVE_END

/// Which tensor's channels a family's blocks have: backward if those of x.
constexpr conv_side side_of(weights_family f) {
  const bool inputs = f == weights_family::inputs || f == weights_family::row_inputs || f == weights_family::flat_inputs;
  return inputs ? conv_side::backward : conv_side::forward;
}

/// The plan of a family, which reads its source in layout `from`.
template <class T, conv_family Family>
constexpr auto plan_of(const conv_shape& s, [[maybe_unused]] const ops::volume_layout& from = {}) {
  using enum conv_family;
  if constexpr (Family == channels)
    return plan_channels<T>(s, from);
  else if constexpr (Family == rows)
    return plan_rows<T>(s, from);
  else if constexpr (Family == width)
    return plan_width<T>(s);
  else if constexpr (Family == planes)
    return plan_planes<T>(s);
  else if constexpr (Family == in_place)
    return plan_in_place<T>(s);
  else if constexpr (Family == flat)
    return plan_flat<T>(s);
  else if constexpr (Family == pointwise)
    return plan_pointwise<T>(s);
  else if constexpr (Family == minimal)
    return plan_minimal<T>(s, from);
  else
    static_assert(sizeof(ops::no_branch_for<Family, "conv3d/choice.hpp: plan_of">) > 0);
}
/// That of a family of the adjoint in the filter.
template <class T, weights_family Family>
constexpr auto plan_of(const ops::conv_geometry& g) {
  using enum weights_family;
  if constexpr (Family == outputs || Family == inputs)
    return plan_weights<T>(g, side_of(Family));
  else if constexpr (Family == row_outputs || Family == row_inputs)
    return plan_row_weights<T>(g, side_of(Family));
  else if constexpr (Family == pixels)
    return plan_pixel_weights<T>(g);
  else if constexpr (Family == planes)
    return plan_planes_weights<T>(g);
  else if constexpr (Family == in_place)
    return plan_in_place_weights<T>(g);
  else if constexpr (Family == flat_outputs || Family == flat_inputs)
    return plan_flat_weights<T>(g, side_of(Family));
  else if constexpr (Family == pointwise)
    return plan_pointwise_weights<T>(g);
  else if constexpr (Family == minimal)
    return plan_minimal_weights<T>(g);
  else
    static_assert(sizeof(ops::no_branch_for<Family, "conv3d/choice.hpp: plan_of">) > 0);
}

/// f(plan) with the plan of a family that is no constant. I: the first family that is not yet known to be another one.
template <class T, int I = 0, class F>
constexpr auto with_plan(conv_family family, const conv_shape& s, const ops::volume_layout& from, F f) {
  if constexpr (I + 1 < conv_families)
    if (static_cast<int>(family) != I) return with_plan<T, I + 1>(family, s, from, f);
  return f(plan_of<T, static_cast<conv_family>(I)>(s, from));
}
template <class T, int I = 0, class F>
constexpr auto with_weights_plan(weights_family family, const ops::conv_geometry& g, F f) {
  if constexpr (I + 1 < weights_families)
    if (static_cast<int>(family) != I) return with_weights_plan<T, I + 1>(family, g, f);
  return f(plan_of<T, static_cast<weights_family>(I)>(g));
}

/// A family's name, and its cycles for one of each: products, elements copied, lanes stored, bytes beyond the caches, steps; once. Products
/// take 1.2 to 1.7 times their ideal everywhere; what a family counts as steps differs.
struct family_row {
  const char* name;
  conv_counts cycles;
};
// clang-format off
inline constexpr family_row family_table[]{
    {"channels", {1.53, 0.384, 2.37, 0.0661, 1.2, 2.37e+03}},
    {"rows", {1.36, 1.9, 0.918, 0.0422, 1.44, 1.49e+03}},
    {"width", {1.82, 2.48, 0.979, 0.231, 0.367, 4e+03}},
    {"planes", {1.33, 0.797, 2.48, 0, 24.2, 0}},
    {"in_place", {1.49, 0, 0.182, 0.0389, 49.9, 0}},
    {"flat", {1.35, 0, 0, 0.0833, 3.62, 28.7}},
    {"pointwise", {1.39, 0.394, 0.59, 0.00795, 0, 4e+03}},
    {"minimal", {1.55, 0.894, 10.6, 0.602, 0.0305, 1.28e+04}},
};
inline constexpr family_row weights_family_table[]{
    {"outputs", {1.33, 1.38, 0, 0.281, 1.7, 4e+03}},
    {"inputs", {1.77, 0.481, 0, 0.3, 1.1, 0}},
    {"row_outputs", {1.38, 1.59, 0, 0.0321, 0.0228, 740}},
    {"row_inputs", {1.39, 1.62, 0.459, 0.3, 1.65, 0}},
    {"pixels", {2.5, 1.8, 0.261, 0.0436, 4.73, 621}},
    {"planes", {1.72, 1.49, 2.78, 0.0015, 14.7, 0}},
    {"in_place", {0.999, 0, 8.23, 0.0782, 18.1, 57}},
    {"flat_outputs", {1.39, 0, 1.76, 0.257, 0, 0}},
    {"flat_inputs", {1.44, 0, 3.98, 0.221, 7.29, 0}},
    {"pointwise", {1.35, 0.627, 0.285, 0.0646, 0.289, 4e+03}},
    {"minimal", {2.19, 0.24, 10, 0.156, 2.36, 0}},
};
// clang-format on
static_assert(sizeof family_table / sizeof *family_table == conv_families);
static_assert(sizeof weights_family_table / sizeof *weights_family_table == weights_families);

constexpr const family_row& row_of(conv_family f) { return family_table[static_cast<int>(f)]; }
constexpr const family_row& row_of(weights_family f) { return weights_family_table[static_cast<int>(f)]; }
template <class Family>
constexpr const char* family_name(Family f) {
  return row_of(f).name;
}

/// Families that take and give blocks of channels, which saves copies between two convolutions, may be a little slower alone.
inline constexpr double linked = 0.95;

/// What writes blocks in the place of `pointwise`, whose channels lie in memory as they do in NCDHW.
inline constexpr conv_family linked_family = conv_family::channels;

/// Cycles that a possible family is expected to take.
template <class T>
constexpr double cost(conv_family f, const conv_shape& s) {
  const double alone = with_plan<T>(f, s, {}, [&](const auto& p) { return cycles<T>(p, s, row_of(f).cycles); });
  return f == conv_family::channels || f == conv_family::rows ? linked * alone : alone;
}
template <class T>
constexpr double cost(weights_family f, const ops::conv_geometry& g) {
  using enum weights_family;
  const conv_shape s(g, side_of(f));
  const double alone = with_weights_plan<T>(f, g, [&](const auto& p) { return cycles<T>(p, s, row_of(f).cycles); });
  return f == outputs || f == inputs || f == row_outputs || f == row_inputs ? linked * alone : alone;
}

/// The family of the least cost among the possible ones of `families`; the first one always is.
template <class T, class Family, class Problem>
constexpr Family cheapest(int families, const Problem& q) {
  Family best{};
  double least = cost<T>(best, q);
  for (int i = 1; i < families; ++i) {
    const auto f = static_cast<Family>(i);
    if (!possible<T>(f, q)) continue;
    if (const double c = cost<T>(f, q); c < least) best = f, least = c;
  }
  return best;
}
/// The one that a canonical geometry gets.
template <class T>
constexpr conv_family choose_family(const conv_shape& s) {
  return cheapest<T, conv_family>(conv_families, s);
}
template <class T>
constexpr weights_family choose_weights(const ops::conv_geometry& g) {
  return cheapest<T, weights_family>(weights_families, g);
}

/// The schedule of a family with plan p, of a canonical geometry.
template <class T, class Family, class Plan>
constexpr conv_schedule schedule_with(Family family, const conv_shape& s, const Plan& p) {
  conv_schedule c = conv_account<T>{s}(p).way;
  c.family = family_name(family);
  if constexpr (requires { p.share; }) c.share = p.share;
  if constexpr (requires { p.slabs.count; }) c.slabs = p.slabs.count;
  if constexpr (requires { p.depth.count; }) c.slabs = p.depth.count;
  if constexpr (requires { p.tile_kind; })
    for (int a = 0; a < 3; ++a) c.tile[a] = p.tile_kind.axis[a].outputs;
  return c;
}
template <class T>
constexpr conv_schedule schedule_of(conv_family family, const conv_shape& s) {
  return with_plan<T>(family, s, {}, [&](const auto& p) { return schedule_with<T>(family, s, p); });
}
template <class T>
constexpr conv_schedule schedule_of(weights_family family, const ops::conv_geometry& g) {
  return with_weights_plan<T>(family, g, [&](const auto& p) { return schedule_with<T>(family, {g, side_of(family)}, p); });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
