// expect: layer 1
// expect: reflect_pad3d wants less than 2
// expect: got 2 on (1,2,2,4,4)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::reflect_pad3d<1, 2, 2>;
#else
using layer = nn::reflect_pad3d<2>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 1, 2, 2, 4, 4>);
