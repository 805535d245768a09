// expect: norm
// expect: group_norm: an option once
// expect: got option 3 again
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

struct net {
#if defined(VOLUTE_CONTROL)
  nn::named<"norm", nn::group_norm<2, 4, nn::eps<1e-3>, nn::affine<false>>> norm;
#else
  nn::named<"norm", nn::group_norm<2, 4, nn::eps<1e-3>, nn::affine<false>, nn::eps<1e-5>>> norm;
#endif
  constexpr auto operator()(expression auto x) const { return norm(x); }
};
inline constexpr auto y = net{}(input<"x", 1, 4, 8, 8, 8>);
