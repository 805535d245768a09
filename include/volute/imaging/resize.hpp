// Voxels stretched to other extents, as scikit-image and nnU-Net do it: along one axis after the other.
#pragma once

#include <volute/imaging/resample.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace volute::imaging {

inline namespace VOLUTE_ISA {
namespace detail {

/// Volumes while they are stretched: in double, as SciPy does it.
struct stretched {
  std::vector<double> voxels;
  size3 extent;

  /// To n voxels along an axis: border voxels keep their borders, what lies outside of their middles is the border voxel.
  void along(int axis, std::int64_t n, interpolation how) {
    const std::int64_t old = extent[axis], pad = how == interpolation::cubic ? 12 : 0;  // SciPy's border for mode "nearest"
    if (old == n) return;
    const double step = static_cast<double>(old) / static_cast<double>(n);
    std::vector<taps> places(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      const double place = step * (static_cast<double>(i) + 0.5) - 0.5;
      places[static_cast<std::size_t>(i)] = taps_of(pad > 0 ? place + static_cast<double>(pad) : place, old + 2 * pad, how);
    }
    size3 to = extent;
    to[axis] = n;
    std::vector<double> result(static_cast<std::size_t>(to.voxels())), line(static_cast<std::size_t>(old + 2 * pad));
    const std::int64_t inner = axis == 0 ? to.h * to.w : axis == 1 ? to.w : 1;
    each_line(to, axis, [&](std::int64_t at, std::int64_t, std::int64_t stride) {
      const double* const from = voxels.data() + at / (n * inner) * old * inner + at % inner;
      for (std::int64_t i = -pad; i < old + pad; ++i)
        line[static_cast<std::size_t>(i + pad)] = from[std::clamp<std::int64_t>(i, 0, old - 1) * inner];
      if (pad > 0) spline_line(line.data(), old + 2 * pad, 1);
      for (std::int64_t i = 0; i < n; ++i) {
        const taps& t = places[static_cast<std::size_t>(i)];
        double sum = 0;
        for (int k = 0; k < t.count; ++k) sum += t.weight[k] * line[static_cast<std::size_t>(t.at[k])];
        result[static_cast<std::size_t>(at + i * stride)] = sum;
      }
    });
    voxels.swap(result);
    extent = to;
  }

  /// The smallest and the largest number of each slice across an axis; a single pair for axis -1.
  std::vector<std::array<double, 2>> ranges(int axis) const {
    std::vector<std::array<double, 2>> r(axis < 0 ? 1 : static_cast<std::size_t>(extent[axis]), {INFINITY, -INFINITY});
    each_slice(axis, [&](std::size_t i, std::size_t slice) {
      r[slice] = {std::min(r[slice][0], voxels[i]), std::max(r[slice][1], voxels[i])};
    });
    return r;
  }
  void clamp(int axis, const std::vector<std::array<double, 2>>& range) {
    each_slice(axis, [&](std::size_t i, std::size_t slice) { voxels[i] = std::clamp(voxels[i], range[slice][0], range[slice][1]); });
  }

 private:
  /// f(place of a voxel, slice that it lies in).
  template <class F>
  void each_slice(int axis, const F& f) const {
    const std::int64_t inner = axis == 0 ? extent.h * extent.w : axis == 1 ? extent.w : 1;
    for (std::int64_t i = 0; i < extent.voxels(); ++i)
      f(static_cast<std::size_t>(i), axis < 0 ? 0 : static_cast<std::size_t>(i / inner % extent[axis]));
  }
};

}  // namespace detail

/// The same space in other extents, without a blur: values beyond the smallest and the largest voxel, which a cubic makes, are cut off.
/// (scikit-image's resize with mode "edge" and anti_aliasing False, orders 0, 1 and 3.) With `apart`, an axis (0: depth), slice by slice
/// across it, then along it in a way of its own: for thick slices. (nnU-Net's separate z; along the axis SciPy's map_coordinates, mode
/// "nearest".) Throws shape_error where an extent is below 1.
template <class T>
xt::xtensor<T, 3> resized(const xt::xtensor<T, 3>& v, const size3& extent, interpolation how, int apart = -1,
                          interpolation how_apart = interpolation::nearest) {
  detail::stretched s{std::vector<double>(v.begin(), v.end()), extent_of(v)};
  for (int a = 0; a < 3; ++a)
    if (extent[a] < 1 || s.extent[a] < 1)
      fail("resized: expected extents of 1 or more, found " + std::to_string(std::min(extent[a], s.extent[a])));
  const auto range = how == interpolation::cubic ? s.ranges(apart) : std::vector<std::array<double, 2>>();
  for (int a = 0; a < 3; ++a)
    if (a != apart) s.along(a, extent[a], how);
  if (!range.empty()) s.clamp(apart, range);
  if (apart >= 0) s.along(apart, extent[apart], how_apart);
  auto y = tensor_of<T>(extent);
  std::transform(s.voxels.begin(), s.voxels.end(), y.begin(), [](double x) { return detail::rounded<T>(x); });
  return y;
}

/// Axis a of the result is axis order[a]. Throws shape_error unless `order` has 0, 1 and 2 once each. (NumPy's transpose.)
template <class T>
xt::xtensor<T, 3> transposed(const xt::xtensor<T, 3>& v, const std::array<int, 3>& order) {
  unsigned seen = 0;
  for (int a : order) seen |= a >= 0 && a < 3 ? 1u << a : 8u;
  if (seen != 7) fail("transposed: expected the axes 0, 1 and 2 once each");
  const size3 e = extent_of(v);
  const std::int64_t stride[3]{e.h * e.w, e.w, 1};
  size3 to;
  std::int64_t move[3];
  for (int a = 0; a < 3; ++a) to[a] = e[order[static_cast<std::size_t>(a)]], move[a] = stride[order[static_cast<std::size_t>(a)]];
  auto y = tensor_of<T>(to);
  T* out = y.data();
  for (std::int64_t d = 0; d < to.d; ++d)
    for (std::int64_t h = 0; h < to.h; ++h)
      for (std::int64_t w = 0; w < to.w; ++w) *out++ = v.data()[d * move[0] + h * move[1] + w * move[2]];
  return y;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::imaging
