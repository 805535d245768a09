// expect: layer 16
// expect: conv3d wants 8 channels
// expect: got 4 in (1,4,6,6,6)
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 4;
#else
constexpr int channels = 8;
#endif

using good = nn::conv3d<4, 4, nn::kernel<3>, nn::padding<1>>;
using middle = nn::conv3d<channels, 4, nn::kernel<3>, nn::padding<1>>;
struct net : nn::sequential<
    nn::conv3d<1, 4, nn::kernel<3>>, nn::relu, good, nn::relu, good, nn::relu, good, nn::relu, good, nn::relu,
    good, nn::relu, good, nn::relu, good, nn::relu, middle, nn::relu, good, nn::relu,
    good, nn::relu, good, nn::relu, good, nn::relu, good, nn::relu, good, nn::flatten> {};

int main() {
  model<net, input<"x", 1, 1, 8, 8, 8>> m;
  const xt::xtensor<float, 5> batch = xt::ones<float>({1, 1, 8, 8, 8});
  const xt::xtensor<float, 2> y = m(batch);
  return y(0, 0) == y(0, 0) ? 0 : 1;
}
