// expect: tiles: volumes (N,C,D,H,W) of
// expect: got none, or several sizes
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

struct net : nn::layer<net> {
  static constexpr auto forward(expression auto x, expression auto y) {
    return x + upsample(y, scale_factor<decltype(x)::shape()[2] / decltype(y)::shape()[2]>);
  }
};
void use() {
#if defined(VOLUTE_CONTROL)
  tiled<net, input<"x", 1, 1, 16, 16, 16>, input<"y", 1, 1, 16, 16, 16>> t;
#else
  tiled<net, input<"x", 1, 1, 16, 16, 16>, input<"y", 1, 1, 8, 8, 8>> t;
#endif
  (void)t;
}
