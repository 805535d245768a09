// expect: top level
// expect: one result mask
// expect: got 2 of this name
#include <volute/volute.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr text other = "other";
#else
constexpr text other = "mask";
#endif
int main() {
  constexpr auto x = input<"x", 3>;
  program<outputs(named_result<"mask">(square(x)), named_result<other>(exp(x)))> p;
  p(x = xt::xtensor<float, 1>({3}, 1.f));
  return p.result<"mask">()(0) == 1 ? 0 : 1;
}
