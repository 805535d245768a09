// expect: top level
// expect: cross_entropy: labels (4)
// expect: got (5)
#include <volute/distributed/data_parallel.hpp>
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
  distributed::alone one;
  distributed::data_parallel step(t, one, {.runs = 2});
  step.agree();
  const float loss = step.step([](std::int64_t, auto run) { run(std::vector<float>(8), std::vector<int>(samples)); });
  step.changed();
  return static_cast<int>(loss + step.losses()[0] + static_cast<float>(step.waited()) +
                          static_cast<float>(step.last() - step.first() + step.ranks().size() + step.settings().runs) +
                          step.trainer().parameter_values()[0]) *
         0;
}
