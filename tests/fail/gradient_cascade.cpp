// expect: top level
// expect: conv3d wants 2 channels
// expect: got 1 in (1,1,2,2,2)
// One mistake at the start; everything that is made of it stays silent.
#include <volute/volute.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 1;
#else
constexpr int channels = 2;
#endif

int main() {
  constexpr auto x = input<"x", 1, 1, 2, 2, 2>;
  constexpr auto w = parameter<"w", 1, channels, 2, 2, 2>;
  constexpr auto y = conv3d(x, w);
  const auto [dx, dw] = gradient(sum(square(y)), x, w);
  const auto ddx = gradient(sum(dx * dx), x);
  const xt::xtensor<float, 5> volume = xt::ones<float>({1, 1, 2, 2, 2});
  const xt::xtensor<float, 5> filter = xt::ones<float>({1, 1, 2, 2, 2});
  const auto [value, gx, gw, gxx] = evaluate(outputs(y, dx, dw, ddx), x = volume, w = filter);
  const xt::xtensor<float, 5> once = evaluate(y + 1_c, x = volume, w = filter);
  double total = 0;
  for (float v : gx) total += v;
  return total + value(0, 0, 0, 0, 0) + gw(0, 0, 0, 0, 0) + gxx(0, 0, 0, 0, 0) + once(0, 0, 0, 0, 0) > 0 ? 0 : 1;
}
