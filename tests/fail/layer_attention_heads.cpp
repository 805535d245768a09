// expect: layer 1
// expect: heads | 12
// expect: got 5
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int heads = 4;
#else
constexpr int heads = 5;
#endif

using net = nn::sequential<nn::linear<6, 12>, nn::multihead_attention<12, heads>>;
inline constexpr auto y = net{}(input<"x", 2, 10, 6>);
