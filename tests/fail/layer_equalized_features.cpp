// expect: layer 1
// expect: equalized_linear: 8 features
// expect: got 4 in (1,4)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::equalized_linear<4, 2>;
#else
using layer = nn::equalized_linear<8, 2>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 1, 4>);
