// expect: layer 0
// expect: window attention: (N,...,12)
// expect: got (2,12,14,14) by (7,7)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr auto x = input<"x", 2, 14, 14, 12>;
#else
constexpr auto x = input<"x", 2, 12, 14, 14>;
#endif

using net = nn::sequential<nn::shifted_window_attention<12, 4, nn::window<7, 7>>>;
inline constexpr auto y = net{}(x);
