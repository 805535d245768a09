#include "gradients_support.hpp"

using namespace gradients_test;

constexpr auto x = input<"x", 2, 3>;

TEST_CASE("functions of any number") {
  check(-x, x);
  check(abs(x), x);
  check(sign(x), x);
  check(reciprocal(x), x);
  check(square(x), x);
  check(exp(x), x);
  check(expm1(x), x);
  check(sin(x), x);
  check(cos(x), x);
  check(tanh(x), x);
  check(erf(x), x);
  check(sigmoid(x), x);
  check(softplus(x), x);
}

TEST_CASE("functions of positive numbers") {
  check(positive, sqrt(x), x);
  check(positive, rsqrt(x), x);
  check(positive, log(x), x);
  check(positive, log1p(x), x);
}

TEST_CASE("activations") {
  check(relu(x), x);
  check(leaky_relu(x), x);
  check(leaky_relu<0.3>(x), x);
  check(leaky_relu<-0.5>(x), x);
  check(elu(x), x);
  check(elu<0.5>(x), x);
  check(silu(x), x);
  check(gelu(x), x);
}
