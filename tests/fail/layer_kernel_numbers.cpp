// expect: layer 1
// expect: conv3d wants 1 or 3 numbers
// expect: got 2
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using window = nn::kernel<3, 3, 3>;
#else
using window = nn::kernel<3, 3>;
#endif

using net = nn::sequential<nn::relu, nn::conv3d<6, 4, window>>;
inline constexpr auto y = net{}(input<"x", 1, 6, 4, 4, 4>);
