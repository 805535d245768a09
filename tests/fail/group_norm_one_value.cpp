// expect: layer 1
// expect: group_norm wants values > 1
// expect-gcc: got one a group in (2,4,1,1,1)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::group_norm<2, 4>;
#else
using layer = nn::group_norm<4, 4>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 2, 4, 1, 1, 1>);
