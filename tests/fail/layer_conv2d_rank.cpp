// expect: layer 0
// expect: conv2d wants rank 4
// expect: got (1,2,4,4,4)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr auto x = input<"x", 1, 2, 4, 4>;
#else
constexpr auto x = input<"x", 1, 2, 4, 4, 4>;
#endif

inline constexpr auto y = nn::sequential<nn::conv2d<2, 3, nn::kernel<3>>>{}(x);
