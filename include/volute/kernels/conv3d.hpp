// The three faces of 3D convolution for every geometry: forward, adjoint in the data (which is also transposed convolution) and adjoint
// in the filter. Direct, without im2col. Each geometry is one instantiation of the kernel that conv3d_choice.hpp finds for it.
#pragma once

#include <volute/kernels/conv3d_choice.hpp>
#include <volute/ops/convolution.hpp>
#include <volute/ops/elementwise.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

template <class T>
constexpr int64_t conv3d_packed_size(const ops::conv_geometry& original, conv_side side) {
  const ops::conv_geometry g = canonical(original);
  switch (choose_family<T>(g, side)) {
    case conv_family::pointwise:
      return g.groups * plan_pointwise<T>(g, side).packed();
    case conv_family::planes:
    case conv_family::in_place:
      return planes_packed_size<T>(g, side);
    case conv_family::rows:
      return rows_packed_size<T>(g, side);
    case conv_family::channels:
      return channels_packed_size<T>(g, side);
    default:
      return width_packed_size<T>(g, side);
  }
}
template <class T>
constexpr int64_t conv3d_scratch_size(const ops::conv_geometry& original, conv_side side, const ops::volume_layout& source = {}) {
  return with_plan<T>(canonical(original), side, source, [](const auto& plan) { return plan.scratch(); });
}

/// Whether the source has the same axes in the canonical geometry.
constexpr bool keeps_axes(const ops::conv_geometry& g, conv_side side) {
  const conv_shape a = shape_of(g, side), b = shape_of(canonical(g), side);
  return a.source_size[0] == b.source_size[0] && a.source_size[1] == b.source_size[1] && a.source_size[2] == b.source_size[2];
}

/// The blocked layout in which a convolution would like to find its source; NCDHW if it knows none.
template <class T>
constexpr ops::volume_layout conv3d_source_layout(const ops::conv_geometry& original, conv_side side) {
  const ops::conv_geometry g = canonical(original);
  const conv_shape s = shape_of(g, side), whole = shape_of(original, side);
  switch (choose_family<T>(g, side)) {
    case conv_family::channels: {
      const channels_plan p = plan_channels<T>(g, side);
      return blocked_source(s, whole, p.source, p.chunk);
    }
    case conv_family::rows: {
      source_axis source[3];
      for (int a = 0; a < 3; ++a) source[a].count = source[a].extent = s.source_size[a];
      return blocked_source(s, whole, source, plan_rows<T>(g, side).code.chunk);
    }
    default:
      return {};
  }
}

/// Whether a convolution can read its source in blocked layout l, which may have more zeros than it needs.
template <class T>
constexpr bool conv3d_reads(const ops::conv_geometry& g, conv_side side, const ops::volume_layout& l) {
  const ops::volume_layout wanted = conv3d_source_layout<T>(g, side);
  return l.blocked() && join(wanted, l) == l && (!l.padded() || keeps_axes(g, side));
}

/// Whether a convolution can write its result in blocked layout l.
template <class T>
constexpr bool conv3d_writes(const ops::conv_geometry& original, conv_side side, const ops::volume_layout& l) {
  const ops::conv_geometry g = canonical(original);
  const conv_shape s = shape_of(g, side);
  const conv_family family = choose_family<T>(g, side);
  if (family == conv_family::channels) return stores_blocked(s, plan_channels<T>(g, side).lanes, l);
  return family == conv_family::rows && lanes_fold<T>(s) == 1 && stores_blocked(s, simd::width<T>, l);
}

/// Elements of the packed filters.
template <class T>
constexpr int64_t conv3d_forward_packed_size(const ops::conv_geometry& g) {
  return conv3d_packed_size<T>(g, conv_side::forward);
}
template <class T>
constexpr int64_t conv3d_backward_data_packed_size(const ops::conv_geometry& g) {
  return conv3d_packed_size<T>(g, conv_side::backward);
}

/// Elements of workspace.
template <class T>
constexpr int64_t conv3d_forward_scratch_size(const ops::conv_geometry& g, const ops::volume_layout& source = {}) {
  return conv3d_scratch_size<T>(g, conv_side::forward, source);
}
template <class T>
constexpr int64_t conv3d_backward_data_scratch_size(const ops::conv_geometry& g, const ops::volume_layout& source = {}) {
  return conv3d_scratch_size<T>(g, conv_side::backward, source);
}
template <class T>
constexpr int64_t conv3d_backward_weights_scratch_size(const ops::conv_geometry& original) {
  return with_weights_plan<T>(canonical(original), [](const auto& plan) { return plan.scratch(); });
}

