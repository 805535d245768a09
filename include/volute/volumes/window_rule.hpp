// Where overlapping windows lie, and how their results are weighted: the rules of MONAI and of nnU-Net.
#pragma once

#include <volute/volumes/cut.hpp>

#include <array>
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
};

inline namespace VOLUTE_ISA {

/// monai.inferers.sliding_window_inference: overlap, mode, sigma_scale, padding_mode and cval. (Version 1.6.)
inline window_rule monai(double overlap = 0.25, blend mode = blend::constant, surround padding = surround::constant, double cval = 0,
                         double sigma_scale = 0.125) {
  if (!(overlap >= 0 && overlap < 1)) fail("overlap: expected 0 or more and less than 1, found " + std::to_string(overlap));
  window_rule r;
  r.step.fill(1 - overlap);
  r.blend = mode, r.padding = padding, r.value = cval, r.sigma = sigma_scale;
  return r;
}
/// nnU-Net's predictor: tile_step_size, use_gaussian, mirror axes; in the network's precision, where nnU-Net sums in 16 bits. (Version 2.)
inline window_rule nnunet(double tile_step_size = 0.5, bool use_gaussian = true, std::array<bool, 3> mirror = {true, true, true}) {
  if (!(tile_step_size > 0 && tile_step_size <= 1))
    fail("tile_step_size: expected more than 0 and at most 1, found " + std::to_string(tile_step_size));
  window_rule r;
  r.fixed_step = false;
  r.step.fill(tile_step_size);
  r.blend = use_gaussian ? blend::gaussian : blend::constant;
  r.mirror = mirror;
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
