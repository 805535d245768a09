// expect: top level
// expect: float: indices up to 2^24
// expect: got 16777220 numbers
#include <volute/volute.hpp>
using namespace volute;

int main() {
  constexpr auto v = input<"v", 16777220>;
  const std::vector<float> values(16777220);
#if defined(VOLUTE_CONTROL)
  using element = double;
#else
  using element = float;
#endif
  program<outputs(argmax(v, axis<0>)), element> p;
  const auto [place] = p(v = values);
  return place == 0 ? 0 : 1;
}
