// expect: layer 1
// expect: conv3d: 1, 3 or 6 paddings
// expect: got 2
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using border = nn::padding<1, 1, 1>;
#else
using border = nn::padding<1, 1>;
#endif

using net = nn::sequential<nn::relu, nn::conv3d<6, 4, nn::kernel<3>, border>>;
inline constexpr auto y = net{}(input<"x", 1, 6, 4, 4, 4>);
