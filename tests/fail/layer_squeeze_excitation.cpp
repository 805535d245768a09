// expect: layer 1
// expect: squeeze_excitation: 8 channels
// expect: got 4 in (1,4,2,2,2)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::squeeze_excitation<4, 2>;
#else
using layer = nn::squeeze_excitation<8, 2>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 1, 4, 2, 2, 2>);
