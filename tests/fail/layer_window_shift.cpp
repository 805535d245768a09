// expect: layer 1
// expect: 0 <= shift < window
// expect: got (1,7,3) and (2,7,7)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int shift = 3;
#else
constexpr int shift = 7;
#endif

using net = nn::sequential<nn::linear<6, 12>, nn::shifted_window_attention<12, 4, nn::window<2, 7, 7>, nn::shift<1, shift, 3>>>;
inline constexpr auto y = net{}(input<"x", 2, 4, 14, 14, 6>);
