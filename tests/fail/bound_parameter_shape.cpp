// expect: top level
// expect: parameter w (3)
// expect: got (2)
#include <volute/volute.hpp>
using namespace volute;

int main() {
  constexpr auto x = input<"x", 3>;
#if defined(VOLUTE_CONTROL)
  constexpr auto w = parameter<"w", 3>;
#else
  constexpr auto w = parameter<"w", 2>;
#endif
  const xt::xtensor<float, 1> one({3}, 1.f);
  const float total = evaluate(sum(x * parameter<"w", 3>), x = one, w = one);
  return total == 3 ? 0 : 1;
}
