// A volume as a scanner makes it: voxels, and where in the patient they lie.
#pragma once

#include <volute/core/xtensor.hpp>
#include <volute/volumes/cut.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

namespace volute::imaging {

using volumes::box;
using volumes::size3;

/// Where the voxels of a volume lie. As in NIfTI: `affine` takes a voxel's (x, y, z, 1) to millimetres towards the patient's right, front
/// and head (RAS+), x being the place along the width, y along the height, z along the depth.
struct grid {
  size3 extent{};
  std::array<std::array<double, 4>, 3> affine{{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};
  int code = 0;  // NIfTI's: what the millimetres are measured from; 0: unknown, 1: the scanner, 2: another scan, 3: Talairach, 4: MNI
  friend bool operator==(const grid&, const grid&) = default;

  /// The column of an axis (0: depth, 1: height, 2: width): the step from one voxel to the next.
  std::array<double, 3> step(int axis) const {
    const std::size_t c = static_cast<std::size_t>(2 - axis);
    return {affine[0][c], affine[1][c], affine[2][c]};
  }
};

/// Voxels (depth, height, width) on a grid.
template <class T>
struct image {
  xt::xtensor<T, 3> voxels;
  grid at;
};

inline namespace VOLUTE_ISA {

/// The extents of a tensor (depth, height, width).
template <class T>
size3 extent_of(const xt::xtensor<T, 3>& v) {
  return {static_cast<std::int64_t>(v.shape()[0]), static_cast<std::int64_t>(v.shape()[1]), static_cast<std::int64_t>(v.shape()[2])};
}
/// An uninitialised one. Throws shape_error for extents below 0.
template <class T>
xt::xtensor<T, 3> tensor_of(const size3& e) {
  if (e.d < 0 || e.h < 0 || e.w < 0)
    fail("image: expected extents of 0 or more, found " + format_shape(std::array<std::int64_t, 3>{e.d, e.h, e.w}));
  return xt::xtensor<T, 3>::from_shape({static_cast<std::size_t>(e.d), static_cast<std::size_t>(e.h), static_cast<std::size_t>(e.w)});
}

namespace detail {
/// What an image has where a number was computed: whole numbers are rounded to, and held within their range; NaN is 0 there.
template <class T>
T rounded(double v) {
  if constexpr (std::is_integral_v<T>) {
    if (std::isnan(v)) return T(0);
    v = std::nearbyint(v);
    if (v <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
    if (v >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();  // 2^63 is no number of 64 bits
  }
  return static_cast<T>(v);
}
/// Throws shape_error where an image's voxels are not as many as its grid says.
template <class T>
void check_extents(const image<T>& x) {
  const size3& e = x.at.extent;
  if (!(extent_of(x.voxels) == e))
    fail("image: expected the voxels of its grid, " + format_shape(std::array<std::int64_t, 3>{e.d, e.h, e.w}) + ", found " +
         format_shape(x.voxels.shape()));
}
}  // namespace detail

/// Millimetres from voxel to voxel along depth, height and width.
inline std::array<double, 3> spacing(const grid& g) {
  std::array<double, 3> s{};
  for (int a = 0; a < 3; ++a) {
    const auto c = g.step(a);
    s[static_cast<std::size_t>(a)] = std::sqrt(c[0] * c[0] + c[1] * c[1] + c[2] * c[2]);
  }
  return s;
}

/// Which of the patient's axes (0: right, 1: front, 2: head) each of the image's comes nearest to, and whether it runs that way.
struct direction {
  int world = 0;
  bool positive = true;
  friend bool operator==(const direction&, const direction&) = default;
};
/// Of depth, height and width. The one among the six ways to pair them with the largest sum of cosines. Throws shape_error where voxels
/// are no distance apart, or one that is not finite.
inline std::array<direction, 3> directions(const grid& g) {
  static constexpr int orders[6][3] = {{2, 1, 0}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {1, 0, 2}, {0, 1, 2}};
  const auto s = spacing(g);
  for (const double apart : s)
    if (!(apart > 0 && std::isfinite(apart))) fail("grid: expected voxels that are some way apart, found " + std::to_string(apart) + " mm");
  const auto cosine = [&](int axis, int world) {
    return g.step(axis)[static_cast<std::size_t>(world)] / s[static_cast<std::size_t>(axis)];
  };
  int best = 0;
  double most = -1;
  for (int o = 0; o < 6; ++o) {
    double sum = 0;
    for (int a = 0; a < 3; ++a) sum += std::abs(cosine(a, orders[o][a]));
    if (sum > most + 1e-9) most = sum, best = o;
  }
  std::array<direction, 3> d;
  for (int a = 0; a < 3; ++a) d[static_cast<std::size_t>(a)] = {orders[best][a], cosine(a, orders[best][a]) >= 0};
  return d;
}

/// "RAS", "LPS" and so on: where width, height and depth run to: right or left, anterior or posterior, superior or inferior. (nibabel's
/// aff2axcodes, for volumes that are turned by up to 45 degrees. Beyond, which axis gets which letter is a matter of the rule: nibabel
/// gives the first choice to the axis with the largest cosine.)
inline std::string orientation(const grid& g) {
  const auto d = directions(g);
  std::string s;
  for (std::size_t a = 3; a-- > 0;) s += (d[a].positive ? "RAS" : "LPI")[d[a].world];
  return s;
}

namespace detail {
/// What an orientation means; throws shape_error where it is none.
inline std::array<direction, 3> parsed(const std::string& codes) {
  std::array<direction, 3> d;
  unsigned seen = 0;
  for (std::size_t i = 0; i < 3 && codes.size() == 3; ++i) {
    const std::size_t up = std::string("RAS").find(codes[i]), down = std::string("LPI").find(codes[i]);
    if (up == std::string::npos && down == std::string::npos) break;
    d[2 - i] = {static_cast<int>(up != std::string::npos ? up : down), up != std::string::npos};
    seen |= 1u << d[2 - i].world;
  }
  if (seen != 7) fail("orientation: expected one of R L, of A P and of S I each, found " + codes);
  return d;
}
}  // namespace detail

/// The image with its axes exchanged and mirrored so that they run as `codes` says; no voxel is computed. oriented(x, "RAS") is canonical
/// (nibabel's as_closest_canonical), oriented(y, orientation(x.at)) leads back.
template <class T>
image<T> oriented(const image<T>& x, const std::string& codes = "RAS") {
  detail::check_extents(x);
  const auto wanted = detail::parsed(codes), given = directions(x.at);
  image<T> y;
  y.at = x.at;
  std::int64_t stride[3]{x.at.extent.h * x.at.extent.w, x.at.extent.w, 1}, move[3]{}, begin = 0;
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) {  // axis a of the result is axis b
      const direction &w = wanted[static_cast<std::size_t>(a)], &g = given[static_cast<std::size_t>(b)];
      if (w.world != g.world) continue;
      const bool turns = w.positive != g.positive;
      y.at.extent[a] = x.at.extent[b];
      move[a] = turns ? -stride[b] : stride[b];
      if (turns) begin += (x.at.extent[b] - 1) * stride[b];
      for (std::size_t r = 0; r < 3; ++r) {
        const double step = x.at.affine[r][static_cast<std::size_t>(2 - b)];
        y.at.affine[r][static_cast<std::size_t>(2 - a)] = turns ? -step : step;
        if (turns) y.at.affine[r][3] += static_cast<double>(x.at.extent[b] - 1) * step;
      }
    }
  y.voxels = tensor_of<T>(y.at.extent);
  T* to = y.voxels.data();
  for (std::int64_t d = 0; d < y.at.extent.d; ++d)
    for (std::int64_t h = 0; h < y.at.extent.h; ++h)
      for (std::int64_t w = 0; w < y.at.extent.w; ++w) *to++ = x.voxels.data()[begin + d * move[0] + h * move[1] + w * move[2]];
  return y;
}

/// The same box of space with another number of voxels: their borders stay, their middles move.
inline grid with_extent(grid g, const size3& extent) {
  for (int a = 0; a < 3; ++a) {
    if (extent[a] < 1) fail("grid: expected an extent of 1 or more, found " + std::to_string(extent[a]));
    const double factor = static_cast<double>(g.extent[a]) / static_cast<double>(extent[a]);
    for (auto& row : g.affine) {
      double& step = row[static_cast<std::size_t>(2 - a)];
      row[3] += (factor - 1) / 2 * step;
      step *= factor;
    }
  }
  g.extent = extent;
  return g;
}
/// Voxels of these millimetres along depth, height and width, as many as cover the same space to the nearest voxel, around the same middle.
inline grid with_spacing(grid g, const std::array<double, 3>& millimetres) {
  const auto old = spacing(g);
  for (int a = 0; a < 3; ++a) {
    const double wanted = millimetres[static_cast<std::size_t>(a)], factor = wanted / old[static_cast<std::size_t>(a)];
    if (!(wanted > 0) || !std::isfinite(factor)) fail("grid: expected a spacing above 0, found " + std::to_string(wanted));
    const double voxels = static_cast<double>(g.extent[a]) / factor;
    if (!(voxels < 0x1p48)) fail("grid: expected a spacing that leaves an axis fewer than 2^48 voxels, found " + std::to_string(wanted));
    const std::int64_t n = std::max<std::int64_t>(1, std::llround(voxels));
    for (auto& row : g.affine) {
      double& step = row[static_cast<std::size_t>(2 - a)];
      row[3] += (static_cast<double>(g.extent[a] - 1) - static_cast<double>(n - 1) * factor) / 2 * step;
      step *= factor;
    }
    g.extent[a] = n;
  }
  return g;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::imaging
