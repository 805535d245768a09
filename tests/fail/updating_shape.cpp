// expect: updating wants (3)
// expect: got (4)
#include <volute/volute.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 3;
#else
constexpr int channels = 4;
#endif

int main() {
  constexpr auto x = input<"x", 2, channels>;
  program<outputs(updating(x, state<"mean", 3>, mean(x, axes<0>)))> p;
  (void)p;
}
