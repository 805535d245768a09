// expect: top level
// expect: a destination for (2,2)
// expect: got a tensor of rank 3
// within: 20 9000
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

struct net : nn::linear<3, 2> {};

int main() {
  model<net, input<"x", 2, 3>> m;
  const xt::xtensor<float, 2> a = xt::ones<float>({2, 3});
#if defined(VOLUTE_CONTROL)
  xt::xtensor<float, 2> y = m(a);
#else
  xt::xtensor<float, 3> y = m(a);
#endif
  return y.size() == 4 ? 0 : 1;
}
