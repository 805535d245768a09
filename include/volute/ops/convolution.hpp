// Convolution (cross-correlation) of volumes: attributes, geometry, and the three faces of one trilinear form <conv(x, w), g>.
#pragma once

#include <volute/core/extents.hpp>

#include <cstdint>

namespace volute::ops {

/// Everything that a convolution kernel must know, and so its template argument: y = conv(x, w) with
/// x (batch, in_channels, in[0..2]), w (out_channels, in_channels / groups, kernel[0..2]), y (batch, out_channels, out[0..2]),
/// y[n,o,q] = sum_{i,k} w[o,i,k] * x[n, i, q * stride - lo + k * dilation], x = 0 outside; axes are depth, height, width.
/// The high side's padding is what `out` implies; out[a] = (in[a] + lo[a] + hi[a] - dilation[a] * (kernel[a] - 1) - 1) / stride[a] + 1.
/// The last input planes may be read by no output at all (a stride that does not divide evenly).
struct conv_geometry {
  std::int64_t batch = 1, in_channels = 1, out_channels = 1, groups = 1;
  std::int64_t in[3]{1, 1, 1};
  std::int64_t out[3]{1, 1, 1};
  std::int64_t kernel[3]{1, 1, 1};
  std::int64_t stride[3]{1, 1, 1};
  std::int64_t lo[3]{0, 0, 0};
  std::int64_t dilation[3]{1, 1, 1};
  friend constexpr bool operator==(const conv_geometry&, const conv_geometry&) = default;

  constexpr std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  constexpr std::int64_t in_volume() const { return in[0] * in[1] * in[2]; }
  constexpr std::int64_t out_volume() const { return out[0] * out[1] * out[2]; }
  constexpr std::int64_t group_in() const { return in_channels / groups; }
  constexpr std::int64_t group_out() const { return out_channels / groups; }
  constexpr std::int64_t x_size() const { return batch * in_channels * in_volume(); }
  constexpr std::int64_t y_size() const { return batch * out_channels * out_volume(); }
  constexpr std::int64_t w_size() const { return out_channels * group_in() * taps(); }
};

}  // namespace volute::ops
