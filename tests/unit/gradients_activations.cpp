// Activations: derivatives of first and second order, and what they are at corners.
#include <volute/volute.hpp>

#include "gradients_support.hpp"

#include <limits>

using namespace gradients_test;

constexpr auto x = input<"x", 2, 3, 2>;

TEST_CASE("derivatives of activations") {
  check(hardsigmoid(x) * hardswish(x), x);
  check(gelu_tanh(x) + mish(x), x);
  check(selu(x) * celu<0.5>(x), x);
  check(softsign(x) * tanhshrink(x), x);
  check(square(hardshrink(x)) + square(softshrink<0.1>(x)), x);
  check(logsigmoid(x) * hardtanh<-0.8, 0.9>(x), x);
  check(square(glu(input<"x", 2, 4>, axis<1>)), input<"x", 2, 4>);
  check(square(prelu(x, input<"slope", 3>)), x, input<"slope", 3>);
}

constexpr auto points = input<"points", 9>;
template <int I>
constexpr auto point = slice(points, axis<0>, range<I, I + 1>);

TEST_CASE("derivatives at corners are PyTorch's, and NaN stays") {
  constexpr auto y = hardswish(point<0>) + hardswish(point<1>) + hardsigmoid(point<2>) + relu6(point<3>) + relu6(point<4>) +
                     hardtanh(point<5>) + hardshrink(point<6>) + softshrink(point<6>) + threshold<0.5, 20>(point<6>) +
                     prelu(point<7>, constant<0.25, 1>) + celu<2>(point<8>);
  xt::xtensor<double, 1> g = evaluate(gradient(y, points), points = std::vector<double>{-3, 3, 3, 0, 6, -1, 0.5, 0, 0});
  CHECK(std::vector<double>(g.begin(), g.end()) == std::vector<double>{0, 1, 0, 0, 0, 0, 0, 0.25, 1});
  constexpr auto s = input<"s">;
  auto [a, b, c, d] = evaluate(outputs(hardswish(s), relu6(s), hardshrink(s), softshrink(s)), s = std::numeric_limits<double>::quiet_NaN());
  CHECK((a != a && b != b && c != c && d != d));
}
