// Volumes of another size.
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

/// Any size or factor: interpolate<output_size<16, 32, 32>, trilinear>, interpolate<scale<1.5>, cubic, align_corners>. Modes: nearest,
/// nearest_exact, trilinear, cubic. As torch.nn.Upsample.
template <class To, class... Mode>
struct interpolate : layer<interpolate<To, Mode...>> {
  static constexpr text kind = "interpolate";
  static constexpr auto forward(expression auto x) {
    if constexpr (requires { volute::interpolate(x, To{}, Mode{}...); })
      return volute::interpolate(x, To{}, Mode{}...);
    else
      return failed<text(""), text("interpolate: size or scale, mode"), text("got other options")>{};
  }
};

}  // namespace volute::nn
