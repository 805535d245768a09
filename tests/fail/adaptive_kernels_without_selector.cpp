// expect: layer adaptive_conv3d_mod
// expect: kernel_mod for 3 kernels
// expect: got none
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int count = 1;
#else
constexpr int count = 3;
#endif

using styled = nn::adaptive_conv3d_mod<8, nn::num_kernels<count>>;
inline constexpr auto y = styled{}(input<"x", 2, 8, 4, 4, 4>, input<"mod", 2, 8>);
