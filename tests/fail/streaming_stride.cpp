// expect: layer 1
// expect: streaming: stride 1 in time
// expect: got 2
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::conv3d<2, 2, nn::kernel<3>, nn::causal>;
#else
using layer = nn::conv3d<2, 2, nn::kernel<3>, nn::causal, nn::stride<2, 1, 1>>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = nn::streaming<net>{}(input<"x", 1, 2, 2, 4, 4>);
