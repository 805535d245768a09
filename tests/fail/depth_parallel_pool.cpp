// expect: layer 1.0
// expect: depth_parallel: slabs and halos
// expect: got max_pool along depth
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using chosen = nn::max_pool3d<2>;
#else
using chosen = nn::max_pool3d<3, nn::stride<2>, nn::padding<1>>;
#endif

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::sequential<chosen, nn::relu>, nn::conv3d<4, 2, nn::kernel<1>>> {
};
void use() {
  model<nn::depth_parallel<net>, input<"x", 1, 1, 8, 8, 8>> m;
  (void)m;
}
