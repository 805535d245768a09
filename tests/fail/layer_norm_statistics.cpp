// expect: norm
// expect: norm wants statistics (2,3)
// expect: got (3,2) beside (1,3,4,4,4)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr auto statistics = input<"s", 2, 3>;
#else
constexpr auto statistics = input<"s", 3, 2>;
#endif

struct net {
  nn::named<"norm", nn::instance_norm3d<3>> norm;
  constexpr auto operator()(expression auto x, expression auto s) const { return relu(norm(x, s)); }
};
inline constexpr auto y = invoke<net>(input<"x", 1, 3, 4, 4, 4>, statistics);
