// expect: layer 1
// expect: conv3d wants channels / groups
// expect: got 6 channels, groups 4
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int parts = 2;
#else
constexpr int parts = 4;
#endif

using net = nn::sequential<nn::relu, nn::conv3d<6, 4, nn::kernel<3>, nn::groups<parts>>>;
inline constexpr auto y = net{}(input<"x", 1, 6, 4, 4, 4>);
