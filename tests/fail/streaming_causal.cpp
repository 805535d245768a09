// expect: layer 1
// expect: streaming wants causal padding
// expect: got another
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::conv3d<2, 2, nn::kernel<3>, nn::causal>;
#else
using layer = nn::conv3d<2, 2, nn::kernel<3>, nn::same>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = nn::streaming<net>{}(input<"x", 1, 2, 2, 4, 4>);
