// expect: layer 1
// expect: conv3d wants nn::kernel
// expect: got none
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using convolution = nn::conv3d<6, 4, nn::kernel<3>>;
#else
using convolution = nn::conv3d<6, 4>;
#endif

using net = nn::sequential<nn::relu, convolution>;
inline constexpr auto y = net{}(input<"x", 1, 6, 4, 4, 4>);
