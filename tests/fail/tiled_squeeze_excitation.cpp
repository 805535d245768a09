// expect: layer 2
// expect: tiles: neighbourhoods along
// expect: got a mean over all voxels
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using gate = nn::relu;
#else
using gate = nn::squeeze_excitation<4, 2>;
#endif

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::relu, gate> {};
void use() {
  tiled<net, input<"x", 1, 1, 16, 16, 16>> t;
  (void)t;
}
