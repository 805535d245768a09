// expect: layer 1
// expect: conv_transpose3d: 8 channels
// expect: got 4 in (1,4,5,5,5)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 8;
#else
constexpr int channels = 4;
#endif

using net = nn::sequential<nn::relu, nn::conv_transpose3d<8, 2, nn::kernel<2>, nn::stride<2>>>;
inline constexpr auto y = net{}(input<"x", 1, channels, 5, 5, 5>);
