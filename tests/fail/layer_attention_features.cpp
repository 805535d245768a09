// expect: layer 0
// expect: attention: features >= 1
// expect: got 0
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int width = 4;
#else
constexpr int width = 0;
#endif

using net = nn::sequential<nn::multihead_attention<width, 1>>;
inline constexpr auto y = net{}(input<"x", 2, 10, width>);
