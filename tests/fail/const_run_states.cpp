// expect: top level
// expect: a run of const weights
// expect: got states that change
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

int main() {
  constexpr auto x = input<"x", 2, 3, 1, 1, 1>;
#if defined(VOLUTE_CONTROL)
  constexpr auto y = nn::batch_norm3d<3>{}(x);
#else
  constexpr auto y = training(nn::batch_norm3d<3>{}(x));
#endif
  const program<outputs(sum(y))> p;
  auto mine = workspace::of<decltype(p)>();
  const xt::xtensor<float, 5> a = xt::ones<float>({2, 3, 1, 1, 1});
  const auto [total] = p(mine, x = a);
  return total < 9 ? 0 : 1;
}
