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

/// Groups of channels as blocks of voxels, (N, C s^3, D, H, W) -> (N, C, D s, H s, W s), and back. As torch.nn.PixelShuffle.
template <class Scale>
struct pixel_shuffle : layer<pixel_shuffle<Scale>> {
  static constexpr text kind = "pixel_shuffle";
  static constexpr auto forward(expression auto x) { return volute::pixel_shuffle(x, Scale{}); }
};
template <class Scale>
struct pixel_unshuffle : layer<pixel_unshuffle<Scale>> {
  static constexpr text kind = "pixel_unshuffle";
  static constexpr auto forward(expression auto x) { return volute::pixel_unshuffle(x, Scale{}); }
};

}  // namespace volute::nn
