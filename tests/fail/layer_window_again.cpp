// expect: layer
// expect: option once
// expect: got option 3 again
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

struct net {
#if defined(VOLUTE_CONTROL)
  nn::named<"layer", nn::shifted_window_attention<8, 2, nn::window<2, 4, 4>, nn::shift<1, 2, 2>>> layer;
#else
  nn::named<"layer", nn::shifted_window_attention<8, 2, nn::window<2, 4, 4>, nn::shift<1, 2, 2>, nn::window<4, 4, 4>>> layer;
#endif
  constexpr auto operator()(expression auto x) const { return layer(x); }
};
inline constexpr auto y = net{}(input<"x", 1, 4, 8, 8, 8>);