/// Elements of workspace that each worker of a team needs beside that, but for the first.
template <class T>
constexpr int64_t conv3d_worker_size(const ops::conv_geometry& original, conv_side side, const ops::volume_layout& source = {}) {
  return with_plan<T>(canonical(original), side, source, [](const auto& plan) { return plan.worker_scratch(); });
}
template <class T>
constexpr int64_t conv3d_backward_weights_worker_size(const ops::conv_geometry& original) {
  return with_weights_plan<T>(canonical(original), [](const auto& plan) { return plan.worker_scratch(); });
}

template <class T, ops::conv_geometry Original, conv_side Side>
struct conv3d_pack {
  static void run(const T* w, T* packed, [[maybe_unused]] const team<T>& workers = {}) noexcept {
    constexpr ops::conv_geometry g = canonical(Original);
    constexpr conv_family family = choose_family<T>(g, Side);
    if constexpr (family == conv_family::pointwise) {
      static constexpr pointwise_plan p = plan_pointwise<T>(g, Side);
      pack_pointwise<T>(p, g.groups, Side == conv_side::forward, w, packed);
    } else if constexpr (family == conv_family::planes || family == conv_family::in_place) {
      pack_planes<T>(conv_shape_of<g, Side>, w, packed);
    } else if constexpr (family == conv_family::rows) {
      static constexpr rows_plan p = plan_rows<T>(g, Side);
      pack_rows<T>(conv_shape_of<g, Side>, p, w, packed, workers);
    } else if constexpr (family == conv_family::channels) {
      static constexpr channels_plan p = plan_channels<T>(g, Side);
      pack_channels<T>(conv_shape_of<g, Side>, p, w, packed, workers);
    } else {
      static constexpr width_plan p = plan_width<T>(g, Side);
      pack_width<T>(conv_shape_of<g, Side>, p, w, packed);
    }
  }
};

template <class T, ops::conv_geometry Original, conv_side Side, ops::epilogue E, bool Scale, ops::conv_layouts Layouts>
struct conv3d_correlate {
  static_assert(!Layouts.source.blocked() || (!Scale && conv3d_reads<T>(Original, Side, Layouts.source)),
                "this convolution cannot read this layout, or not scale it");
  static_assert(!Layouts.target.blocked() || conv3d_writes<T>(Original, Side, Layouts.target), "this convolution cannot write this layout");
  static void run(const T* x, const T* packed, T* y, const T* const* extra, const T* scale, T* scratch,
                  const team<T>& workers = {}) noexcept {
    constexpr ops::conv_geometry g = canonical(Original);
    constexpr conv_family family = choose_family<T>(g, Side);
    if constexpr (family == conv_family::pointwise)
      run_pointwise<T, g, Side, E, Scale>(x, packed, y, extra, scale, scratch, workers);
    else if constexpr (family == conv_family::planes)
      run_planes<T, g, Side, E, Scale>(x, packed, y, extra, scale, scratch, workers);
    else if constexpr (family == conv_family::in_place)
      run_in_place<T, g, Side, E, Scale>(x, packed, y, extra, scale, scratch, workers);
    else if constexpr (family == conv_family::rows)
      run_rows<T, g, Side, E, Scale, Layouts>(conv_shape_of<g, Side>, x, packed, y, extra, scale, scratch, workers);
    else if constexpr (family == conv_family::channels)
      run_channels<T, g, Side, E, Scale, Layouts>(conv_shape_of<g, Side>, x, packed, y, extra, scale, scratch, workers);
    else
      run_width<T, g, Side, E, Scale>(x, packed, y, extra, scale, scratch, workers);
  }
};

/// Filters into the order in which the forward face reads them.
template <class T, ops::conv_geometry G>
struct conv3d_pack_forward : conv3d_pack<T, G, conv_side::forward> {};

/// The same for the adjoint in the data.
template <class T, ops::conv_geometry G>
struct conv3d_pack_backward_data : conv3d_pack<T, G, conv_side::backward> {};

