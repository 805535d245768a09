// expect: layer 1
// expect: layer_norm wants (...,(4,3))
// expect: got (2,3,4)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::layer_norm<shape<3, 4>>;
#else
using layer = nn::layer_norm<shape<4, 3>>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 2, 3, 4>);
