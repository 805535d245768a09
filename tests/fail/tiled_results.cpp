// expect: tiles: one result (N,C,D,H,W)
// expect: got several
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

struct net {
  nn::named<"a", nn::conv3d<1, 2, nn::kernel<3>, nn::same>> a;
  nn::named<"b", nn::conv3d<2, 2, nn::kernel<3>, nn::same>> b;
  constexpr auto operator()(expression auto x) const {
    const auto y = a(x);
#if defined(VOLUTE_CONTROL)
    return b(y);
#else
    return outputs(y, b(y));
#endif
  }
};
void use() {
  tiled<net, input<"x", 1, 1, 8, 8, 8>> t;
  (void)t;
}
