// expect: a field wants (N,C,D,H,W)
// expect: got (1,4) and (1,8)
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using net = nn::conv3d<4, 8, nn::kernel<1>>;
constexpr auto x = input<"x", 1, 4, 2, 2, 2>;
#else
using net = nn::linear<4, 8>;
constexpr auto x = input<"x", 1, 4>;
#endif

bool use() { return receptive_field<net, x>.everything(); }
