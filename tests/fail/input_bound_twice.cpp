// expect: top level
// expect: one value for x
// expect: got several
#include <volute/volute.hpp>

constexpr auto x = volute::input<"x", 4>;
constexpr auto z = volute::input<"z", 4>;

void run(const std::vector<float>& left, const std::vector<float>& right) {
  volute::program<volute::outputs(x - z)> p;
#if defined(VOLUTE_CONTROL)
  const auto [y] = p(x = left, z = right);
#else
  const auto [y] = p(x = left, z = right, x = right);
#endif
  static_cast<void>(y);
}
