// expect: layer 1
// expect: dropout wants 0 <= p <= 1
// expect: got another
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::dropout<0.5>;
#else
using layer = nn::dropout<1.5>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 1, 2, 2, 4, 4>);
