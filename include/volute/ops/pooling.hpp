// Pooling over the last three axes of (N, C, D, H, W): window geometry for maximum and average, forward and adjoint.
#pragma once

#include <volute/ops/rule.hpp>

#include <cstdint>

namespace volute::ops {

/// Window o of axis a covers the input positions o * stride[a] - lo[a] + k * dilation[a], k = 0 .. kernel[a]-1, clipped to [0, in[a]).
/// With `adaptive`, window o covers [floor(o * in / out), ceil((o + 1) * in / out)) instead and kernel, stride, lo, dilation are not used.
/// Average: divides by the taps that fall on the padded input [-lo, in + hi) when `count_include_pad`, else by the taps inside the input;
/// `divisor` > 0 overrides both. `planes` is N * C: every plane of D*H*W elements is pooled on its own.
struct pool_geometry {
  std::int64_t planes = 1;
  std::int64_t in[3]{1, 1, 1};
  std::int64_t out[3]{1, 1, 1};
  std::int64_t kernel[3]{1, 1, 1};
  std::int64_t stride[3]{1, 1, 1};
  std::int64_t lo[3]{0, 0, 0};
  std::int64_t hi[3]{0, 0, 0};
  std::int64_t dilation[3]{1, 1, 1};
  std::int64_t divisor = 0;
  bool count_include_pad = true;
  bool adaptive = false;
  friend constexpr bool operator==(const pool_geometry&, const pool_geometry&) = default;
};

/// The window of a pooling primitive in 64-bit fields; `geometry` adds what the shapes know.
struct pool_window {
  std::int64_t kernel[3]{1, 1, 1}, stride[3]{1, 1, 1}, lo[3]{}, hi[3]{}, dilation[3]{1, 1, 1};
  std::int64_t divisor = 0, count_include_pad = 1, adaptive = 0;

  constexpr pool_geometry geometry(const extents& x, const extents& y) const {
    pool_geometry q;
    q.planes = x[0] * x[1];
    for (int a = 0; a < 3; ++a) {
      q.in[a] = x[2 + a], q.out[a] = y[2 + a];
      q.kernel[a] = kernel[a], q.stride[a] = stride[a], q.lo[a] = lo[a], q.hi[a] = hi[a], q.dilation[a] = dilation[a];
    }
    q.divisor = divisor, q.count_include_pad = count_include_pad != 0, q.adaptive = adaptive != 0;
    return q;
  }
};

/// gather (x, v): v at the place of the maximum of x in each window; max pooling is gather(x, x). scatter (x, g): its adjoint in v.
struct max_pool {
  pool_window window{};
  std::int64_t scatters = 0;

  template <class R>
  static constexpr void derivative(const max_pool& op, R& r) {
    max_pool other = op;
    other.scatters = 1 - op.scatters;
    r.give(1, r.max_pool(other, r.x(0), r.g, r.shape(1)));
  }
};

/// Averages of windows, or the adjoint of that; linear, so each is the derivative of the other.
struct avg_pool {
  pool_window window{};
  std::int64_t adjoint = 0;

  template <class R>
  static constexpr void derivative(const avg_pool& op, R& r) {
    avg_pool other = op;
    other.adjoint = 1 - op.adjoint;
    r.give(0, r.avg_pool(other, r.g, r.shape(0)));
  }
};

}  // namespace volute::ops
