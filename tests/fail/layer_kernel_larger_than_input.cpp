// expect: layer 2
// expect: conv3d wants kernel <= input
// expect-gcc: got (3,3,3) on (1,4,2,2,2)
// expect-clang: got (3,3,3) on
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int extent = 10;
#else
constexpr int extent = 4;
#endif

using net = nn::sequential<nn::conv3d<1, 4, nn::kernel<3>>, nn::relu, nn::conv3d<4, 4, nn::kernel<3>>>;
inline constexpr auto y = net{}(input<"x", 1, 1, extent, extent, extent>);
