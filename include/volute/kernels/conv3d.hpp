// The three faces of 3D convolution for every geometry: forward, adjoint in the data (which is also transposed convolution) and adjoint
// in the filter. Direct, without im2col: each call copies its source once into scratch and then only multiplies and adds.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d_channels.hpp>
#include <volute/kernels/conv3d_pixel_weights.hpp>
#include <volute/kernels/conv3d_plan.hpp>
#include <volute/kernels/conv3d_planes.hpp>
#include <volute/kernels/conv3d_planes_weights.hpp>
#include <volute/kernels/conv3d_weights.hpp>
#include <volute/kernels/conv3d_width.hpp>
#include <volute/ops/convolution.hpp>
#include <volute/ops/elementwise.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// True where channels in the lanes are expected to beat pixels in the lanes. Rough counts of cycles for each output element: the
/// multiplications at the share of lanes and of accumulators that work, and what it costs to turn channels into lanes and back.
template <class T>
constexpr bool prefers_channels(const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  constexpr double full = simd::width<T>;
  const auto count = [](int64_t n) { return static_cast<double>(n); };
  const double work = count(s.source_channels * g.taps()) / (full * 2);
  const channels_plan a = plan_channels<T>(g, side);
  const double lanes_a = count(s.target_channels) / (full * count(ceil_divide(s.target_channels, simd::width<T>)));
  const double busy_a = count(smaller(10, int64_t{a.main.vectors} * a.main.rows * a.main.pixels)) / 10;
  const double turning =
      0.3 + 0.5 * count(s.source_channels) / count(s.target_channels) * (16 / count(a.chunk) < 2 ? 1 : 16 / count(a.chunk) / 2);
  const width_plan b = plan_width<T>(g, side);
  const int64_t width = correlation(g, side, 2, 0).n;
  const double lanes_b = count(b.slab * width) /
                         count(ceil_divide((b.slab - 1) * b.rows.pitch + width, simd::width<T> * b.vectors) * b.vectors) / full *
                         count(s.target_channels) / count(b.blocks * b.channels);
  const double busy_b = count(smaller(10, int64_t{b.channels} * b.vectors)) / 10 * (b.channels == 1 ? 0.5 : b.channels < 4 ? 0.7 : 0.8);
  return work / (lanes_a * busy_a) + turning < work / (lanes_b * busy_b) + 0.2;
}

/// True where pixels in the lanes go with several planes in flight: few channels on one side, and lanes and accumulators mostly busy if
/// channels would fill the lanes too.
template <class T>
constexpr bool prefers_planes(const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  if (!planes_possible(g, side) || (s.source_channels > 4 && s.target_channels > 4)) return false;
  if (!prefers_channels<T>(g, side)) return true;
  if (s.source_channels * g.taps() > 128) return false;  // so many products pay for turning channels into lanes
  const planes_plan p = plan_planes<T>(g, side);
  const double used = static_cast<double>(correlation(g, side, 1, 0).n * correlation(g, side, 2, 0).n);
  const double lanes = used / static_cast<double>(p.slabs * p.strips * p.vectors * simd::width<T>);
  return lanes * static_cast<double>(smaller(10, int64_t{p.taps} * p.vectors)) > 6;
}

template <class T>
constexpr int64_t conv3d_packed_size(const ops::conv_geometry& original, conv_side side) {
  const ops::conv_geometry g = canonical(original);
  if (prefers_planes<T>(g, side)) return planes_packed_size<T>(g, side);
  return prefers_channels<T>(g, side) ? channels_packed_size<T>(g, side) : width_packed_size<T>(g, side);
}
template <class T>
constexpr int64_t conv3d_scratch_size(const ops::conv_geometry& original, conv_side side) {
  const ops::conv_geometry g = canonical(original);
  if (prefers_planes<T>(g, side)) return plan_planes<T>(g, side).scratch();
  return prefers_channels<T>(g, side) ? plan_channels<T>(g, side).scratch() : plan_width<T>(g, side).scratch();
}

/// How the adjoint in the filter is computed: g's channels in the lanes, x's channels, pixels, or pixels with several planes in flight.
enum class weights_way { outputs, inputs, pixels, planes };

