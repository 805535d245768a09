// expect: top level
// expect: tensor, range or number for x
// expect: got something else
#include <volute/volute.hpp>

constexpr auto x = volute::input<"x", 4>;

void run() {
  volute::program<volute::outputs(volute::exp(x))> p;
#if defined(VOLUTE_CONTROL)
  const std::vector<float> file(4);
#else
  const char* const file = "x.npy";
#endif
  const auto [y] = p(x = file);
  static_cast<void>(y);
}
