// expect: layer adaptive_conv3d_mod
// expect: eps > 0
// expect: got eps <= 0
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr double eps = 1e-4;
#else
constexpr double eps = 0;
#endif

using styled = nn::adaptive_conv3d_mod<8, nn::eps<eps>>;
inline constexpr auto y = styled{}(input<"x", 2, 8, 4, 4, 4>, input<"mod", 2, 8>);
