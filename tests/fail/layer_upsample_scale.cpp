// expect: layer 1
// expect: upsample wants a scale >= 1
// expect: got (0,2,2)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::upsample<nn::scale<1, 2, 2>, nn::trilinear>;
#else
using layer = nn::upsample<nn::scale<0, 2, 2>, nn::trilinear>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 1, 2, 2, 2, 2>);
