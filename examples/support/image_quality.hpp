// How good a restored volume is, and the filter that a network has to beat.
#pragma once

#include <xtensor/xtensor.hpp>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace example {

/// Peak signal-to-noise ratio in dB.
inline double psnr(const xt::xtensor<float, 3>& clean, const xt::xtensor<float, 3>& other, double peak = 1) {
  double squares = 0;
  for (std::size_t i = 0; i < clean.size(); ++i) squares += std::pow(double{clean.data()[i]} - double{other.data()[i]}, 2);
  return 10 * std::log10(peak * peak * static_cast<double>(clean.size()) / squares);
}

/// Gaussian filter, three passes of one axis each; the border voxel repeats outside.
inline xt::xtensor<float, 3> gaussian_filter(xt::xtensor<float, 3> volume, double sigma) {
  const auto radius = static_cast<std::ptrdiff_t>(std::ceil(3 * sigma));
  std::vector<float> taps;
  for (std::ptrdiff_t k = -radius; k <= radius; ++k)
    taps.push_back(static_cast<float>(std::exp(-.5 * std::pow(static_cast<double>(k) / sigma, 2))));
  float total = 0;
  for (float t : taps) total += t;

  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto in = volume;
    const auto step = static_cast<std::ptrdiff_t>(axis == 0 ? in.shape(1) * in.shape(2) : axis == 1 ? in.shape(2) : 1);
    const auto length = static_cast<std::ptrdiff_t>(in.shape(axis));
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(in.size()); ++i) {
      const std::ptrdiff_t at = i / step % length;
      float sum = 0;
      for (std::ptrdiff_t k = -radius; k <= radius; ++k)
        sum += taps[static_cast<std::size_t>(k + radius)] * in.data()[i + (std::clamp<std::ptrdiff_t>(at + k, 0, length - 1) - at) * step];
      volume.data()[i] = sum / total;
    }
  }
  return volume;
}

/// The filtered volume of the width that is best for this very noise (it may look at the clean volume: a generous rival), and that width.
inline std::pair<xt::xtensor<float, 3>, double> best_gaussian_filter(const xt::xtensor<float, 3>& clean,
                                                                     const xt::xtensor<float, 3>& noisy) {
  std::pair<xt::xtensor<float, 3>, double> best{noisy, 0};
  for (double sigma = .4; sigma < 1.6; sigma += .1)
    if (auto filtered = gaussian_filter(noisy, sigma); psnr(clean, filtered) > psnr(clean, best.first)) best = {std::move(filtered), sigma};
  return best;
}

}  // namespace example
