// expect: layer 1
// expect: conv3d wants kernel >= 1
// expect: got (3,0,3)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int size = 1;
#else
constexpr int size = 0;
#endif

using net = nn::sequential<nn::relu, nn::conv3d<6, 4, nn::kernel<3, size, 3>>>;
inline constexpr auto y = net{}(input<"x", 1, 6, 4, 4, 4>);
