// Layers that leave numbers out in training.
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

namespace detail {
/// x where the noise is P at least, over 1 - P; else 0.
template <double P, class X, class U>
constexpr auto dropped(X x, U noise) {
  if constexpr (!(P >= 0 && P <= 1))
    return failed<text(""), text("dropout wants 0 <= p <= 1"), text("got another")>{};
  else if constexpr (P == 0)
    return x;
  else if constexpr (P == 1)
    return by_mode(x * 0_c, x);
  else
    return by_mode(select(noise < constant<P>, 0_c, x * constant<1 / (1 - P)>), x);
}
}  // namespace detail

/// In training each element becomes 0 with probability P, and the others are divided by 1 - P; other elements in every run. In inference
/// the input itself. (Srivastava et al. 2014.)
template <auto P = 0.5>
struct dropout : layer<dropout<P>> {
  static constexpr text kind = "dropout";
  template <expression X>
  static constexpr auto forward(X x) {
    return detail::dropped<static_cast<double>(P)>(x, noise_node<"mask", 0, X::shape()>{});
  }
};

/// The same for whole channels of a sample: (N, C, D, H, W).
template <auto P = 0.5>
struct dropout3d : layer<dropout3d<P>> {
  static constexpr text kind = "dropout3d";
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    if constexpr (e.rank != 5) {
      constexpr line got = line("got ") << e;
      return failed<text(""), text("dropout3d wants rank 5"), to_text<got>()>{};
    } else {
      return detail::dropped<static_cast<double>(P)>(x, noise_node<"mask", 0, make_extents(e[0], e[1], 1, 1, 1)>{});
    }
  }
};

/// The same for whole samples of a batch, (N, ...): stochastic depth, as torchvision.ops.StochasticDepth by rows. What stands in a residual
/// branch behind it is left out for a sample with probability P. (Huang et al. 2016, https://arxiv.org/abs/1603.09382)
template <auto P = 0.5>
struct drop_path : layer<drop_path<P>> {
  static constexpr text kind = "drop_path";
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents one_each = [] {
      extents e = X::shape();
      for (int a = 1; a < e.rank; ++a) e[a] = 1;
      return e;
    }();
    return detail::dropped<static_cast<double>(P)>(x, noise_node<"mask", 0, one_each>{});
  }
};

}  // namespace volute::nn
