// What a scanner's numbers become before a network: z-scores and the windows of CT.
#pragma once

#include <volute/core/compiler.hpp>
#include <volute/core/xtensor.hpp>
#include <volute/runtime/error.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <utility>

namespace volute::imaging {

inline namespace VOLUTE_ISA {

namespace detail {
/// Voxels that are no longer whole numbers: float, where an image's are.
template <class T>
using real = std::conditional_t<std::is_floating_point_v<T>, T, float>;

/// f of each voxel, in double.
template <class T, class F>
xt::xtensor<real<T>, 3> each_voxel_of(xt::xtensor<T, 3> v, const F& f) {
  const auto apply = [&](T x) { return static_cast<real<T>>(f(static_cast<double>(x))); };
  if constexpr (std::is_floating_point_v<T>) {
    std::transform(v.begin(), v.end(), v.begin(), apply);
    return v;
  } else {
    auto y = xt::xtensor<real<T>, 3>::from_shape(v.shape());
    std::transform(v.begin(), v.end(), y.begin(), apply);
    return y;
  }
}

template <class T, class Counts>
xt::xtensor<real<T>, 3> scored(const xt::xtensor<T, 3>& v, const Counts& counts) {
  double n = 0, first = 0, sum = 0, squares = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (!counts(i)) continue;
    if (n == 0) first = static_cast<double>(v.data()[i]);  // sums around it: what is constant has that mean, and a deviation of 0
    n += 1, sum += static_cast<double>(v.data()[i]) - first;
  }
  const double mean = n > 0 ? first + sum / n : 0;
  for (std::size_t i = 0; i < v.size(); ++i)
    if (counts(i)) squares += (static_cast<double>(v.data()[i]) - mean) * (static_cast<double>(v.data()[i]) - mean);
  const double deviation = std::max(n > 0 ? std::sqrt(squares / n) : 0, 1e-8);
  auto y = xt::xtensor<real<T>, 3>::from_shape(v.shape());
  for (std::size_t i = 0; i < v.size(); ++i)
    y.data()[i] = counts(i) ? static_cast<real<T>>((static_cast<double>(v.data()[i]) - mean) / deviation) : real<T>(0);
  return y;
}
}  // namespace detail

/// (v - mean) / standard deviation, both of all voxels, made in double; a deviation below 1e-8 counts as that. Of whole numbers in float,
/// as all that follows. (nnU-Net's ZScoreNormalization.)
template <class T>
xt::xtensor<detail::real<T>, 3> z_scored(const xt::xtensor<T, 3>& v) {
  return detail::scored(v, [](std::size_t) { return true; });
}
/// The same of the voxels whose mask is not 0; the others become 0. (nnU-Net's use_mask_for_norm; MONAI's nonzero, if v is its own mask.)
template <class T, class U>
xt::xtensor<detail::real<T>, 3> z_scored(const xt::xtensor<T, 3>& v, const xt::xtensor<U, 3>& mask) {
  if (v.shape() != mask.shape()) fail("mask: expected " + format_shape(v.shape()) + ", found " + format_shape(mask.shape()));
  return detail::scored(v, [&](std::size_t i) { return mask.data()[i] != U(0); });
}

/// A CT window: `level` - `width` / 2 becomes 0, `level` + `width` / 2 becomes 1, what lies outside the nearer of both. (DICOM's
/// LINEAR_EXACT; MONAI's ScaleIntensityRange with clip.)
template <class T>
xt::xtensor<detail::real<T>, 3> ct_window(xt::xtensor<T, 3> v, double level, double width) {
  if (!(width > 0)) fail("ct_window: expected a width above 0, found " + std::to_string(width));
  return detail::each_voxel_of(std::move(v), [&](double x) { return std::clamp((x - level) / width + 0.5, 0.0, 1.0); });
}
/// The smallest number becomes 0, the largest 1. (nnU-Net's RescaleTo01Normalization.)
template <class T>
xt::xtensor<detail::real<T>, 3> unit_scaled(xt::xtensor<T, 3> v) {
  if (v.size() == 0) return v;
  const auto [low, high] = std::minmax_element(v.begin(), v.end());
  const double least = static_cast<double>(*low), range = std::max(static_cast<double>(*high) - least, 1e-8);
  return detail::each_voxel_of(std::move(v), [&](double x) { return (x - least) / range; });
}
/// (v - mean) / deviation after v has been cut off at `low` and `high`: numbers of all training cases, as in nnU-Net's CTNormalization.
template <class T>
xt::xtensor<detail::real<T>, 3> ct_scored(xt::xtensor<T, 3> v, double low, double high, double mean, double deviation) {
  if (!(low <= high)) fail("ct_scored: expected low <= high, found " + std::to_string(low) + " and " + std::to_string(high));
  return detail::each_voxel_of(std::move(v), [&](double x) { return (std::clamp(x, low, high) - mean) / std::max(deviation, 1e-8); });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::imaging
