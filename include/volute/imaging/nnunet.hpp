// What nnU-Net does before and after its network: from a case's images to the network's voxels, and from scores to labels. (Version 2.)
#pragma once

#include <volute/imaging/intensity.hpp>
#include <volute/imaging/regions.hpp>
#include <volute/imaging/resize.hpp>
#include <volute/volumes/window_rule.hpp>

#include <limits>
#include <span>
#include <vector>

namespace volute::imaging {

/// nnU-Net's normalization_schemes.
enum class nnunet_scheme { z_score, ct, rescale_to_01, rgb_to_01, none };

/// How a channel's intensities become the network's.
struct nnunet_channel {
  nnunet_scheme scheme = nnunet_scheme::z_score;
  bool masked = false;                                // z-scores of the nonzero region only (use_mask_for_norm)
  double mean = 0, deviation = 1, low = 0, high = 0;  // of CT: foreground intensities, and percentiles 0.5 and 99.5
};

/// How volumes go from one spacing to another (nnU-Net's resample_data_or_seg_to_shape).
struct nnunet_resampling {
  interpolation order = interpolation::cubic, order_z = interpolation::nearest;  // within slices; across, where slices are thick
  int separate_z = -1;  // force_separate_z: 1 always, 0 never, -1 where a spacing is more than three times another
};

/// What plans.json, dataset.json and a checkpoint say of one configuration; tools/export writes it. Axes are those of the network, after
/// transpose_forward.
struct nnunet_plan {
  std::array<double, 3> spacing{1, 1, 1};  // millimetres along the network's depth, height and width
  std::array<int, 3> transpose{0, 1, 2};   // transpose_forward: axis a of the network is this one of a file's (z, y, x)
  std::span<const nnunet_channel> channels{};
  nnunet_resampling images{}, scores{interpolation::linear, interpolation::nearest};
  std::array<bool, 3> mirror{};    // axes along which windows are predicted mirrored, too
  std::span<const int> regions{};  // regions_class_order, where scores are those of regions; otherwise the largest score's label

