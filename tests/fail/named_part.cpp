// expect: layer 3.conv1
// expect: conv3d wants 16 channels
// expect: got 8 in (1,8,6,6,6)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 8;
#else
constexpr int channels = 16;
#endif

struct block {
  nn::named<"conv1", nn::conv3d<channels, 8, nn::kernel<3>, nn::padding<1>>> conv1;
  nn::named<"conv2", nn::conv3d<8, 8, nn::kernel<3>, nn::padding<1>>> conv2;
  constexpr auto operator()(expression auto x) const { return x + conv2(relu(conv1(x))); }
};
using net = nn::sequential<nn::conv3d<1, 8, nn::kernel<3>>, nn::relu, nn::identity, block, nn::relu>;
inline constexpr auto y = net{}(input<"x", 1, 1, 8, 8, 8>);
