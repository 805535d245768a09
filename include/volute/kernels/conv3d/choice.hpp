// Which family computes a convolution: of those that can, the one whose cost is the least, settled while compiling.
#pragma once

#include <volute/kernels/conv3d/cost.hpp>

#include <type_traits>

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
constexpr bool flat_compiles(const conv_shape& s) {
  constexpr int64_t most_planes = 128, most_masks = 32 << 10;
  const int64_t masks = larger(s.source_plane(), s.target_plane()) * s.plane_taps();
  return flat_possible<T>(s.geometry) && s.taps() > 1 && larger(s.source_size[0], s.target_size[0]) <= most_planes && masks <= most_masks;
}

/// Wide rows pay in the filter's adjoint while the copies stay in the caches: 16 -> 8 channels take 20 ms by rows at 64^3 if each tensor is
/// copied whole, 11 by channels, and 10 by slabs of rows.
template <class T>
constexpr bool row_weights_possible(const conv_shape& s) {
  if (!rows_possible<T>(s) || s.geometry.out[2] <= 32) return rows_possible<T>(s);
  const row_weights_plan p = plan_row_weights<T>(s);
  return p.samples * (p.source_sample + p.target_sample) * bytes_of<T> <= machine.cached;
}
/// True where minimal filtering was asked for, and there are tiles for it.
template <class T>
constexpr bool tiles_possible(const conv_shape& s) {
  return minimal_possible<T>(s.geometry);
}

/// All of a family but its kernel. `possible` and `plan` take a shape; of correlations `plan` may ask for the layout of the source.
template <class Possible, class Plan>
struct family_row {
  const char* name;
  /// For one of each: products, elements copied, lanes stored, bytes beyond the caches, steps; once. Products take 1.2 to 1.7 times their
  /// ideal everywhere; what a family counts as steps differs.
  conv_counts cycles;
  Possible possible;  // fast or not
  Plan plan;
  bool linked = false;                 // takes and gives blocks of channels
  conv_side side = conv_side::forward;  // of the adjoint in the filter: which tensor's channels the blocks have, backward if those of x
};
constexpr bool always_possible(const conv_shape&) { return true; }

/// Rows as a value that calls f(rows...).
template <class... Row>
constexpr auto family_table(Row... rows) {
  return [rows...](auto function) { return function(rows...); };
}
// clang-format off
template <class T>
inline constexpr auto correlation_families = family_table(
    family_row{"channels", {1.53, 0.384, 2.37, 0.0661, 1.2, 2.37e+03}, always_possible, plan_channels<T>, true},
    family_row{"rows", {1.36, 1.9, 0.918, 0.0422, 1.44, 1.49e+03}, rows_possible<T>, plan_rows<T>, true},
    family_row{"width", {1.82, 2.48, 0.979, 0.231, 0.367, 4e+03}, always_possible, plan_width<T>},
    family_row{"planes", {1.33, 0.797, 2.48, 0, 24.2, 0}, planes_possible, plan_planes<T>},
    family_row{"in_place", {1.49, 0, 0.182, 0.0389, 49.9, 0}, prefers_in_place<T>, plan_in_place<T>},
    family_row{"flat", {1.35, 0, 0, 0.0833, 3.62, 28.7}, flat_compiles<T>, plan_flat<T>},
    family_row{"pointwise", {1.39, 0.394, 0.59, 0.00795, 0, 4e+03}, prefers_pointwise<T>, plan_pointwise<T>},
    family_row{"minimal", {1.55, 0.894, 10.6, 0.602, 0.0305, 1.28e+04}, tiles_possible<T>, plan_minimal<T>});
template <class T>
inline constexpr auto filter_adjoint_families = family_table(
    family_row{"outputs", {1.33, 1.38, 0, 0.281, 1.7, 4e+03}, always_possible, plan_weights<T>, true},
    family_row{"inputs", {1.77, 0.481, 0, 0.3, 1.1, 0}, always_possible, plan_weights<T>, true, conv_side::backward},
    family_row{"row_outputs", {1.38, 1.59, 0, 0.0321, 0.0228, 740}, row_weights_possible<T>, plan_row_weights<T>, true},
    family_row{"row_inputs", {1.39, 1.62, 0.459, 0.3, 1.65, 0}, row_weights_possible<T>, plan_row_weights<T>, true, conv_side::backward},
    family_row{"pixels", {2.5, 1.8, 0.261, 0.0436, 4.73, 621}, always_possible, plan_pixel_weights<T>},
    family_row{"planes", {1.72, 1.49, 2.78, 0.0015, 14.7, 0}, planes_possible, plan_planes_weights<T>},
    family_row{"in_place", {0.999, 0, 8.23, 0.0782, 18.1, 57}, prefers_in_place_weights<T>, plan_in_place_weights<T>},
    family_row{"flat_outputs", {1.39, 0, 1.76, 0.257, 0, 0}, flat_compiles<T>, plan_flat_weights<T>},
    family_row{"flat_inputs", {1.44, 0, 3.98, 0.221, 7.29, 0}, flat_compiles<T>, plan_flat_weights<T>, false, conv_side::backward},
    family_row{"pointwise", {1.35, 0.627, 0.285, 0.0646, 0.289, 4e+03}, products_possible<T>, plan_pointwise_weights<T>},
    family_row{"minimal", {2.19, 0.24, 10, 0.156, 2.36, 0}, tiles_possible<T>, plan_minimal_weights<T>});
