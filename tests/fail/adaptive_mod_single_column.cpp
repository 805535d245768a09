// expect: layer adaptive_conv3d_mod
// expect: mod of shape (2,8)
// expect: got (2,1)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int columns = 8;
#else
constexpr int columns = 1;
#endif

using styled = nn::adaptive_conv3d_mod<8, nn::spatial_kernel<3>, nn::time_kernel<3>>;
inline constexpr auto y = styled{}(input<"x", 2, 8, 4, 4, 4>, input<"mod", 2, columns>);
