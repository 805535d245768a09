// expect: layer 2
// expect: conv3d wants kernel <= input
// expect: got (3,3,3) on (1,8,1,1,1)
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int voxels = 10;
#else
constexpr int voxels = 3;
#endif

struct net : nn::sequential<
    nn::conv3d<1, 8, nn::kernel<3>>,  nn::relu,
    nn::conv3d<8, 16, nn::kernel<3>>, nn::relu,
    nn::max_pool3d<2>, nn::flatten, nn::linear<16 * 3 * 3 * 3, 10>> {};

int main() {
  model<net, input<"x", 1, 1, voxels, voxels, voxels>> m;
  m.initialize(1);
  const xt::xtensor<float, 5> batch = xt::ones<float>({1, 1, 10, 10, 10});
  const xt::xtensor<float, 2> logits = m(batch);
  return logits(0, 0) == logits(0, 0) ? 0 : 1;
}
