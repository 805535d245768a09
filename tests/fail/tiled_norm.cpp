// expect: layer 1.norm
// expect: tiles: neighbourhoods along
// expect-gcc: depth
// expect: got a mean over all voxels
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using chosen = nn::batch_norm3d<4>;
#else
using chosen = nn::instance_norm3d<4>;
#endif

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::sequential<nn::relu, nn::named<"norm", chosen>>,
                            nn::conv3d<4, 2, nn::kernel<1>>> {};
void use() {
  tiled<net, input<"x", 1, 1, 16, 16, 16>> t;
  (void)t;
}
