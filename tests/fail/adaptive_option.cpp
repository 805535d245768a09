// expect: layer
// expect: adaptive_conv3d has no such
// expect: got option 2
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

struct net {
#if defined(VOLUTE_CONTROL)
  nn::named<"layer", nn::adaptive_conv3d_mod<4, nn::dim_out<8>, nn::time_kernel<1>>> layer;
#else
  nn::named<"layer", nn::adaptive_conv3d_mod<4, nn::dim_out<8>, nn::kernel<3>>> layer;
#endif
  constexpr auto operator()(expression auto x, expression auto mod) const { return layer(x, mod); }
};
inline constexpr auto y = net{}(input<"x", 1, 4, 4, 8, 8>, input<"mod", 1, 4>);
