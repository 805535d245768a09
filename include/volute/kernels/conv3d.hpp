// The three faces of 3D convolution for every geometry: forward, adjoint in the data (which is also transposed convolution) and adjoint
// in the filter. Direct, without im2col. Each geometry is one instantiation of the kernel that conv3d/choice.hpp finds for it.
#pragma once

#include <volute/kernels/conv3d/facts.hpp>
#include <volute/ops/convolution.hpp>
#include <volute/ops/elementwise.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// The family that a geometry gets, and that of its adjoint in the filter.
template <class T>
constexpr conv_family family_of(const ops::conv_geometry& original, conv_side side) {
  return cheapest<T, conv_family>({canonical(original), side});
}
template <class T>
constexpr weights_family weights_family_of(const ops::conv_geometry& original) {
  return cheapest<T, weights_family>(canonical(original));
}

/// The same, worked out once for all kernels of a geometry.
template <class T, ops::conv_geometry Original, conv_side Side>
inline constexpr conv_family family_for = family_of<T>(Original, Side);

/// Elements of the packed filters.
template <class T>
constexpr int64_t conv3d_packed_size(const ops::conv_geometry& g, conv_side side) {
  return conv3d_facts<T>(g, side).packed;
}
template <class T>
constexpr int64_t conv3d_forward_packed_size(const ops::conv_geometry& g) {
  return conv3d_packed_size<T>(g, conv_side::forward);
}
template <class T>
constexpr int64_t conv3d_backward_data_packed_size(const ops::conv_geometry& g) {
  return conv3d_packed_size<T>(g, conv_side::backward);
}

/// Elements of workspace: of a run, and of each worker of its team beside that, but for the first.
struct scratch_sizes {
  int64_t first = 0, worker = 0;
};
template <class T>
constexpr scratch_sizes scratch_of(conv_family family, const conv_shape& s, const ops::volume_layout& source = {}) {
  return with_plan<T>(family, s, [](const auto& plan) { return scratch_sizes{plan.scratch(), plan.worker_scratch()}; }, source);
}
template <class T>
constexpr int64_t conv3d_scratch_size(const ops::conv_geometry& original, conv_side side, const ops::volume_layout& source = {}) {
  return scratch_of<T>(family_of<T>(original, side), {canonical(original), side}, source).first;
}
template <class T>
constexpr int64_t conv3d_forward_scratch_size(const ops::conv_geometry& g) {
  return conv3d_scratch_size<T>(g, conv_side::forward);
}
template <class T>
constexpr int64_t conv3d_backward_data_scratch_size(const ops::conv_geometry& g) {
  return conv3d_scratch_size<T>(g, conv_side::backward);
}
template <class T>
constexpr int64_t conv3d_backward_weights_scratch_size(const ops::conv_geometry& original) {
  return conv3d_weights_facts<T>(original).scratch;
}

template <class T>
constexpr int64_t conv3d_worker_size(const ops::conv_geometry& original, conv_side side, conv_family family,
                                     const ops::volume_layout& source = {}) {
  return scratch_of<T>(family, {canonical(original), side}, source).worker;
}
template <class T>
constexpr int64_t conv3d_worker_size(const ops::conv_geometry& original, conv_side side, const ops::volume_layout& source = {}) {
  return conv3d_worker_size<T>(original, side, family_of<T>(original, side), source);
}
template <class T>
constexpr int64_t conv3d_backward_weights_worker_size(const ops::conv_geometry& original) {
  return with_plan<T>(weights_family_of<T>(original), canonical(original), [](const auto& plan) { return plan.worker_scratch(); });
}

/// Filters into the order in which a family reads them.
template <class T, ops::conv_geometry Original, conv_side Side, conv_family Family = family_for<T, Original, Side>>
struct conv3d_pack {
  static void run(const T* w, T* packed, [[maybe_unused]] const team<T>& workers = {}) noexcept {
    constexpr const conv_shape& s = conv_shape_of<canonical(Original), Side>;
    static constexpr auto p = plan_of<T, Family>(s);
    if constexpr (Family == conv_family::minimal)
      pack_minimal<T, p.lanes, p.tile_kind, (p.size(s) * static_cast<std::int64_t>(sizeof(T)) > pack_streams)>(s, p, w, packed, workers);
    else
      pack_filters<T>(s, order_of(p), w, packed, workers);
  }
};

