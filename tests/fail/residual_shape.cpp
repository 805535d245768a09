// expect: layer 1
// expect: residual wants (1,4,8,8,8)
// expect: got (1,4,6,6,6)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using border = nn::padding<1>;
#else
using border = nn::padding<0>;
#endif

using net = nn::sequential<nn::conv3d<1, 4, nn::kernel<1>>, nn::residual<nn::conv3d<4, 4, nn::kernel<3>, border>, nn::relu>>;
inline constexpr auto y = net{}(input<"x", 1, 1, 8, 8, 8>);
