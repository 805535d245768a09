// expect: layer 1
// expect: linear wants 64 features
// expect: got 128 in (1,128)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 1;
#else
constexpr int channels = 2;
#endif

using net = nn::sequential<nn::flatten, nn::linear<64, 10>>;
inline constexpr auto y = net{}(input<"x", 1, channels, 4, 4, 4>);
