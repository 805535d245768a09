// expect: tiles: one network for all
// expect: got another one for 1,1,1 more
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

// A border that comes from the other end, beside one that repeats its own.
struct border : nn::layer<border> {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr auto n = X::shape()[2];
#if defined(VOLUTE_CONTROL)
    return concat(axis<2>, slice(x, axis<2>, range<0, 1>), x, slice(x, axis<2>, range<n - 1, n>));
#else
    return concat(axis<2>, slice(x, axis<2>, range<n - 1, n>), x, slice(x, axis<2>, range<0, 1>));
#endif
  }
};

struct net : nn::sequential<border, nn::conv3d<1, 4, nn::kernel<3>, nn::padding<0, 1, 1>>> {};
void use() {
  tiled<net, input<"x", 1, 1, 16, 16, 16>> t;
  (void)t;
}
