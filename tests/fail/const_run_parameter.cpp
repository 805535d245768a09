// expect: top level
// expect: a run of const weights
// expect: got a value for a parameter
#include <volute/volute.hpp>
using namespace volute;

int main() {
  constexpr auto x = input<"x", 2, 3>;
  constexpr auto w = parameter<"w", 3>;
  const program<outputs(x * w)> p;
  auto mine = workspace::of<decltype(p)>();
  const xt::xtensor<float, 2> a = xt::ones<float>({2, 3});
  const xt::xtensor<float, 1> b = xt::ones<float>({3});
#if defined(VOLUTE_CONTROL)
  const auto [y] = p(mine, x = a);
#else
  const auto [y] = p(mine, x = a, w = b);
#endif
  return y(0, 0) < 9 ? 0 : 1;
}
