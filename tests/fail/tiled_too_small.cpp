// expect: tiles: more than 8 x 8 x 8
// expect: got 8 x 8 x 8
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int extent = 9;
#else
constexpr int extent = 8;
#endif

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<5>, nn::same>, nn::relu, nn::conv3d<4, 1, nn::kernel<5>, nn::same>> {};
void use() {
  tiled<net, input<"x", 1, 1, extent, extent, extent>> t;
  (void)t;
}
