// expect: top level
// expect: a program for its parameters
// expect: got evaluate
#include <volute/volute.hpp>
using namespace volute;

int main() {
  constexpr auto x = input<"x", 2, 3>;
  constexpr auto w = parameter<"w", 2, 3>;
  constexpr auto loss = sum(x * w);
  const xt::xtensor<float, 2> one = xt::ones<float>({2, 3});
#if defined(VOLUTE_CONTROL)
  const auto [value, dw] = evaluate(outputs(loss, gradient(loss, w)), x = one, w = one);
#else
  const auto [value, dw] = evaluate(outputs(loss, gradient(loss, parameters)), x = one, w = one);
#endif
  return value > 0 && dw.size() == 6 ? 0 : 1;
}
