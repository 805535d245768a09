// expect: layer 1
// expect: group_norm: channels / groups
// expect: got 4 channels, groups 3
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::group_norm<2, 4>;
#else
using layer = nn::group_norm<3, 4>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 2, 4, 4, 4, 4>);
