// expect: top level
// expect: cross_entropy: labels (4)
// expect: got (5)
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int samples = 4;
#else
constexpr int samples = 5;
#endif

int main() {
  trainer<nn::linear<2, 3>, nn::cross_entropy<>, adam, input<"x", 4, 2>, input<"labels", samples>> t{adam{.lr = 1e-2}};
  spinning_pool pool(1);
  t.use(pool);
  t.initialize(1), t.seed(1);
  t.settings.clip_norm = 1;
  const float loss = t.step(std::vector<float>(8), std::vector<int>(samples));
  model<nn::linear<2, 3>, input<"x", 4, 2>> m;
  m.copy_parameters(t);
  m.copy_parameters(t.ema());
  for (const auto& b : t.state_blocks()) t.state_table(b.values);
  return static_cast<int>(loss + t.output<0>() + t.parameter<"weight">()(0, 0) + t.parameter_values()[0]) * 0;
}
