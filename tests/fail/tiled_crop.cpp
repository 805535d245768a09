// expect: tiles: one network for all
// expect: got another one for 1,1,1 more
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

struct crop : nn::layer<crop> {
#if defined(VOLUTE_CONTROL)
  static constexpr auto forward(expression auto x) { return slice(x, axis<2>, range<2, -2>); }
#else
  static constexpr auto forward(expression auto x) { return slice(x, axis<2>, range<2, 14>); }
#endif
};

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, crop> {};
void use() {
  tiled<net, input<"x", 1, 1, 16, 16, 16>> t;
  (void)t;
}
