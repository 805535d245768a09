// expect: top level
// expect: trainer wants parameters
// expect: got none
#include <volute/volute.hpp>
using namespace volute;

int main() {
  constexpr auto x = input<"x", 2, 3>;
#if defined(VOLUTE_CONTROL)
  constexpr auto scale = parameter<"scale">;
#else
  constexpr auto scale = input<"scale">;
#endif
  trainer_of<outputs(mean(square(x * scale))), sgd> t;
#if defined(VOLUTE_CONTROL)
  return t.step(x = xt::xtensor<float, 2>({2, 3}, 1.f)) >= 0 ? 0 : 1;
#endif
}
