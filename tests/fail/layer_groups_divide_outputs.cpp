// expect: layer 1
// expect: conv3d wants outputs / groups
// expect: got 5 outputs, groups 2
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 4;
#else
constexpr int channels = 5;
#endif

using net = nn::sequential<nn::relu, nn::conv3d<6, channels, nn::kernel<3>, nn::groups<2>>>;
inline constexpr auto y = net{}(input<"x", 1, 6, 4, 4, 4>);
