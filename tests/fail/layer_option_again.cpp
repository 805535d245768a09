// expect: down
// expect: avg_pool3d: an option once
// expect: got option 3 again
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using option_given = nn::padding<1>;
#else
using option_given = nn::stride<1>;
#endif

struct net {
  nn::named<"down", nn::avg_pool3d<2, nn::stride<2>, nn::ceil_mode, option_given>> down;
  constexpr auto operator()(expression auto x) const { return down(x); }
};
inline constexpr auto y = net{}(input<"x", 1, 4, 8, 8, 8>);
