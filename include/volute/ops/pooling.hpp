// Pooling over the last three axes of (N, C, D, H, W): window geometry for maximum and average, forward and adjoint.
#pragma once

#include <volute/core/extents.hpp>

#include <cstdint>

namespace volute::ops {

/// Window o of axis a covers the input positions o * stride[a] - lo[a] + k * dilation[a], k = 0 .. kernel[a]-1, clipped to [0, in[a]).
/// With `adaptive`, window o covers [floor(o * in / out), ceil((o + 1) * in / out)) instead and kernel, stride, lo, dilation are not used.
/// Average: divides by the taps that fall on the padded input [-lo, in + hi) when `count_include_pad`, else by the taps inside the input; `divisor` > 0 overrides both.
/// `planes` is N * C: every plane of D*H*W elements is pooled on its own.
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

}  // namespace volute::ops
