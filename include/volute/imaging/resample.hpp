// An image on another grid: nearest voxels, linear and cubic interpolation, labels, and the blur that comes before fewer voxels.
#pragma once

#include <volute/imaging/image.hpp>

#include <algorithm>
#include <vector>

namespace volute::imaging {

/// How values between voxels are made. `cubic` is the cubic B-spline through the voxels (SciPy's order 3), mirrored at the border voxels.
enum class interpolation { nearest, linear, cubic };

inline namespace VOLUTE_ISA {
namespace detail {

/// The voxels along an axis that a place between them is made of.
struct taps {
  int count = 0;
  std::int64_t at[4]{};
  double weight[4]{};
};
/// A place up to half a voxel outside of the border voxels' middles is still theirs; count 0: it lies further out.
inline taps taps_of(double place, std::int64_t n, interpolation how) {
  taps t;
  constexpr double rounding = 1e-6;
  if (!(place >= -0.5 - rounding && place <= static_cast<double>(n) - 0.5 + rounding)) return t;
  place = std::clamp(place, 0.0, static_cast<double>(n - 1));
  if (how == interpolation::nearest) {
    t.count = 1, t.at[0] = static_cast<std::int64_t>(place + 0.5), t.weight[0] = 1;
    return t;
  }
  const auto low = static_cast<std::int64_t>(place);
  const double u = place - static_cast<double>(low), v = 1 - u;
  if (how == interpolation::linear) {
    t.count = u > 0 ? 2 : 1;
    t.at[0] = low, t.at[1] = low + 1, t.weight[0] = v, t.weight[1] = u;
    return t;
  }
  t.count = 4;
  t.weight[0] = v * v * v / 6, t.weight[3] = u * u * u / 6;
  t.weight[1] = (4 - 6 * u * u + 3 * u * u * u) / 6, t.weight[2] = (4 - 6 * v * v + 3 * v * v * v) / 6;
  const std::int64_t period = std::max<std::int64_t>(1, 2 * (n - 1));
  for (int i = 0; i < 4; ++i) {
    const std::int64_t p = (low + i - 1 + 2 * period) % period;
    t.at[i] = std::min(p, period - p);
  }
  if (n == 1) t.at[0] = t.at[1] = t.at[2] = t.at[3] = 0;
  return t;
}

/// The coefficients of the B-spline through the values of a line, in place. (Unser, Aldroubi and Eden 1991.)
inline void spline_line(double* c, std::int64_t n, std::int64_t stride) {
  if (n < 2) return;
  const double z = std::sqrt(3.0) - 2;
  const auto at = [&](std::int64_t i) -> double& { return c[i * stride]; };
  double power = z, back = std::pow(z, static_cast<double>(n - 1)), sum = at(0) + back * at(n - 1);
  back *= back / z;
  for (std::int64_t i = 1; i < n - 1; ++i, power *= z, back /= z) sum += (power + back) * at(i);
  at(0) = sum / (1 - power * power);
  for (std::int64_t i = 1; i < n; ++i) at(i) += z * at(i - 1);
  at(n - 1) = z / (z * z - 1) * (z * at(n - 2) + at(n - 1));
  for (std::int64_t i = n - 1; i-- > 0;) at(i) = z * (at(i + 1) - at(i));
  for (std::int64_t i = 0; i < n; ++i) at(i) *= 6;
}

/// f(first element, extent, stride) of each line along an axis.
template <class F>
void each_line(const size3& e, int axis, const F& f) {
  const std::int64_t inner = axis == 0 ? e.h * e.w : axis == 1 ? e.w : 1;
  for (std::int64_t i = 0; i < e.voxels() / e[axis]; ++i) f(i / inner * inner * e[axis] + i % inner, e[axis], inner);
}

/// Takes a voxel of one grid to the place of its middle among the voxels of another: rows of (x, y, z).
struct passage {
  double m[3][4];

  passage(const grid& from, const grid& to) {
    const auto& a = to.affine;
    const auto minor = [&](std::size_t r, std::size_t c) {
      const std::size_t r1 = (r + 1) % 3, r2 = (r + 2) % 3, c1 = (c + 1) % 3, c2 = (c + 2) % 3;
      return a[r1][c1] * a[r2][c2] - a[r1][c2] * a[r2][c1];
    };
    const double det = a[0][0] * minor(0, 0) + a[0][1] * minor(0, 1) + a[0][2] * minor(0, 2);
    const auto s = spacing(to);
    if (!(std::abs(det) > 1e-9 * s[0] * s[1] * s[2]) || !std::isfinite(det))
      fail("grid: expected an affine that has an inverse, found none");
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t c = 0; c < 4; ++c) {
        m[r][c] = 0;
        for (std::size_t k = 0; k < 3; ++k) m[r][c] += minor(k, r) / det * (from.affine[k][c] - (c == 3 ? a[k][3] : 0));
      }
  }
  /// Of voxel (d, h, w) along axis 0, 1 or 2.
  double place(int axis, std::int64_t d, std::int64_t h, std::int64_t w) const {
    const double* r = m[2 - axis];
    return r[0] * static_cast<double>(w) + r[1] * static_cast<double>(h) + r[2] * static_cast<double>(d) + r[3];
  }
};

/// f(taps along depth, height, width) for each voxel of `to`, in order. Where the axes of both grids are parallel, taps are made once.
template <class F>
void each_voxel(const grid& to, const grid& from, interpolation how, const F& f) {
  const passage p(to, from);
  const auto axis_taps = [&](int a, std::int64_t d, std::int64_t h, std::int64_t w) {
    const double tie = how == interpolation::nearest ? 1e-8 : 0;  // halfway is the next voxel, also where the affine was rounded
    return taps_of(p.place(a, d, h, w) + tie, from.extent[a], how);
  };
  const bool parallel = p.m[0][1] == 0 && p.m[0][2] == 0 && p.m[1][0] == 0 && p.m[1][2] == 0 && p.m[2][0] == 0 && p.m[2][1] == 0;
  std::vector<taps> row(static_cast<std::size_t>(to.extent.w));
  for (std::int64_t w = 0; w < to.extent.w && parallel; ++w) row[static_cast<std::size_t>(w)] = axis_taps(2, 0, 0, w);
  for (std::int64_t d = 0; d < to.extent.d; ++d)
    for (std::int64_t h = 0; h < to.extent.h; ++h) {
      const taps depth = axis_taps(0, d, h, 0), height = axis_taps(1, d, h, 0);
      for (std::int64_t w = 0; w < to.extent.w; ++w) {
        if (parallel)
          f(depth, height, row[static_cast<std::size_t>(w)]);
        else
          f(axis_taps(0, d, h, w), axis_taps(1, d, h, w), axis_taps(2, d, h, w));
      }
    }
}

}  // namespace detail

/// The image on grid `to`, whatever its orientation, spacing and extents. Where `to` reaches beyond the image's voxels, `outside`. Whole
/// numbers are rounded to and held within their range, as in all that follows.
template <class T>
image<T> resampled(const image<T>& x, const grid& to, interpolation how, double outside = 0) {
  detail::check_extents(x);
  const size3& e = x.at.extent;
  std::vector<double> spline;
  if (how == interpolation::cubic) {
    spline.assign(x.voxels.begin(), x.voxels.end());
    for (int a = 0; a < 3; ++a)
      detail::each_line(e, a, [&](std::int64_t at, std::int64_t n, std::int64_t s) { detail::spline_line(spline.data() + at, n, s); });
  }
  image<T> y{tensor_of<T>(to.extent), to};
  T* out = y.voxels.data();
  const auto run = [&](const auto* from) {
    detail::each_voxel(to, x.at, how, [&](const detail::taps& d, const detail::taps& h, const detail::taps& w) {
      if (d.count == 0 || h.count == 0 || w.count == 0) {
        *out++ = detail::rounded<T>(outside);
        return;
      }
      double sum = 0;
      for (int i = 0; i < d.count; ++i)
        for (int j = 0; j < h.count; ++j) {
          const auto* const line = from + (d.at[i] * e.h + h.at[j]) * e.w;
          double part = 0;
          for (int k = 0; k < w.count; ++k) part += w.weight[k] * static_cast<double>(line[w.at[k]]);
          sum += d.weight[i] * h.weight[j] * part;
        }
      *out++ = detail::rounded<T>(sum);
    });
  };
  if (spline.empty())
    run(x.voxels.data());
  else
    run(spline.data());
  return y;
}

/// Labels on grid `to`: of the labels around a place, the one with the largest share of linear interpolation; the smaller one among equals.
template <class T>
image<T> resampled_labels(const image<T>& x, const grid& to, T outside = T(0)) {
  detail::check_extents(x);
  const size3& e = x.at.extent;
  image<T> y{tensor_of<T>(to.extent), to};
  T* out = y.voxels.data();
  detail::each_voxel(to, x.at, interpolation::linear, [&](const detail::taps& d, const detail::taps& h, const detail::taps& w) {
    T label[8]{};
    double share[8]{};
    int n = 0;
    for (int i = 0; i < d.count; ++i)
      for (int j = 0; j < h.count; ++j)
        for (int k = 0; k < w.count; ++k) {
          const T l = x.voxels.data()[(d.at[i] * e.h + h.at[j]) * e.w + w.at[k]];
          const int at = static_cast<int>(std::find(label, label + n, l) - label);
          if (at == n) label[n++] = l;
          share[at] += d.weight[i] * h.weight[j] * w.weight[k];
        }
    int best = 0;
    for (int i = 1; i < n; ++i)
      if (share[i] > share[best] + 1e-9 || (share[i] > share[best] - 1e-9 && label[i] < label[best])) best = i;
    *out++ = n > 0 ? label[best] : outside;
  });
  return y;
}

/// Gaussian blur with these standard deviations in voxels along depth, height and width, cut off at four of them; border voxels repeat
/// outside. Throws shape_error unless they are 0 to 100000. (scipy.ndimage.gaussian_filter, mode "nearest".)
template <class T>
xt::xtensor<T, 3> blurred(xt::xtensor<T, 3> v, const std::array<double, 3>& sigma) {
  const size3 e = extent_of(v);
  for (int a = 0; a < 3; ++a) {
    const double s = sigma[static_cast<std::size_t>(a)];
    if (!(s >= 0 && s <= 1e5)) fail("blurred: expected standard deviations of 0 to 100000 voxels, found " + std::to_string(s));
    const auto radius = static_cast<std::int64_t>(4 * s + 0.5);
    if (radius < 1) continue;
    std::vector<double> weight, line(static_cast<std::size_t>(e[a] + 2 * radius));
    double total = 0;
    for (std::int64_t k = -radius; k <= radius; ++k) {
      weight.push_back(std::exp(-0.5 * static_cast<double>(k * k) / (s * s)));
      total += weight.back();
    }
    detail::each_line(e, a, [&](std::int64_t at, std::int64_t n, std::int64_t stride) {
      for (std::int64_t i = -radius; i < n + radius; ++i)
        line[static_cast<std::size_t>(i + radius)] = static_cast<double>(v.data()[at + std::clamp<std::int64_t>(i, 0, n - 1) * stride]);
      for (std::int64_t i = 0; i < n; ++i) {
        double sum = 0;
        for (std::size_t k = 0; k < weight.size(); ++k) sum += weight[k] * line[static_cast<std::size_t>(i) + k];
        v.data()[at + i * stride] = detail::rounded<T>(sum / total);
      }
    });
  }
  return v;
}
/// resampled() for fewer voxels: where a voxel of `to` is f times as large, the image is blurred before with (f - 1) / 2 voxels.
/// (scikit-image's anti_aliasing.) `to` is to have the image's axes.
template <class T>
image<T> reduced(const image<T>& x, const grid& to, interpolation how, double outside = 0) {
  const auto old = spacing(x.at), wanted = spacing(to);
  std::array<double, 3> sigma{};
  for (std::size_t a = 0; a < 3; ++a) sigma[a] = std::max(0.0, (wanted[a] / old[a] - 1) / 2);
  return resampled(image<T>{blurred(x.voxels, sigma), x.at}, to, how, outside);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::imaging
