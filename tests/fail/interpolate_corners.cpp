// expect: layer 0
// expect: align_corners: linear or cubic
// expect: got nearest
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::interpolate<nn::output_size<4>, nn::cubic, nn::align_corners>;
#else
using layer = nn::interpolate<nn::output_size<4>, nn::nearest, nn::align_corners>;
#endif

inline constexpr auto y = nn::sequential<layer>{}(input<"x", 1, 2, 2, 2, 2>);
