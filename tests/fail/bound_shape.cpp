// expect: top level
// expect: input x (2,3)
// expect: got (3)
#include <volute/volute.hpp>
using namespace volute;

int main() {
  constexpr auto x = input<"x", 2, 3>;
  program<outputs(sum(x * parameter<"w", 3>))> p;
#if defined(VOLUTE_CONTROL)
  const auto [total] = p(x = xt::xtensor<float, 2>({2, 3}, 1.f), parameter<"w", 3> = xt::xtensor<float, 1>({3}, 1.f));
#else
  constexpr auto row = input<"x", 3>;  // of another program
  const auto [total] = p(row = xt::xtensor<float, 1>({3}, 1.f));
#endif
  return total == 6 ? 0 : 1;
}
