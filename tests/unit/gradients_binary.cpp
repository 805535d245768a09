#include "gradients_support.hpp"

using namespace gradients_test;

namespace binary {

constexpr auto a = input<"a", 2, 3>;
constexpr auto b = input<"b", 2, 3>;

TEST_CASE("arithmetic") {
  check(a + b, a, b);
  check(a - b, a, b);
  check(a * b, a, b);
  check(a / b, a, b);
  check(positive, power(a, b), a, b);
  check(power(a, 4_c), a);
  check(power(a, 3_c), a);
  check(positive, power(a, constant<-1.5>), a);
  check(power(2_c, a), a);
}

TEST_CASE("choices") {
  check(minimum(a, b), a, b);
  check(maximum(a, b), a, b);
  check(clamp(a, constant<-0.7>, 0.7_c), a);
  check(select(a < b, a * b, a / b), a, b);
  check(select(a >= b, square(a), b), a, b);
  check((a <= b) * a + (a > 0_c) * b + equal(a, b), a, b);
}

TEST_CASE("a gradient that stops") {
  check(a * stop_gradient(b), a);
  check(square(a) * stop_gradient(b + 1_c), a);
}

// What differences cannot see at a tie: the derivative is shared, as in PyTorch.
TEST_CASE("a tie shares the derivative") {
  constexpr auto g = gradients(sum(minimum(a, b)), a, b);
  constexpr auto h = gradients(sum(maximum(a, b) * a), a, b);
  runner<program<outputs(std::get<0>(g), std::get<1>(g), std::get<0>(h), std::get<1>(h)), double>> run;
  run.input("a") = run.input("b") = {1, 2, 3, 4, 5, 6};
  run.run_all();
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(run.out[0][i] == 0.5);
    CHECK(run.out[1][i] == 0.5);
    CHECK(run.out[2][i] == 1.5 * static_cast<double>(i + 1));
    CHECK(run.out[3][i] == 0.5 * static_cast<double>(i + 1));
  }
}

}  // namespace binary
