// expect: layer 1
// expect: batch_norm3d wants rank 5
// expect: got (2,3)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using layer = nn::layer_norm<3>;
#else
using layer = nn::batch_norm3d<3>;
#endif

using net = nn::sequential<nn::relu, layer>;
inline constexpr auto y = net{}(input<"x", 2, 3>);
