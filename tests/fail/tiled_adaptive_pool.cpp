// expect: layer 1
// expect: tiles: neighbourhoods along
// expect: got pooling that adapts
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using pool = nn::avg_pool3d<2>;
#else
using pool = nn::adaptive_avg_pool3d<8>;
#endif

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, pool> {};
void use() {
  tiled<net, input<"x", 1, 1, 16, 16, 16>> t;
  (void)t;
}
