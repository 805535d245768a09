// expect: windows: a result (1,C,8,8,8)
// expect: got (1,4,6,6,6)
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using net = nn::conv3d<1, 4, nn::kernel<3>, nn::same>;
#else
using net = nn::conv3d<1, 4, nn::kernel<3>>;
#endif
void use() {
  windowed<net, input<"x", 1, 1, 8, 8, 8>> w;
  (void)w;
}
