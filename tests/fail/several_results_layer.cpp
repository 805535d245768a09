// expect: layer down.conv
// expect: conv3d wants 8 channels
// expect: got 16
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 8;
#else
constexpr int channels = 16;
#endif

struct down {
  nn::named<"conv", nn::conv3d<8, 8, nn::kernel<3>, nn::same>> conv;
  constexpr auto operator()(expression auto x) const {
    const auto y = conv(x);
    return std::tuple{y, max_pool3d(y, kernel<2>)};
  }
};

inline constexpr auto both = nn::named<"down", down>{}(input<"x", 1, channels, 4, 4, 4>);
inline constexpr auto y = std::get<0>(both) + upsample(std::get<1>(both), scale_factor<2>);
