// expect: layer a
// expect: one layer for a.weight
// expect: got two, without nn::shared
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr text second = "b";
#else
constexpr text second = "a";
#endif

struct twin {
  nn::named<"a", nn::conv3d<1, 1, nn::kernel<3>, nn::padding<1>>> one;
  nn::named<second, nn::conv3d<1, 1, nn::kernel<3>, nn::padding<1>>> two;
  constexpr auto operator()(expression auto x) const { return two(one(x)); }
};

int main() {
  model<twin, input<"x", 1, 1, 4, 4, 4>> m;
  m.initialize(1);
  return m.parameter_values().size() == 0;
}
