// expect: layer 1
// expect: max_pool3d: kernel <= input
// expect-gcc: got (2,2,2) on (1,4,1,4,4)
// expect-clang: got (2,2,2) on
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int depth = 2;
#else
constexpr int depth = 1;
#endif

using net = nn::sequential<nn::relu, nn::max_pool3d<2>>;
inline constexpr auto y = net{}(input<"x", 1, 4, depth, 4, 4>);
