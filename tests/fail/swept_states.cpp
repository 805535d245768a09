// expect: sweeps: constant weights
// expect: got states that change
#include <volute/volumes/swept.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using chosen = nn::instance_norm3d<4>;
#else
using chosen = nn::batch_norm3d<4>;
#endif

struct layers : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, chosen> {};
struct net {
  layers l;
  constexpr auto operator()(expression auto x) const { return training(l(x)); }
};
void use() {
  swept<net, input<"x", 1, 1, 16, 16, 16>> t;
  (void)t;
}
