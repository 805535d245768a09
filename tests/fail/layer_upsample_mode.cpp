// expect: layer 1
// expect: upsample wants scale<...> and
// expect: got other options
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::upsample<nn::scale<2>, nn::trilinear, nn::align_corners>;
#else
using layer = nn::upsample<nn::scale<2>, nn::align_corners>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 1, 2, 2, 2, 2>);
