// Where overlapping windows lie, and how their results are weighted: the rules of MONAI and of nnU-Net.
#pragma once

#include <volute/volumes/cut.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

namespace volute::volumes {

/// How a result's voxels are weighted by where they lie in their window.
enum class blend { constant, gaussian };
/// What lies around a volume that is smaller than a window.
enum class surround { constant, reflect, replicate, circular };

/// Windows over a volume whose results are averaged. Make one with monai() or nnunet().
struct window_rule {
  bool fixed_step = true;  // steps of (1 - overlap) of a window, the last one moved back (MONAI); else equal steps, rounded (nnU-Net)
  std::array<double, 3> step{0.75, 0.75, 0.75};  // of a window's extents
  volumes::blend blend = volumes::blend::constant;
  double sigma = 0.125;  // of a window's extents
  surround padding = surround::constant;
  double value = 0;              // of constant padding
  std::array<bool, 3> mirror{};  // along which axes each window is also predicted mirrored, in all combinations
  bool half = false;             // weights, sums and averages are rounded to 16 bits, as nnU-Net's predictor keeps them
};

inline namespace VOLUTE_ISA {

/// The nearest number of 16 bits (IEEE 754 binary16), of two the even one; infinite from 65520 on.
inline double nearest_half(double v) {
  if (!(std::abs(v) < 65520)) return v > 0 ? INFINITY : v < 0 ? -INFINITY : v;
  const double power = std::bit_cast<double>(std::bit_cast<std::uint64_t>(v) & 0x7FF0'0000'0000'0000);  // the largest one up to |v|
  const double places = std::max(power, 0x1p-14) * 0x1.8p42;  // a double of this size has the places of a half of |v|'s
  return (v + places) - places;
}

/// Throws shape_error for a rule, set by hand perhaps, that leaves voxels without a window or without a weight.
inline void check_rule(const window_rule& r) {
  for (const double step : r.step)
    if (!(step > 0 && step <= 1)) fail("windows: expected steps of more than 0 and at most 1, found " + std::to_string(step));
  if (r.blend == blend::gaussian && !(r.sigma > 0))
    fail("windows: expected a sigma of more than 0, found " + std::to_string(r.sigma));
}

/// monai.inferers.sliding_window_inference: overlap, mode, sigma_scale, padding_mode and cval. (Version 1.6.)
inline window_rule monai(double overlap = 0.25, blend mode = blend::constant, surround padding = surround::constant, double cval = 0,
                         double sigma_scale = 0.125) {
  if (!(overlap >= 0 && overlap < 1)) fail("overlap: expected 0 or more and less than 1, found " + std::to_string(overlap));
  if (!(sigma_scale > 0)) fail("sigma_scale: expected more than 0, found " + std::to_string(sigma_scale));
  window_rule r;
  r.step.fill(1 - overlap);
  r.blend = mode, r.padding = padding, r.value = cval, r.sigma = sigma_scale;
  return r;
}
/// nnU-Net's predictor: tile_step_size, use_gaussian, mirror axes. It sums in 16 bits: half = true does that too, and rounds as it does;
/// otherwise sums are the network's precision. (Version 2.)
inline window_rule nnunet(double tile_step_size = 0.5, bool use_gaussian = true, std::array<bool, 3> mirror = {true, true, true},
                          bool half = false) {
  if (!(tile_step_size > 0 && tile_step_size <= 1))
    fail("tile_step_size: expected more than 0 and at most 1, found " + std::to_string(tile_step_size));
  window_rule r;
  r.fixed_step = false;
  r.step.fill(tile_step_size);
  r.blend = use_gaussian ? blend::gaussian : blend::constant;
  r.mirror = mirror;
  r.half = half;
  return r;
}

/// Where windows begin along an axis of a volume that is as large as a window at least.
inline std::vector<std::int64_t> window_starts(const window_rule& r, int axis, std::int64_t extent, std::int64_t window) {
  const double step = r.step[static_cast<std::size_t>(axis)];
  std::vector<std::int64_t> starts;
  if (r.fixed_step) {
    const std::int64_t interval =
        window == extent ? window : std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(window) * step));
    for (std::int64_t at = 0;; at += interval) {
      starts.push_back(std::min(at, extent - window));
      if (at + window >= extent) return starts;
    }
  }
  const auto n = static_cast<std::int64_t>(std::ceil(static_cast<double>(extent - window) / (static_cast<double>(window) * step))) + 1;
  for (std::int64_t i = 0; i < n; ++i)  // halves are rounded to even numbers
    starts.push_back(n == 1 ? 0
                            : static_cast<std::int64_t>(std::nearbyint(static_cast<double>(extent - window) / static_cast<double>(n - 1) *
                                                                       static_cast<double>(i))));
  return starts;
}

/// The weights along one axis; those of a voxel are the product of three, at least least_weight().
inline std::vector<double> window_weights(const window_rule& r, std::int64_t window) {
  std::vector<double> w(static_cast<std::size_t>(window), 1);
  if (r.blend == blend::constant) return w;
  const double sigma = r.sigma * static_cast<double>(window);
  const double middle = r.fixed_step ? static_cast<double>(window - 1) / 2 : static_cast<double>(window / 2);
  const double most = r.fixed_step ? INFINITY : std::floor(4 * sigma + 0.5);  // SciPy cuts its filter there
  for (std::int64_t i = 0; i < window; ++i) {
    const double x = static_cast<double>(i) - middle;
    w[static_cast<std::size_t>(i)] = std::abs(x) > most ? 0 : std::exp(-x * x / (2 * sigma * sigma));
  }
  return w;
}
/// What a weight is at least: MONAI's 0.001 or its smallest, nnU-Net's smallest that is not 0.
inline double least_weight(const window_rule& r, const std::vector<double> (&w)[3]) {
  double least = 1;
  for (const std::vector<double>& axis : w) {
    double smallest = 1;
    for (const double v : axis)
      if (v > 0) smallest = std::min(smallest, v);
    least *= smallest;
  }
  return r.fixed_step ? std::max(least, 1e-3) : least;
}

/// The weights of a window's voxels: products of three, at least least_weight(). In 16 bits: ten times as large, at least the smallest that
/// is not 0 there.
template <class T>
std::vector<T> window_voxel_weights(const window_rule& r, const std::vector<double> (&w)[3]) {
  std::vector<T> weight;
  weight.reserve(w[0].size() * w[1].size() * w[2].size());
  const double least = r.half ? 0 : least_weight(r, w), times = r.half && r.blend == blend::gaussian ? 10 : 1;
  double smallest = INFINITY;
  for (double z : w[0])
    for (double y : w[1])
      for (double x : w[2]) {
        const double v = r.half ? nearest_half(times * z * y * x) : std::max(z * y * x, least);
        if (v > 0) smallest = std::min(smallest, v);
        weight.push_back(static_cast<T>(v));
      }
  if (r.half)
    for (T& v : weight) v = v > T(0) ? v : static_cast<T>(smallest);
  return weight;
}

/// Which voxel of a volume lies at each position of a window that is larger along this axis; -1: the padding's value. Half of the padding
/// lies before. Throws shape_error where a mirrored border would be wider than the volume.
inline std::vector<std::int64_t> padded_positions(const window_rule& r, std::int64_t extent, std::int64_t window) {
  const std::int64_t before = (window - extent) / 2, after = window - extent - before;
  const std::int64_t most = r.padding == surround::reflect ? extent - 1 : r.padding == surround::circular ? extent : window;
  if (after > most)
    fail("padding: expected at most " + std::to_string(most) + " voxels beside " + std::to_string(extent) + ", found " +
         std::to_string(after));
  std::vector<std::int64_t> at(static_cast<std::size_t>(window));
  for (std::int64_t i = 0; i < window; ++i) {
    std::int64_t p = i - before;
    if (p < 0 || p >= extent) {
      switch (r.padding) {
        case surround::constant:
          p = -1;
          break;
        case surround::reflect:
          p = p < 0 ? -p : 2 * (extent - 1) - p;
          break;
        case surround::replicate:
          p = p < 0 ? 0 : extent - 1;
          break;
        case surround::circular:
          p = p < 0 ? p + extent : p - extent;
          break;
      }
    }
    at[static_cast<std::size_t>(i)] = p;
  }
  return at;
}

}  // namespace VOLUTE_ISA

}  // namespace volute::volumes