/// A call and its plan, which kernels take by reference: names of functions have them once.
template <class T, conv_call Call, conv_family Family>
struct planned_call {
  static constexpr conv_call call = Call;
  static constexpr auto plan = plan_of<T, Family>(conv_shape_of<Call.geometry, Call.side>, Call.layouts.source);
};
/// The same of the adjoint in the filter. Layouts: of x and g, of which the side says which is the source.
template <class T, ops::conv_geometry G, ops::conv_layouts Layouts, weights_family Family>
struct planned_weights {
  static constexpr conv_side side = with_family<T>(Family, [](const auto& row) { return row.side; });
  static constexpr bool forward = side == conv_side::forward;
  static constexpr ops::conv_layouts turned{Layouts.target, Layouts.source};
  static constexpr conv_call call{.geometry = G, .side = side, .layouts = forward ? Layouts : turned};
  static constexpr auto plan = plan_of<T, Family>(G);
};

/// The forward face and the adjoint in the data. Another family than the chosen one is for measurements.
template <class T, ops::conv_geometry Original, conv_side Side, ops::epilogue E, bool Scale, ops::conv_layouts Layouts,
          conv_family Family = family_for<T, Original, Side>>
struct conv3d_correlate {
  static_assert(!Layouts.source.blocked() || (!Scale && conv3d_facts<T>(Original, Side, Family).reads_source(Layouts.source)),
                "this convolution cannot read this layout, or not scale it");
  static_assert(!Layouts.target.blocked() ||
                    (Family != conv_family::pointwise && conv3d_facts<T>(Original, Side, Family).writes(Layouts.target)),
                "this convolution cannot write this layout");
  static void run(const T* x, const T* packed, T* y, const T* const* extra, const T* scale, T* scratch,
                  const team<T>& workers = {}) noexcept {
    using planned = planned_call<T, conv_call{canonical(Original), Side, E, Scale, Layouts}, Family>;
    run_family<T, planned::call, planned::plan>({x, packed, {y, extra}, scale, scratch, workers});
  }
};

/// Filters into the order in which the forward face reads them.
template <class T, ops::conv_geometry G, conv_family Family = family_for<T, G, conv_side::forward>>
struct conv3d_pack_forward : conv3d_pack<T, G, conv_side::forward, Family> {};

/// The same for the adjoint in the data.
template <class T, ops::conv_geometry G, conv_family Family = family_for<T, G, conv_side::backward>>
struct conv3d_pack_backward_data : conv3d_pack<T, G, conv_side::backward, Family> {};

/// y = E(conv(x * scale, w)); extra[i] is operand i + 1 of the epilogue, scale (batch, in_channels) is read if InputScale. A `whole`
/// operand may be y itself; nothing else may overlap y.
template <class T, ops::conv_geometry G, ops::epilogue E = {}, bool InputScale = false, ops::conv_layouts Layouts = {},
          conv_family Family = family_for<T, G, conv_side::forward>>
struct conv3d_forward : conv3d_correlate<T, G, conv_side::forward, E, InputScale, Layouts, Family> {};

/// dx from g: the adjoint of conv(., w), and the transposed convolution. Elements of x that no output read get E(0). Operands vary over dx,
/// scale (batch, out_channels) multiplies g.
template <class T, ops::conv_geometry G, ops::epilogue E = {}, bool InputScale = false, ops::conv_layouts Layouts = {},
          conv_family Family = family_for<T, G, conv_side::backward>>
struct conv3d_backward_data : conv3d_correlate<T, G, conv_side::backward, E, InputScale, Layouts, Family> {};

/// dw[o,i,k] from x and g. Layouts.source is that of x, Layouts.target that of g.
template <class T, ops::conv_geometry Original, ops::conv_layouts Layouts = {}, weights_family Family = weights_family_of<T>(Original)>
struct conv3d_backward_weights {
  static_assert(!Layouts.source.blocked() || conv3d_weights_facts<T>(Original, Family).reads_source(Layouts.source),
                "x cannot be read in this layout");
  static_assert(!Layouts.target.blocked() || conv3d_weights_facts<T>(Original, Family).reads_target(Layouts.target),
                "g cannot be read in this layout");
  static void run(const T* x, const T* g, T* dw, T* scratch, const team<T>& workers = {}) noexcept {
    using planned = planned_weights<T, canonical(Original), Layouts, Family>;
    run_weights<T, planned::call, planned::plan>({planned::forward ? x : g, planned::forward ? g : x, dw, scratch, workers});
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
