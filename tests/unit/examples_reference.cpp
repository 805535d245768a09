// Examples of the reference (docs/site) that have numbers: one paragraph for a name or a few, that can be read by itself.
#include <catch2/catch.hpp>
#include <cmath>

#include <volute/volute.hpp>

using namespace volute;

namespace {
constexpr auto x = input<"x">;
bool near(double a, double b) { return std::abs(a - b) < 1e-4; }
}  // namespace

TEST_CASE("examples: activations") {
  auto [six, three] = evaluate(outputs(relu6(x), hardtanh<-3, 3>(x)), x = 7.0);
  CHECK((six == 6 && three == 3));

  auto [half, swished] = evaluate(outputs(hardsigmoid(x), hardswish(x)), x = 1.0);
  CHECK((near(half, 4.0 / 6) && near(swished, 4.0 / 6)));

  auto [hard, soft, over] = evaluate(outputs(hardshrink<0.5>(x), softshrink<0.5>(x), threshold<1, 20>(x)), x = 0.75);
  CHECK((hard == 0.75 && soft == 0.25 && over == 20));

  auto [exact, approximate, sigmoid_linear] = evaluate(outputs(gelu(x), gelu_tanh(x), silu(x)), x = 1.0);
  CHECK((near(exact, 0.84134) && near(approximate, 0.84119) && near(sigmoid_linear, 0.73106)));

  auto [scaled, continuous] = evaluate(outputs(selu(x), celu<2>(x)), x = -1.0);
  CHECK((near(scaled, -1.11133) && near(continuous, -0.78694)));

  auto [m, l] = evaluate(outputs(mish(x), logsigmoid(x)), x = 1.0);
  CHECK((near(m, 0.86510) && near(l, -0.31326)));

  auto [sign_like, shrunk] = evaluate(outputs(softsign(x), tanhshrink(x)), x = 1.0);
  CHECK((sign_like == 0.5 && near(shrunk, 0.23841)));
}

TEST_CASE("examples: elements") {
  auto [size, opposite, inverse, whole] = evaluate(outputs(abs(x), negative(x), reciprocal(x), floor(x)), x = -2.5);
  CHECK((size == 2.5 && opposite == 2.5 && inverse == -0.4 && whole == -3));

  auto [less, more, which] = evaluate(outputs(minimum(x, 1_c), at_least(x, 3_c), sign(x)), x = 2.0);
  CHECK((less == 1 && more == 3 && which == 1));

  const double chosen = evaluate(select(x < 0_c, 0_c, sqrt(x)), x = 4.0);  // the other one has no influence
  CHECK(chosen == 2);

  const double logistic = evaluate(sigmoid(x), x = 0.0);
  CHECK(logistic == 0.5);
}
