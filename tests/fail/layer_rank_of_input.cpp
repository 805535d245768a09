// expect: layer 1
// expect: conv3d wants rank 5 (N,C,D,H,W)
// expect: got (1,64)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using first = nn::relu;
#else
using first = nn::flatten;
#endif

using net = nn::sequential<first, nn::conv3d<1, 4, nn::kernel<3>>>;
inline constexpr auto y = net{}(input<"x", 1, 1, 4, 4, 4>);
