// expect: layer 0
// expect: conv3d wants 2 channels
// expect: got 1 in (1,1,4,4,4)
// The training loop around the mistake stays silent.
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 1;
#else
constexpr int channels = 2;
#endif

using net = nn::sequential<nn::conv3d<channels, 2, nn::kernel<3>>, nn::relu, nn::conv3d<2, 1, nn::kernel<1>>>;

int main() {
  constexpr auto x = input<"x", 1, 1, 4, 4, 4>;
  constexpr auto t = input<"t", 1, 1, 2, 2, 2>;
  constexpr auto loss = mse(net{}(x), t);
  program<outputs(loss, gradient(loss, parameters))> step;
  step.initialize(1);
  const xt::xtensor<float, 5> volume = xt::ones<float>({1, 1, 4, 4, 4});
  const xt::xtensor<float, 5> target = xt::ones<float>({1, 1, 2, 2, 2});
  const auto [value, gradients] = step(x = volume, t = target);
  auto p = step.parameter_values();
  const auto g = step.gradient_values();
  for (std::size_t i = 0; i < p.size(); ++i) p[i] -= 0.1f * g[i];
  return value > 0 && gradients.size() > 0 ? 0 : 1;
}
