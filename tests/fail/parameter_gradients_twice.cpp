// expect: top level
// expect: gradient(loss, parameters) once
// expect: got several in outputs(...)
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

struct net : nn::sequential<nn::linear<3, 1>> {};

int main() {
  constexpr auto loss = sum(net{}(input<"x", 2, 3>));
#if defined(VOLUTE_CONTROL)
  program<outputs(loss, gradient(loss, parameters))> step;
#else
  program<outputs(gradient(loss, parameters), gradient(loss, parameters))> step;
#endif
  return step.gradient_values().size() > 0 ? 0 : 1;
}
