// expect: top level
// expect: one shape for input x
// expect: got (2,3) and (3)
#include <volute/volute.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto again = input<"x", 2, 3>;
#else
constexpr auto again = input<"x", 3>;
#endif

int main() {
  constexpr auto x = input<"x", 2, 3>;
  program<outputs(sum(x * again))> p;
  const xt::xtensor<float, 2> one = xt::ones<float>({2, 3});
  const auto [y] = p(x = one);
  return y > 0 ? 0 : 1;
}
