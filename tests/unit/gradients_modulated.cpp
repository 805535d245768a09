#include "gradients_support.hpp"

using namespace gradients_test;

namespace modulated {

constexpr auto x = input<"x", 2, 2, 2, 2, 2>;
constexpr auto w = input<"w", 3, 2, 1, 2, 2>;
constexpr auto mod = input<"mod", 2, 2>;
constexpr auto banks = input<"banks", 2, 3, 2, 1, 2, 2>;

TEST_CASE("one filter bank a sample") {
  check(conv3d(x, banks), x, banks);
  check(conv3d(x, input<"small", 2, 4, 1, 1, 2, 2>, groups<2>, stride<1, 2, 1>, padding<0, 1, 1>), x, input<"small", 2, 4, 1, 1, 2, 2>);
  check(square(conv3d(x, modulate(w, mod) + 1_c, padding<0, 1, 0>)), x, w, mod);  // a bank that does not factor
}

TEST_CASE("modulation and demodulation") {
  check(square(modulate(w, mod)), w, mod);
  check(demodulate(banks), banks);
  check(demodulate<0.1, eps_mode::added>(modulate(w, mod)), w, mod);
}

TEST_CASE("convolution with modulated weights") {
  check(conv3d(x, modulate(w, mod), padding<0, 1, 0>), x, w, mod);
  check(conv3d(x, demodulate(modulate(w, mod)), same), x, w, mod);
  check(conv3d(x, demodulate<0.3, eps_mode::added>(modulate(w, mod))), x, w, mod);
}

TEST_CASE("no gradient passes the floor of the demodulation") {
  constexpr auto y = demodulate<1e6>(banks);  // every sum of squares lies below
  check(y, banks);
  constexpr auto g = gradient(sum(y), banks);
  runner<program<outputs(g), double>> run;
  for (double& v : run.input("banks")) v = 1;
  run.run_all();
  for (double v : run.out[0]) CHECK(v == Approx(1e-3).epsilon(1e-14));
}

// || d sum(y c) / dx ||^2, differentiated by what y is made of (the R1 penalty of Mescheder et al. 2018, https://arxiv.org/abs/1801.04406).
template <expression Y, expression X, expression... P>
void check_r1(Y, X, P... by) {
  constexpr auto s = sum(tanh(Y{}));
  check(sum(square(gradient(s, X{}))), by...);
}

// (|| J^T n || - 1)^2 with J the derivative of y by the modulation (StyleGAN2, https://arxiv.org/abs/1912.04958, section 3.2).
template <expression Y, expression M, expression... P>
void check_path_length(Y, M, P... by) {
  constexpr auto jn = gradient(Y{}, M{}, cotangent(input_node<"noise", Y::shape()>{}));
  check(mean(square(sqrt(sum(square(jn), axes<1>)) - 1_c)), by...);
}

TEST_CASE("R1 penalty") {
  constexpr auto plain = conv3d(relu(conv3d(x, w, padding<0, 1, 1>)), input<"w2", 2, 3, 1, 2, 2>);
  check_r1(plain, x, w, input<"w2", 2, 3, 1, 2, 2>);
  check_r1(conv3d(x, demodulate(modulate(w, mod)), same), x, x, w, mod);
}

TEST_CASE("path-length penalty") {
  check_path_length(conv3d(x, demodulate(modulate(w, mod)), same), mod, x, w, mod);
  check_path_length(silu(conv3d(x, modulate(w, mod), same)), mod, w, mod);
}

}  // namespace modulated
