// expect: top level
// expect: a destination for (2,2)
// expect: got a tensor (2,3)
// within: 25 32000
#include <volute/volute.hpp>
#include <xtensor/xfixed.hpp>
using namespace volute;
namespace nn = volute::nn;

struct net : nn::linear<3, 2> {};

int main() {
  model<net, input<"x", 2, 3>> m;
  const xt::xtensor<float, 2> a = xt::ones<float>({2, 3});
#if defined(VOLUTE_CONTROL)
  xt::xtensor_fixed<float, xt::xshape<2, 2>> y;
#else
  xt::xtensor_fixed<float, xt::xshape<2, 3>> y;
#endif
  xt::noalias(y) = m(a);
  return y.size() == 4 ? 0 : 1;
}
