// expect: top level
// expect: a copy wants 2 parameters
// expect: got 1
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using trained = nn::conv3d<1, 1, nn::kernel<3>>;
#else
using trained = nn::conv3d<1, 1, nn::kernel<3>, nn::no_bias>;
#endif

int main() {
  constexpr auto x = input<"x", 1, 1, 4, 4, 4>;
  constexpr auto loss = mean(square(nn::sequential<trained>{}(x)));
  program<outputs(loss, gradient(loss, parameters))> step;
  model<nn::sequential<nn::conv3d<1, 1, nn::kernel<3>>>, input<"x", 1, 1, 4, 4, 4>> m;
  m.copy_parameters(step);
}
