// Larger volumes by whole factors.
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

/// (N, C, D, H, W) -> (N, C, D * s, H * s, W * s): upsample<scale<2>>, upsample<scale<1, 2, 2>, trilinear>, upsample<scale<2>, trilinear,
/// align_corners>. As torch.nn.Upsample.
template <class Scale, class... Mode>
struct upsample : layer<upsample<Scale, Mode...>> {
  static constexpr text kind = "upsample";
  static constexpr auto forward(expression auto x) {
    if constexpr (requires { volute::upsample(x, Scale{}, Mode{}...); })
      return volute::upsample(x, Scale{}, Mode{}...);
    else
      return failed<text(""), text("upsample wants scale<...> and mode"), text("got other options")>{};
  }
};

}  // namespace volute::nn
