// expect: layer 0
// expect: window attention: voxels
// expect: got (1,4,0,4,12)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr auto x = input<"x", 0, 4, 4, 4, 12>;  // an empty batch is none
#else
constexpr auto x = input<"x", 1, 4, 0, 4, 12>;
#endif

using net = nn::sequential<nn::shifted_window_attention<12, 4, nn::window<2, 2, 2>>>;
inline constexpr auto y = net{}(x);