template <class T>
constexpr weights_way choose_weights(const ops::conv_geometry& g) {
  // Few channels on one side: with many on the other, channels in the lanes win once their copies are used often (128: 3 -> 64 with 27 taps
  // is faster by planes, with 147 by channels).
  const int64_t few = smaller(g.group_in(), g.group_out()), many = larger(g.group_in(), g.group_out());
  if (planes_possible(g, conv_side::forward) && few <= 4 && (many <= 8 || few * g.taps() <= 128)) {
    const planes_weights_plan p = plan_planes_weights<T>(g);
    if (g.out[1] * g.out[2] * 10 >= p.slabs * p.vectors * simd::width<T> * 7) return weights_way::planes;
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
    rate[i] *= count(s.source_channels * g.taps()) / (count(s.source_channels * g.taps()) + full);  // the copies
  }
  const pixel_weights_plan p = plan_pixel_weights<T>(g);
  const double pixels = count(g.out[1] * g.out[2]) / count(p.lanes) * count(g.group_out()) / count(p.blocks * p.channels) *
                        (p.channels == 1  ? 0.4
                         : p.channels < 4 ? 0.6
                                          : 0.75) *
                        count(p.lanes) / (count(p.lanes) + 4 * full);
  if (pixels > rate[0] && pixels > rate[1]) return weights_way::pixels;
  return rate[0] >= rate[1] ? weights_way::outputs : weights_way::inputs;
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
constexpr int64_t conv3d_forward_scratch_size(const ops::conv_geometry& g) {
  return conv3d_scratch_size<T>(g, conv_side::forward);
}
template <class T>
constexpr int64_t conv3d_backward_data_scratch_size(const ops::conv_geometry& g) {
  return conv3d_scratch_size<T>(g, conv_side::backward);
}
template <class T>
constexpr int64_t conv3d_backward_weights_scratch_size(const ops::conv_geometry& original) {
  const ops::conv_geometry g = canonical(original);
  switch (choose_weights<T>(g)) {
    case weights_way::outputs:
      return plan_weights<T>(g, conv_side::forward).scratch();
    case weights_way::inputs:
      return plan_weights<T>(g, conv_side::backward).scratch();
    case weights_way::planes:
      return plan_planes_weights<T>(g).scratch();
    default:
      return plan_pixel_weights<T>(g).scratch();
  }
}

/// Elements of workspace that each worker of a team needs beside that, but for the first.
template <class T>
constexpr int64_t conv3d_worker_size(const ops::conv_geometry& original, conv_side side) {
  const ops::conv_geometry g = canonical(original);
  if (prefers_planes<T>(g, side)) return plan_planes<T>(g, side).worker_scratch();
  return prefers_channels<T>(g, side) ? plan_channels<T>(g, side).worker_scratch() : plan_width<T>(g, side).worker_scratch();
}
template <class T>
constexpr int64_t conv3d_backward_weights_worker_size(const ops::conv_geometry& original) {
  const ops::conv_geometry g = canonical(original);
  switch (choose_weights<T>(g)) {
    case weights_way::outputs:
      return plan_weights<T>(g, conv_side::forward).worker_scratch();
    case weights_way::inputs:
      return plan_weights<T>(g, conv_side::backward).worker_scratch();
    case weights_way::planes:
      return plan_planes_weights<T>(g).worker_scratch();
    default:
      return plan_pixel_weights<T>(g).worker_scratch();
  }
}

template <class T, ops::conv_geometry Original, conv_side Side>
struct conv3d_pack {
  static void run(const T* w, T* packed, const team<T>& workers = {}) noexcept {
    constexpr ops::conv_geometry g = canonical(Original);
    if constexpr (prefers_planes<T>(g, Side)) {
      pack_planes<T>(conv_shape_of<g, Side>, w, packed);
    } else if constexpr (prefers_channels<T>(g, Side)) {
      static constexpr channels_plan p = plan_channels<T>(g, Side);
      pack_channels<T>(conv_shape_of<g, Side>, p, w, packed, workers);
    } else {
      static constexpr width_plan p = plan_width<T>(g, Side);
      pack_width<T>(conv_shape_of<g, Side>, p, w, packed);
    }
  }
};

template <class T, ops::conv_geometry Original, conv_side Side, ops::epilogue E, bool Scale>
struct conv3d_correlate {
  static void run(const T* x, const T* packed, T* y, const T* const* extra, const T* scale, T* scratch,
                  const team<T>& workers = {}) noexcept {
    constexpr ops::conv_geometry g = canonical(Original);
    if constexpr (prefers_planes<T>(g, Side))
      run_planes<T, g, Side, E, Scale>(x, packed, y, extra, scale, scratch, workers);
    else if constexpr (prefers_channels<T>(g, Side))
      run_channels<T, g, Side, E, Scale>(conv_shape_of<g, Side>, x, packed, y, extra, scale, scratch, workers);
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
template <class T, ops::conv_geometry G, ops::epilogue E = {}, bool InputScale = false>
struct conv3d_forward : conv3d_correlate<T, G, conv_side::forward, E, InputScale> {};

/// dx from g: the adjoint of conv(., w), and the transposed convolution. Elements of x that no output read get E(0). Operands vary over dx,
/// scale (batch, out_channels) multiplies g.
template <class T, ops::conv_geometry G, ops::epilogue E = {}, bool InputScale = false>
struct conv3d_backward_data : conv3d_correlate<T, G, conv_side::backward, E, InputScale> {};

/// dw[o,i,k] from x and g.
template <class T, ops::conv_geometry Original>
struct conv3d_backward_weights {
  static void run(const T* x, const T* g, T* dw, T* scratch, const team<T>& workers = {}) noexcept {
    constexpr ops::conv_geometry q = canonical(Original);
    constexpr weights_way way = choose_weights<T>(q);
    if constexpr (way == weights_way::outputs)
      run_weights_channels<T, q, conv_side::forward>(conv_shape_of<q, conv_side::forward>, x, g, dw, scratch, workers);
    else if constexpr (way == weights_way::inputs)
      run_weights_channels<T, q, conv_side::backward>(conv_shape_of<q, conv_side::backward>, g, x, dw, scratch, workers);
    else if constexpr (way == weights_way::planes)
      run_weights_planes<T, q>(x, g, dw, scratch, workers);
    else
      run_weights_pixels<T, q>(x, g, dw, scratch, workers);
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