// clang-format on

/// f(rows of all families...), in the order of their enumeration.
template <class T, class F>
constexpr auto with_families(conv_family, F f) {
  return correlation_families<T>(f);
}
template <class T, class F>
constexpr auto with_families(weights_family, F f) {
  return filter_adjoint_families<T>(f);
}

template <class Family>
inline constexpr int family_count = std::is_same_v<Family, conv_family> ? conv_families : weights_families;

/// f(row) with the row of a family that is no constant.
template <class T, class Family, class F>
constexpr auto with_family(Family family, F f) {
  return with_families<T>(family, [&](const auto&... rows) {
    static_assert(sizeof...(rows) == family_count<Family>);
    decltype((f(rows), ...)) of_family{};  // (g++ looks for names outside when it makes this: a user's `result` would be a shadow)
    int row_of_family = int(family);
    (void)((row_of_family-- == 0 && (of_family = f(rows), true)) || ...);
    return of_family;
  });
}
template <class Family>
constexpr const char* family_name(Family f) {
  return with_family<float>(f, [](const auto& row) { return row.name; });
}

/// What a family is asked about: a shape, or of the adjoint in the filter a geometry, whose side is the family's; both canonical.
template <class Family>
using problem_of = std::conditional_t<std::is_same_v<Family, conv_family>, conv_shape, ops::conv_geometry>;

/// The plan of a row for a shape. `from`: the layout in which it reads its source, if it can read several.
template <class Row>
constexpr auto plan_by(const Row& row, const conv_shape& s, const ops::volume_layout& from) {
  if constexpr (requires { row.plan(s, from); })
    return row.plan(s, from);
  else
    return row.plan(s);
}

/// f(row, shape, plan): what a choice and a report are made of.
template <class T, class Family, class F>
constexpr auto judge(Family family, const problem_of<Family>& q, F f, const ops::volume_layout& from = {}) {
  return with_family<T>(family, [&](const auto& row) {
    const conv_shape& s = shape_of(q, row.side);
    return f(row, s, plan_by(row, s, from));
  });
}

/// True where a family can compute a convolution, fast or not.
template <class T, class Family>
constexpr bool possible(Family family, const problem_of<Family>& q) {
  return with_family<T>(family, [&](const auto& row) { return row.possible(shape_of(q, row.side)); });
}

/// f(plan) with the plan of a family that is no constant.
template <class T, class Family, class F>
constexpr auto with_plan(Family family, const problem_of<Family>& q, F f, const ops::volume_layout& from = {}) {
  return judge<T>(
      family, q, [&](const auto&, const conv_shape&, const auto& plan) { return f(plan); }, from);
}
/// The plan of one that is.
template <int I, class Row, class... Rows>
constexpr const auto& nth(const Row& row, const Rows&... rows) {
  if constexpr (I == 0)
    return row;
  else
    return nth<I - 1>(rows...);
}
template <class T, auto Family>
constexpr auto plan_of(const problem_of<decltype(Family)>& q, const ops::volume_layout& from = {}) {
  return with_families<T>(Family, [&](const auto&... rows) {
    const auto& row = nth<int(Family)>(rows...);
    return plan_by(row, shape_of(q, row.side), from);
  });
}

/// Families that take and give blocks of channels, which saves copies between two convolutions, may be a little slower alone.
inline constexpr double linked = 0.95;

/// What writes blocks in the place of `pointwise`, whose channels lie in memory as they do in NCDHW.
inline constexpr conv_family linked_family = conv_family::channels;

/// Cycles that a possible family is expected to take.
template <class T, class Family>
constexpr double cost(Family family, const problem_of<Family>& q) {
  return judge<T>(family, q, [](const auto& row, const conv_shape& s, const auto& p) {
    return cycles<T>(p, s, row.cycles) * (row.linked ? linked : 1);
  });
}

/// The family of the least cost among the possible ones; the first one always is.
template <class T, class Family>
constexpr Family cheapest(const problem_of<Family>& q) {
  Family best{};
  double least = cost<T>(best, q);
  for (int i = 1; i < family_count<Family>; ++i) {
    const auto f = static_cast<Family>(i);
    if (!possible<T>(f, q)) continue;
    if (const double c = cost<T>(f, q); c < least) best = f, least = c;
  }
  return best;
}
/// The schedule of a family, of a canonical geometry.
template <class T, class Family>
constexpr conv_schedule schedule_of(Family family, const problem_of<Family>& q) {
  return judge<T>(family, q, [](const auto& row, const conv_shape& s, const auto& p) {
    conv_schedule c = conv_account<T>{s}.of(p).way;
    c.family = row.name;
    if constexpr (requires { p.share; }) c.share = p.share;
    if constexpr (requires { p.slabs.count; }) c.slabs = p.slabs.count;
    if constexpr (requires { p.depth.count; }) c.slabs = p.depth.count;
    if constexpr (requires { p.tile_kind; })
      for (int a : volume_axes) c.tile[a] = p.tile_kind.axis[a].outputs;
    return c;
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
