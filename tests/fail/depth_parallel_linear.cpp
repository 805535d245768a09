// expect: layer 3
// expect: depth_parallel: slabs and halos
// expect-gcc: got voxels of several places together
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using chosen = nn::adaptive_avg_pool3d<1>;
constexpr int values = 2;
#else
using chosen = nn::identity;
constexpr int values = 2 * 4 * 4 * 4;
#endif

struct net : nn::sequential<nn::conv3d<1, 2, nn::kernel<3>, nn::same>, chosen, nn::flatten, nn::linear<values, 3>> {};
void use() {
  model<nn::depth_parallel<net>, input<"x", 1, 1, 4, 4, 4>> m;
  (void)m;
}
