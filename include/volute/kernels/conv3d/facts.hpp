// What the planner asks of a convolution's kernels before any of them is instantiated: sizes, and the layouts that they take. Each choice
// of a family lays out several plans, so all is answered at once.
#pragma once

#include <volute/core/hash.hpp>
#include <volute/kernels/conv3d/choice.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>
#include <type_traits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Shape of x, or of y; NCDHW.
constexpr ops::volume_layout volume_of(const ops::conv_geometry& g, bool of_x) {
  ops::volume_layout l;
  l.batch = g.batch, l.channels = of_x ? g.in_channels : g.out_channels;
  const int64_t(&size)[3] = of_x ? g.in : g.out;
  l.planes = size[0], l.rows = l.all_rows = size[1], l.columns = l.all_columns = size[2];
  return l;
}

/// Adds to `f` the blocked layout of planes as the kernel of canonical shape s copies them. None where groups, or channels that are no
/// multiple of blocks, would leave gaps, where the kernel reads only a part of the source or has merged axes that it pads, and below eight
/// channels, which would leave the lanes empty that store them.
template <class Plan>
constexpr void wish_for_blocks(ops::conv_facts& f, const conv_shape& s, const Plan& p) {
  ops::volume_layout& l = f.source;
  const source_axis(&source)[3] = p.source;
  bool fits = s.groups == 1 && s.source_channels >= 8 && s.source_channels % p.chunk == 0;
  for (int a : volume_axes) fits = fits && source[a].start == 0 && source[a].step == 1 && source[a].count == s.source_size[a];
  f.more_zeros = l.planes == s.source_size[0] && l.rows == s.source_size[1] && l.columns == s.source_size[2];
  const bool padded = source[1].extent > source[1].count || source[2].extent > source[2].count;
  if (!fits || (padded && !f.more_zeros)) return;
  l.block = p.chunk;
  if (!f.more_zeros) return;
  l.rows_before = source[1].pad, l.all_rows = source[1].extent;
  l.columns_before = source[2].pad, l.all_columns = source[2].extent;
}

/// What all families' orders of packed filters depend on: channels, groups, the taps of each residue class.
constexpr hash order_of_taps(const conv_shape& s, conv_family family) {
  hash h;
  h.put(int(family == conv_family::in_place ? conv_family::planes : family));  // these two pack alike
  for (int64_t v : {s.groups, s.source_channels, s.target_channels, s.weight_target, s.weight_source}) h.put(v);
  for (int a : volume_axes) {
    h.put(s.kernel[a]), h.put(s.class_counts[a]);
    s.for_each_class(a, [&](const correlation_axis& c) { h.put(c.taps), h.put(c.k), h.put(c.k_step); });
  }
  return h;
}

/// Adds the blocked layouts that a plan's kernel takes and gives, if any.
template <class Plan>
constexpr void add_blocks(ops::conv_facts& f, const conv_shape& s, const Plan& p) {
  constexpr bool of_rows = std::is_same_v<Plan, rows_plan>;
  if constexpr (of_rows || std::is_same_v<Plan, channels_plan> || std::is_same_v<Plan, minimal_plan>) wish_for_blocks(f, s, p);
  if (s.groups > 1) return;
  if constexpr (of_rows)
    f.lanes = p.code.fold == 1 ? p.code.lanes : 0;
  else if constexpr (requires { p.source_first; })
    f.lanes = p.lanes;
}

/// Of the forward face, or the adjoint in the data.
template <class T>
constexpr ops::conv_facts conv3d_facts(const ops::conv_geometry& original, conv_side side, conv_family family) {
  const conv_shape s(canonical(original), side);
  ops::conv_facts f;
  f.source = volume_of(original, side == conv_side::forward), f.target = volume_of(original, side == conv_side::backward);
  hash order = order_of_taps(s, family);
  with_plan<T>(family, s, [&](const auto& p) {
    f.packed = order_of(p).size(s), f.scratch = p.scratch();
    order_of(p).put(order);
    add_blocks(f, s, p);
    return true;
  });
  f.order = order.value;
  // A transposed convolution in front of another one (64 -> 32 channels, 32^3 to 64^3: 11.1 ms in blocks, 9.5 NCDHW, and what reads it
  // copies 33 MB less).
  if (family == conv_family::pointwise && side == conv_side::backward && s.taps() > 1 && s.target_channels >= simd::width<T>) {
    const ops::conv_facts other = conv3d_facts<T>(original, side, linked_family);
    f.lanes = other.lanes, f.linked = other.lanes > 0;
    f.linked_packed = other.packed, f.linked_scratch = other.scratch, f.linked_order = other.order;
  }
  return f;
}
template <class T>
constexpr ops::conv_facts conv3d_facts(const ops::conv_geometry& original, conv_side side) {
  return conv3d_facts<T>(original, side, cheapest<T, conv_family>({canonical(original), side}));
}

/// Of the adjoint in the filter: source is x, target g.
template <class T>
constexpr ops::conv_facts conv3d_weights_facts(const ops::conv_geometry& original, weights_family family) {
  const ops::conv_geometry g = canonical(original);
  ops::conv_facts f;
  f.source = volume_of(original, true), f.target = volume_of(original, false);
  judge<T>(family, g, [&](const auto& row, const conv_shape&, const auto& plan) {
    bool lanes = false, window = false;  // the two tensors can be blocked
    using plan_type = std::remove_cvref_t<decltype(plan)>;
    if constexpr (std::is_same_v<plan_type, row_weights_plan>) {
      window = true;
      lanes = plan.code.fold == 1;
    } else if constexpr (std::is_same_v<plan_type, weights_plan>) {
      lanes = window = true;
      for (const source_axis& a : plan.source) window = window && a.start == 0 && a.step == 1;  // not every other pixel
    }
    if constexpr (std::is_same_v<plan_type, minimal_weights_plan>) lanes = window = true;
    const bool inputs = row.side == conv_side::backward;  // x lies in the lanes
    f.any_source = g.groups == 1 && (inputs ? lanes : window);
    f.any_target = g.groups == 1 && (inputs ? window : lanes);
    f.scratch = plan.scratch();
    return true;
  });
  return f;
}
template <class T>
constexpr ops::conv_facts conv3d_weights_facts(const ops::conv_geometry& original) {
  return conv3d_weights_facts<T>(original, cheapest<T, weights_family>(canonical(original)));
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
