// expect: sweeps: one network for all
// expect: got another one for 2 times
#include <volute/volumes/swept.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

struct per_voxel : nn::layer<per_voxel> {
#if defined(VOLUTE_CONTROL)
  template <expression X>
  static constexpr auto forward(X x) { return x * constant<1.0 / X::shape()[1]>; }
#else
  template <expression X>
  static constexpr auto forward(X x) { return x * constant<1.0 / X::shape().size()>; }
#endif
};

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::instance_norm3d<4>, per_voxel> {};
void use() {
  swept<net, input<"x", 1, 1, 16, 16, 16>> t;
  (void)t;
}
