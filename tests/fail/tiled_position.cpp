// expect: layer 1
// expect: tiles: neighbourhoods along
// expect: got another value at each place
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

struct placed : nn::layer<placed> {
  static constexpr text kind = "placed";
#if defined(VOLUTE_CONTROL)
  static constexpr auto forward(expression auto x) { return x + parameter<"where", 1, 4, 1, 1, 1>; }
#else
  static constexpr auto forward(expression auto x) { return x + parameter<"where", 1, 1, 1, 1, 16>; }
#endif
};

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, placed> {};
void use() {
  tiled<net, input<"x", 1, 1, 16, 16, 16>> t;
  (void)t;
}