/// y = E(conv(x * scale, w)); extra[i] is operand i + 1 of the epilogue, scale (batch, in_channels) is read if InputScale. A `whole`
/// operand may be y itself; nothing else may overlap y.
template <class T, ops::conv_geometry G, ops::epilogue E = {}, bool InputScale = false, ops::conv_layouts Layouts = {}>
struct conv3d_forward : conv3d_correlate<T, G, conv_side::forward, E, InputScale, Layouts> {};

/// dx from g: the adjoint of conv(., w), and the transposed convolution. Elements of x that no output read get E(0). Operands vary over dx,
/// scale (batch, out_channels) multiplies g.
template <class T, ops::conv_geometry G, ops::epilogue E = {}, bool InputScale = false, ops::conv_layouts Layouts = {}>
struct conv3d_backward_data : conv3d_correlate<T, G, conv_side::backward, E, InputScale, Layouts> {};

/// Whether the adjoint in the filter can read x in layout l, or g.
template <class T>
constexpr bool conv3d_weights_reads(const ops::conv_geometry& original, bool of_x, const ops::volume_layout& l) {
  const ops::conv_geometry g = canonical(original);
  const weights_family family = choose_weights<T>(g);
  const bool inputs = family == weights_family::inputs || family == weights_family::row_inputs;  // x lies in the lanes
  const conv_side side = inputs ? conv_side::backward : conv_side::forward;
  const conv_shape s = shape_of(g, conv_side::forward);
  if (!l.blocked() || s.groups != 1 || l.batch != s.batch || l.channels != (of_x ? s.source_channels : s.target_channels) ||
      l.planes * l.rows * l.columns != (of_x ? s.source_volume() : s.target_volume()))
    return false;
  if (family == weights_family::row_outputs || family == weights_family::row_inputs)
    return inputs != of_x || plan_row_weights<T>(g, side).code.fold == 1;
  if (family != weights_family::outputs && family != weights_family::inputs) return false;
  bool whole = true;  // not every other pixel
  const weights_plan p = plan_weights<T>(g, side);
  for (const source_axis& a : p.source) whole = whole && a.start == 0 && a.step == 1;
  return inputs == of_x || whole;
}

/// dw[o,i,k] from x and g. Layouts.source is that of x, Layouts.target that of g.
template <class T, ops::conv_geometry Original, ops::conv_layouts Layouts = {}>
struct conv3d_backward_weights {
  static_assert(!Layouts.source.blocked() || conv3d_weights_reads<T>(Original, true, Layouts.source), "x cannot be read in this layout");
  static_assert(!Layouts.target.blocked() || conv3d_weights_reads<T>(Original, false, Layouts.target), "g cannot be read in this layout");
  static void run(const T* x, const T* g, T* dw, T* scratch, const team<T>& workers = {}) noexcept {
    constexpr ops::conv_geometry q = canonical(Original);
    constexpr weights_family family = choose_weights<T>(q);
    constexpr ops::conv_layouts turned{Layouts.target, Layouts.source};
    if constexpr (family == weights_family::outputs)
      run_weights_channels<T, q, conv_side::forward, Layouts>(conv_shape_of<q, conv_side::forward>, x, g, dw, scratch, workers);
    else if constexpr (family == weights_family::inputs)
      run_weights_channels<T, q, conv_side::backward, turned>(conv_shape_of<q, conv_side::backward>, g, x, dw, scratch, workers);
    else if constexpr (family == weights_family::row_outputs)
      run_row_weights<T, q, conv_side::forward, Layouts>(conv_shape_of<q, conv_side::forward>, x, g, dw, scratch, workers);
    else if constexpr (family == weights_family::row_inputs)
      run_row_weights<T, q, conv_side::backward, turned>(conv_shape_of<q, conv_side::backward>, g, x, dw, scratch, workers);
    else if constexpr (family == weights_family::planes)
      run_weights_planes<T, q>(x, g, dw, scratch, workers);
    else if constexpr (family == weights_family::in_place)
      run_in_place_weights<T, q>(x, g, dw, scratch, workers);
    else if constexpr (family == weights_family::pointwise)
      run_pointwise_weights<T, q>(x, g, dw, scratch, workers);
    else
      run_weights_pixels<T, q>(x, g, dw, scratch, workers);
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
