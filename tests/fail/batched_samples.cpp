// expect: layer 1
// expect: batched: each sample by itself
// expect: got a mean over all voxels
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

struct centred : nn::layer<centred> {
  static constexpr text kind = "centred";
#if defined(VOLUTE_CONTROL)
  static constexpr auto forward(expression auto x) { return x - mean(x, axes<1>, keepdims); }
#else
  static constexpr auto forward(expression auto x) { return x - mean(x, axes<0>, keepdims); }
#endif
};

struct net : nn::sequential<nn::linear<4, 8>, centred> {};
void use() {
  batched<net, input<"x", 1, 4>, 1, 4> b;
  (void)b;
}
