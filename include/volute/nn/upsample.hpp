// Larger volumes by whole factors.
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

/// By how much each axis grows: one number or three.
template <std::int64_t... V>
struct scale {
  static constexpr ops::triple value = option::to_triple<V...>();
};
/// Each voxel is repeated.
struct nearest {};

namespace detail {
constexpr ops::inferred upsample_check(const extents& x, const ops::triple& s) {
  if (x.rank != 5) return ops::refuse(line("upsample wants (N,C,D,H,W)"), line("got ") << x);
  if (const ops::inferred r = ops::check_counts(line("upsample"), {s}); !r.ok()) return r;
  if (s.d < 1 || s.h < 1 || s.w < 1) return ops::refuse(line("upsample wants scale >= 1"), line("got ") << s);
  return {};
}
}  // namespace detail

/// (N, C, D, H, W) -> (N, C, D * s, H * s, W * s): upsample<scale<2>>, upsample<scale<1, 2, 2>, nearest>.
template <class Scale, class Mode = nearest>
struct upsample;

template <std::int64_t... V>
struct upsample<scale<V...>, nearest> : layer<upsample<scale<V...>, nearest>> {
  static constexpr text kind = "upsample";
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    constexpr ops::triple s = scale<V...>::value;
    constexpr ops::inferred r = detail::upsample_check(e, s);
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      // Every voxel as a block of its copies, which the elementwise kernel writes; the gradient is the sum over a block.
      constexpr std::int64_t n = e[0] * e[1];
      const auto blocks = broadcast_to(reshape(x, shape<n, e[2], 1, e[3], 1, e[4], 1>), shape<n, e[2], s.d, e[3], s.h, e[4], s.w>);
      return reshape(blocks, shape<e[0], e[1], e[2] * s.d, e[3] * s.h, e[4] * s.w>);
    }
  }
};

}  // namespace volute::nn
