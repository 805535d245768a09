// Convolution (cross-correlation) of volumes: attributes, geometry, and the three faces of one trilinear form <conv(x, w), g>.
#pragma once

#include <volute/ops/rule.hpp>

#include <cstdint>

namespace volute::ops {

/// How a convolution may be computed: every product of its sums (direct), or fewer by minimal filtering (Winograd) where that is possible and
/// pays. Asked for by minimal_filtering(); results differ in their last bits, and an infinity or NaN spreads over its tile.
enum class filtering : std::int64_t { direct, minimal };

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
  ops::filtering filtering = filtering::direct;
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

/// The three: y by (x, w), dx by (g, w), dw by (x, g).
enum class face : std::int64_t { forward, data, weights };

/// The primitive: one face of the form. Operands are (x, w), (g, w) or (x, g); `extent` is what they leave open: the spatial extents
/// of the result (forward: y, data: x) or of the kernel (weights). The derivative of each face is made of the other two.
struct convolution {
  std::int64_t which = 0;
  std::int64_t stride[3]{1, 1, 1};
  std::int64_t lo[3]{0, 0, 0};
  std::int64_t dilation[3]{1, 1, 1};
  std::int64_t groups = 1;
  std::int64_t extent[3]{};
  std::int64_t filtering = 0;  // of ops::filtering; the derivatives' is the same
  constexpr ops::face face() const { return static_cast<ops::face>(which); }

  constexpr convolution as(ops::face f, const extents& like) const {
    convolution c = *this;
    c.which = static_cast<std::int64_t>(f);
    for (int a = 0; a < 3; ++a) c.extent[a] = like[2 + a];
    return c;
  }

  /// The geometry from the operands' shapes.
  constexpr conv_geometry geometry(const extents& first, const extents& second) const {
    conv_geometry q;
    q.groups = groups;
    q.batch = first[0];
    q.filtering = static_cast<ops::filtering>(filtering);
    for (int a = 0; a < 3; ++a) {
      q.stride[a] = stride[a], q.lo[a] = lo[a], q.dilation[a] = dilation[a];
      q.in[a] = face() == ops::face::data ? extent[a] : first[2 + a];
      q.out[a] = face() == ops::face::forward ? extent[a] : face() == ops::face::data ? first[2 + a] : second[2 + a];
      q.kernel[a] = face() == ops::face::weights ? extent[a] : second[2 + a];
    }
    q.in_channels = face() == ops::face::data ? second[1] * groups : first[1];
    q.out_channels = face() == ops::face::weights ? second[1] : second[0];
    return q;
  }

  constexpr extents shape(const conv_geometry& q) const {
    if (face() == ops::face::forward) return make_extents(q.batch, q.out_channels, q.out[0], q.out[1], q.out[2]);
    if (face() == ops::face::data) return make_extents(q.batch, q.in_channels, q.in[0], q.in[1], q.in[2]);
    return make_extents(q.out_channels, q.group_in(), q.kernel[0], q.kernel[1], q.kernel[2]);
  }

  VOLUTE_EXHAUSTIVE_BEGIN
  template <class R>
  static constexpr void derivative(const convolution& op, R& r) {
    const auto a = r.x(0), b = r.x(1), g = r.g;
    const auto conv = [&](ops::face f, auto p, auto q, const extents& like) { return r.convolution(op.as(f, like), p, q); };
    switch (op.face()) {
      case ops::face::forward:  // y = conv(x, w)
        if (r.needs(0)) r.give(0, conv(ops::face::data, g, b, r.shape(0)));
        if (r.needs(1)) r.give(1, conv(ops::face::weights, a, g, r.shape(1)));
        return;
      case ops::face::data:  // dx = data(gy, w)
        if (r.needs(0)) r.give(0, conv(ops::face::forward, g, b, r.shape(0)));
        if (r.needs(1)) r.give(1, conv(ops::face::weights, g, a, r.shape(1)));
        return;
      case ops::face::weights:  // dw = weights(x, gy)
        if (r.needs(0)) r.give(0, conv(ops::face::data, b, g, r.shape(0)));
        if (r.needs(1)) r.give(1, conv(ops::face::forward, a, g, r.shape(1)));
        return;
    }
  }
  VOLUTE_EXHAUSTIVE_END
};

}  // namespace volute::ops
