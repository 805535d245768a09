// expect: layer 1
// expect: conv3d has no such option
// expect: got option 2
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using second = nn::stride<1>;
#else
using second = nn::ceil_mode;
#endif

using net = nn::sequential<nn::relu, nn::conv3d<6, 4, nn::kernel<3>, second>>;
inline constexpr auto y = net{}(input<"x", 1, 6, 4, 4, 4>);
