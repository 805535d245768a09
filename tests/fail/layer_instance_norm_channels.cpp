// expect: layer 1
// expect: instance_norm3d: 4 channels
// expect: got 3 in (2,3,4,4,4)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::instance_norm3d<3>;
#else
using layer = nn::instance_norm3d<4>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 2, 3, 4, 4, 4>);
