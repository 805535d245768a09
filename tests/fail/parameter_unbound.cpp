// expect: top level
// expect: a value for parameter w
// expect: got none
#include <volute/volute.hpp>
using namespace volute;

int main() {
  constexpr auto a = input<"a", 2, 3>;
  constexpr auto w = parameter<"w", 2, 3>;
  const xt::xtensor<float, 2> one = xt::ones<float>({2, 3});
#if defined(VOLUTE_CONTROL)
  const auto [y, dw] = evaluate(outputs(a * w, gradient(sum(a * w), w)), a = one, w = one);
#else
  const auto [y, dw] = evaluate(outputs(a * w, gradient(sum(a * w), w)), a = one);
#endif
  return y(0, 0) == dw(0, 0) ? 0 : 1;
}
