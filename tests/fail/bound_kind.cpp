// expect: top level
// expect: parameter w
// expect: got a value for input w
#include <volute/volute.hpp>
using namespace volute;

int main() {
  constexpr auto x = input<"x", 3>;
  program<outputs(sum(x * parameter<"w", 3>))> p;
  const xt::xtensor<float, 1> one({3}, 1.f);
#if defined(VOLUTE_CONTROL)
  constexpr auto w = parameter<"w", 3>;
#else
  constexpr auto w = input<"w", 3>;
#endif
  const auto [total] = p(x = one, w = one);
  return total == 3 ? 0 : 1;
}
