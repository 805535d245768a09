// expect: layer adaptive_conv3d_mod
// expect: odd kernels
// expect: got time 3, spatial 4
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int size = 3;
#else
constexpr int size = 4;
#endif

using styled = nn::adaptive_conv3d_mod<8, nn::spatial_kernel<size>, nn::time_kernel<3>>;
inline constexpr auto y = styled{}(input<"x", 2, 8, 4, 4, 4>, input<"mod", 2, 8>);
