// expect: layer 1
// expect: streaming wants causal or
// expect: got another layer
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::sigmoid;
#else
using layer = nn::instance_norm3d<2>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = nn::streaming<net>{}(input<"x", 1, 2, 2, 4, 4>);
