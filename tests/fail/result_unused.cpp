// expect-gcc: ignoring return value
// expect-gcc: nodiscard
// expect-clang: ignoring return value
#pragma GCC diagnostic error "-Wunused-result"
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
  m(a);
#endif
}
