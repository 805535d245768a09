// expect: top level
// expect: a parameter named 0.weights
// expect: got no such path
#include <volute/volute.hpp>
using namespace volute;

namespace nn = volute::nn;
using net = nn::sequential<nn::conv3d<1, 1, nn::kernel<3>>>;

int main() {
  model<net, input<"x", 1, 1, 4, 4, 4>> m;
#if defined(VOLUTE_CONTROL)
  auto w = m.parameter<"0.weight">();
#else
  auto w = m.parameter<"0.weights">();
#endif
  w(0, 0, 0, 0, 0) = 1;
}