  /// The windows of its predictor, with its 16-bit sums.
  volumes::window_rule windows(double tile_step_size = 0.5) const { return volumes::nnunet(tile_step_size, true, mirror, true); }
};

/// A case on its way through the network, and what leads its labels back.
struct nnunet_case {
  xt::xtensor<float, 5> voxels;     // (1, channels, depth, height, width): what the network's windows are taken from
  std::array<double, 3> spacing{};  // of the images, axes as the network's
  size3 extent{};                   // of the images, axes as the network's
  box crop{};                       // the nonzero region in it
};

inline namespace VOLUTE_ISA {
/// The axis along which slices are thick, and which is resampled by itself, or -1. (nnU-Net's determine_do_sep_z_and_axis.)
inline int nnunet_apart(const nnunet_resampling& how, const std::array<double, 3>& from, const std::array<double, 3>& to) {
  const auto thick = [](const std::array<double, 3>& s) {
    return *std::max_element(s.begin(), s.end()) / *std::min_element(s.begin(), s.end()) > 3;
  };
  if (how.separate_z == 0 || (how.separate_z < 0 && !thick(from) && !thick(to))) return -1;
  const std::array<double, 3>& s = how.separate_z > 0 || thick(from) ? from : to;
  const double most = *std::max_element(s.begin(), s.end());
  int apart = -1, found = 0;
  for (int a = 0; a < 3; ++a)
    if (most / s[static_cast<std::size_t>(a)] == 1) apart = a, ++found;
  return found == 1 ? apart : -1;
}

namespace detail {

inline xt::xtensor<float, 3> nnunet_normalized(const nnunet_channel& how, const xt::xtensor<float, 3>& v,
                                               const xt::xtensor<std::uint8_t, 3>& mask) {
  switch (how.scheme) {
    case nnunet_scheme::z_score:
      return how.masked ? z_scored(v, mask) : z_scored(v);
    case nnunet_scheme::ct:
      return ct_scored(v, how.low, how.high, how.mean, how.deviation);
    case nnunet_scheme::rescale_to_01:
      return unit_scaled(v);
    case nnunet_scheme::rgb_to_01:
      return v / 255.f;
    default:
      return v;
  }
}

template <class T>
xt::xtensor<T, 3> cropped_voxels(const xt::xtensor<T, 3>& v, const box& b) {
  return cropped(image<T>{v, grid{extent_of(v)}}, b).voxels;
}
}  // namespace detail

/// From a case's images, in the order of the channels, to the network's voxels: axes exchanged, cropped to what is not 0 in any image and
/// its holes, normalised, then resampled to the plan's spacing. `spacing`: millimetres along the images' depth, height and width. Throws
/// shape_error where number or extents of images do not fit, or a spacing is not above 0.
inline nnunet_case nnunet_prepared(const nnunet_plan& plan, std::span<const xt::xtensor<float, 3>> images,
                                   const std::array<double, 3>& spacing) {
  if (images.size() != plan.channels.size())
    fail("images: expected " + std::to_string(plan.channels.size()) + ", one for each channel, found " + std::to_string(images.size()));
  nnunet_case c;
  std::vector<xt::xtensor<float, 3>> voxels;
  for (const auto& v : images) {
    if (v.shape() != images[0].shape() || v.size() == 0)
      fail("images: expected extents " + format_shape(images[0].shape()) + ", found " + format_shape(v.shape()));
    voxels.push_back(transposed(v, plan.transpose));
  }
  for (std::size_t a = 0; a < 3; ++a) {
    c.spacing[a] = spacing[static_cast<std::size_t>(plan.transpose[a])];
    if (!(c.spacing[a] > 0)) fail("spacing: expected millimetres above 0, found " + std::to_string(c.spacing[a]));
  }
  c.extent = extent_of(voxels[0]);
  auto mask = tensor_of<std::uint8_t>(c.extent);
  for (std::size_t i = 0; i < mask.size(); ++i)
    mask.data()[i] = std::any_of(voxels.begin(), voxels.end(), [i](const auto& v) { return v.data()[i] != 0; });
  mask = filled(mask);
  c.crop = foreground(mask);
  mask = detail::cropped_voxels(mask, c.crop);

  size3 to;
  for (int a = 0; a < 3; ++a) {
    const auto k = static_cast<std::size_t>(a);
    to[a] = static_cast<std::int64_t>(std::nearbyint(c.spacing[k] / plan.spacing[k] * static_cast<double>(c.crop.extent[a])));
  }
  const int apart = nnunet_apart(plan.images, c.spacing, plan.spacing);
  c.voxels = xt::xtensor<float, 5>::from_shape(
      {1, voxels.size(), static_cast<std::size_t>(to.d), static_cast<std::size_t>(to.h), static_cast<std::size_t>(to.w)});
  for (std::size_t k = 0; k < voxels.size(); ++k) {
    auto v = detail::nnunet_normalized(plan.channels[k], detail::cropped_voxels(voxels[k], c.crop), mask);
    if (!(to == c.crop.extent)) v = resized(v, to, plan.images.order, apart, plan.images.order_z);
    std::copy(v.begin(), v.end(), c.voxels.data() + k * v.size());
  }
  return c;
}

/// The scores of all windows, the mean of several trainings (folds): `load(k)` makes the network the k-th one. `windows` is a `windowed`
/// of the network.
template <class Windows, class Load>
xt::xtensor<float, 5> nnunet_scores(const nnunet_plan& plan, Windows& windows, const nnunet_case& c, std::size_t folds, const Load& load) {
  if (folds < 1) fail("folds: expected 1 or more, found 0");
  xt::xtensor<float, 5> sum;
  const auto half = [](float v) { return static_cast<float>(volumes::nearest_half(static_cast<double>(v))); };
  for (std::size_t k = 0; k < folds; ++k) {
    load(k);
    const xt::xtensor<float, 5> scores = windows(c.voxels, plan.windows());
    if (k == 0)
      sum = scores;
    else
      std::transform(sum.begin(), sum.end(), scores.begin(), sum.begin(), [&](float a, float b) { return half(a + b); });
  }
  if (folds > 1) std::transform(sum.begin(), sum.end(), sum.begin(), [&](float v) { return half(v / static_cast<float>(folds)); });
  return sum;
}

/// From scores (1, C, depth, height, width) of a case's voxels to labels in its images' space: resampled to their spacing, rounded to 16
/// bits as nnU-Net's are, the label with the largest score (the first among equals) or of the last region above a half, 0 around the
/// nonzero region, axes exchanged back. Throws shape_error where extents do not fit, or scores are beyond 16 bits.
template <class Label = std::uint8_t>
xt::xtensor<Label, 3> nnunet_labels(const nnunet_plan& plan, const nnunet_case& c, const xt::xtensor<float, 5>& scores) {
  const auto& shape = scores.shape();
  if (shape[0] != 1 || shape[1] == 0 || !std::equal(shape.begin() + 2, shape.end(), c.voxels.shape().begin() + 2))
    fail("scores: expected those of voxels " + format_shape(c.voxels.shape()) + ", found " + format_shape(shape));
  if (!plan.regions.empty() && plan.regions.size() != shape[1])
    fail("scores: expected " + std::to_string(plan.regions.size()) + ", one for each region, found " + std::to_string(shape[1]));
  const auto most =
      plan.regions.empty() ? static_cast<std::int64_t>(shape[1]) - 1 : *std::max_element(plan.regions.begin(), plan.regions.end());
  if (static_cast<double>(most) > static_cast<double>(std::numeric_limits<Label>::max()))
    fail("labels: expected at most " + std::to_string(std::numeric_limits<Label>::max()) + ", found " + std::to_string(most));
  const size3 from{static_cast<std::int64_t>(shape[2]), static_cast<std::int64_t>(shape[3]), static_cast<std::int64_t>(shape[4])};
  const size3& to = c.crop.extent;
  const int apart = nnunet_apart(plan.scores, plan.spacing, c.spacing);
  image<Label> part{tensor_of<Label>(to), grid{to}};
  std::fill(part.voxels.begin(), part.voxels.end(), Label(0));
  std::vector<double> best(plan.regions.empty() ? part.voxels.size() : 0, -INFINITY);
  for (std::size_t k = 0; k < shape[1]; ++k) {
    auto v = tensor_of<double>(from);
    std::copy_n(scores.data() + k * v.size(), v.size(), v.data());
    if (!(from == to)) v = resized(v, to, plan.scores.order, apart, plan.scores.order_z);
    for (std::size_t i = 0; i < v.size(); ++i) {
      const double s = volumes::nearest_half(v.data()[i]);
      if (!std::isfinite(s)) fail("scores: expected numbers within 16 bits, found " + std::to_string(v.data()[i]));
      if (!plan.regions.empty()) {
        if (1 / (1 + std::exp(-static_cast<float>(s))) > 0.5f) part.voxels.data()[i] = static_cast<Label>(plan.regions[k]);
      } else if (s > best[i]) {
        best[i] = s, part.voxels.data()[i] = static_cast<Label>(k);
      }
    }
  }
  std::array<int, 3> back{};
  for (std::size_t a = 0; a < 3; ++a) back[static_cast<std::size_t>(plan.transpose[a])] = static_cast<int>(a);
  return transposed(uncropped(part, c.crop, grid{c.extent}).voxels, back);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::imaging
