// What tests of minimal filtering share: its three faces against sums in double, and the largest errors.
#pragma once

#include "kernels_conv3d_support.hpp"

#include <algorithm>
#include <cmath>

namespace conv3d_test {

constexpr conv_geometry asked(conv_geometry g) {
  g.filtering = ops::filtering::minimal;
  return g;
}
template <conv_geometry G>
inline constexpr families minimal = of<float, G>(kernels::conv_family::minimal, kernels::conv_family::minimal,
                                                 kernels::weights_family::minimal);

/// Normal numbers (Box and Muller), the same for the same state.
inline std::vector<float> normal(int64_t n, unsigned state) {
  const std::vector<float> u = random(2 * n, state);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<float>(std::sqrt(-2 * std::log(1 - (static_cast<double>(u[2 * i]) + 0.5))) *
                              std::cos(6.283185307179586 * static_cast<double>(u[2 * i + 1])));
  return v;
}

/// The largest difference, in units of the largest value.
inline double error(const std::vector<float>& is, const std::vector<double>& right) {
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(is[i]) - right[i]);
    if (!(difference <= worst)) worst = difference;  // also of NaN
    largest = std::max(largest, std::fabs(right[i]));
  }
  return worst / largest;
}

/// The largest errors that a program met: forward and data, the filter's adjoint.
inline double largest_error[2]{};
inline double noted(double error, int face) { return largest_error[face] = std::max(largest_error[face], error), error; }

/// The operands of a check, and the three faces in double.
struct sums_in_double {
  std::vector<float> x, w, g;
  std::vector<double> y, dx, dw;
  explicit sums_in_double(const conv_geometry& geometry)
      : x(normal(geometry.x_size(), 1)), w(normal(geometry.w_size(), 2)), g(normal(geometry.y_size(), 3)), y(g.size()), dx(x.size()),
        dw(w.size()) {
    products(geometry, [&](int64_t ix, int64_t iw, int64_t iy) {
      const auto a = static_cast<std::size_t>(ix), b = static_cast<std::size_t>(iw), c = static_cast<std::size_t>(iy);
      y[c] += static_cast<double>(x[a]) * static_cast<double>(w[b]);
      dx[a] += static_cast<double>(g[c]) * static_cast<double>(w[b]);
      dw[b] += static_cast<double>(g[c]) * static_cast<double>(x[a]);
    });
  }
  void compare(const std::vector<float>& y_is, const std::vector<float>& dx_is, const std::vector<float>& dw_is) const {
    CHECK(noted(error(y_is, y), 0) < 4e-6);
    CHECK(noted(error(dx_is, dx), 0) < 4e-6);
    CHECK(noted(error(dw_is, dw), 1) < 6e-6);
  }
};

template <conv_geometry G>
void check_minimal(const char* name) {
  INFO(name);
  constexpr families f = minimal<G>;
  static_assert(f.y == kernels::conv_family::minimal && f.dx == f.y && f.dw == kernels::weights_family::minimal);
  const sums_in_double wanted(G);
  wanted.compare(forward<float, G, {}, false, f>(wanted.x, wanted.w), backward_data<float, G, {}, false, f>(wanted.g, wanted.w),
                 backward_weights<float, G, f>(wanted.x, wanted.g));
}

}  // namespace conv3d_test
