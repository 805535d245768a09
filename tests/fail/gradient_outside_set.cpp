// expect: top level
// expect: a parameter named bias
// expect: got no such path
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr text path = "weight";
#else
constexpr text path = "bias";
#endif

inline constexpr auto loss = sum(nn::linear<2, 3>{}(input<"x", 4, 2>));

int main() {
  program<outputs(loss, gradient(loss, parameters_under<"weight">))> p;
  return p.gradient<path>().size() == 0;
}
