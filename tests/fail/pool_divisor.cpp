// expect: layer 1
// expect: avg_pool3d wants divisor >= 1
// expect: got 0
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int by = 3;
#else
constexpr int by = 0;
#endif

using net = nn::sequential<nn::relu, nn::avg_pool3d<2, nn::divisor<by>>>;
inline constexpr auto y = net{}(input<"x", 1, 1, 8, 8, 8>);
