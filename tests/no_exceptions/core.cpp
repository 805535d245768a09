// The core, without exceptions and run-time type information: a model and a training step.
#include <volute/volute.hpp>

#include <cstdio>

using namespace volute;

namespace core_test {

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::silu, nn::residual<nn::conv3d<4, 4, nn::kernel<3>, nn::same>>,
                            nn::conv3d<4, 1, nn::kernel<1>>> {};
constexpr auto x = input<"x", 1, 1, 6, 6, 6>;
constexpr auto target = input<"target", 1, 1, 6, 6, 6>;
constexpr auto loss = mse(net{}(x), target);

}  // namespace core_test

int main() {
  using namespace core_test;
  program<outputs(loss, gradient(loss, parameters))> step;
  xt::xtensor<float, 5> in = xt::zeros<float>({1, 1, 6, 6, 6});
  for (std::size_t i = 0; i < in.size(); ++i) in.data()[i] = static_cast<float>(i % 7) * 0.25f - 0.75f;
  float first = 0, last = 0;
  for (int i = 0; i < 50; ++i) {
    auto [value, gradients] = step(x = in, target = in * 0.5f);
    (i == 0 ? first : last) = value;
    auto p = step.parameter_values();
    auto g = step.gradient_values();
    for (std::size_t k = 0; k < p.size(); ++k) p[k] -= 0.1f * g[k];
  }
  model<net, x> m;
  m.copy_parameters(step);
  const xt::xtensor<float, 5> out = m(in);
  float error = 0;
  for (std::size_t i = 0; i < in.size(); ++i) error += (out.data()[i] - 0.5f * in.data()[i]) * (out.data()[i] - 0.5f * in.data()[i]);
  error /= static_cast<float>(in.size());
  const float once = evaluate(sum(x), x = in);
  std::printf("loss %g -> %g, model %g, sum %g\n", static_cast<double>(first), static_cast<double>(last), static_cast<double>(error),
              static_cast<double>(once));
  return last < 0.1f * first && error <= last ? 0 : 1;
}
