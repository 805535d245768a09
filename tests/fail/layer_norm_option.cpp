// expect: layer 1
// expect: group_norm has no such option
// expect: got option 2
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::group_norm<2, 4, nn::eps<0.1>>;
#else
using layer = nn::group_norm<2, 4, nn::eps<0.1>, nn::momentum<0.1>>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 2, 4, 4, 4, 4>);
