// expect: top level
// expect: a value for input b
// expect: got none
#include <volute/volute.hpp>
using namespace volute;

int main() {
  constexpr auto a = input<"a", 2, 3>;
  constexpr auto b = input<"b", 2, 3>;
  program<outputs(sum(a * b), a + b)> p;
  const xt::xtensor<float, 2> one = xt::ones<float>({2, 3});
#if defined(VOLUTE_CONTROL)
  const auto [total, added] = p(a = one, b = one);
#else
  const auto [total, added] = p(a = one);
#endif
  return total == added(0, 0) ? 1 : 0;
}
