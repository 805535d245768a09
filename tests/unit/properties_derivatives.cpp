// What must hold for derivatives of second and third order.
#include "properties_support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

namespace {

using namespace volute;
using namespace properties;

/// u . d/da (v . d/db f) = v . d/db (u . d/da f): the Hessian's block of two variables is the transpose of its mirror image. For a = b: it is symmetric.
template <class F, class A, class B, class... Bound>
void symmetric(F, A, B, Bound... bound) {
  constexpr auto u = input_node<"u", A::shape()>{};
  constexpr auto v = input_node<"v", B::shape()>{};
  constexpr auto one = gradient(sum(gradient(F{}, B{}) * v), A{});
  constexpr auto other = gradient(sum(gradient(F{}, A{}) * u), B{});
  const auto vu = reals<double>(A::shape(), 11), vv = reals<double>(B::shape(), 12);
  const auto [a, b] = evaluate(outputs(one, other), u = vu, v = vv, bound...);
  const double left = dot(vu, a), right = dot(vv, b);
  CHECK(left != 0);
  CHECK(std::abs(left - right) <= 1e-12 * std::sqrt(dot(a, a) * dot(vu, vu)));
}

/// The third derivative of |L(x)|^2 for a linear L, along any direction.
template <class Linear>
void no_third_derivative(Linear linear) {
  constexpr auto x = input<"x", 1, 2, 4, 4, 4>;
  constexpr auto v = input<"v", 1, 2, 4, 4, 4>;
  constexpr auto hessian = gradient(sum(gradient(sum(square(linear(x))), x) * v), x);
  constexpr auto third = gradient(sum(hessian * v), x);
  const auto [second, none] = evaluate(outputs(hessian, third), x = reals<float>(x.shape(), 1), v = reals<float>(v.shape(), 2));
  CHECK(dot(second, second) > 0);
  CHECK(dot(none, none) == 0);
}

}  // namespace

TEST_CASE("Hessians are symmetric") {
  SECTION("a convolution and an activation") {
    constexpr auto x = input<"x", 1, 2, 4, 3, 5>;
    constexpr auto w = parameter<"w", 3, 2, 3, 3, 3>;
    constexpr auto f = sum(square(softplus(conv3d(x, w, stride<2, 1, 2>, padding<1>))));
    const auto vx = reals<double>(x.shape(), 1), vw = reals<double>(w.shape(), 2);
    symmetric(f, x, x, x = vx, w = vw);
    symmetric(f, w, w, x = vx, w = vw);
    symmetric(f, x, w, x = vx, w = vw);
  }
  SECTION("the modulated layer") {
    constexpr auto x = input<"x", 2, 3, 2, 3, 4>;
    constexpr auto mod = input<"mod", 2, 3>;
    constexpr auto w = parameter<"weights", 2, 3, 3, 3, 3>;
    constexpr auto f = sum(square(sigmoid(nn::adaptive_conv3d_mod<3, nn::dim_out<2>>{}(x, mod))));
    const auto vx = reals<double>(x.shape(), 1), vw = reals<double>(w.shape(), 2), vm = reals<double>(mod.shape(), 3);
    symmetric(f, mod, mod, x = vx, w = vw, mod = vm);
    symmetric(f, mod, w, x = vx, w = vw, mod = vm);
    symmetric(f, x, mod, x = vx, w = vw, mod = vm);
  }
}

TEST_CASE("A whole Hessian, element by element") {
  constexpr auto mod = input<"mod", 1, 4>;
  constexpr auto x = input<"x", 1, 4, 2, 2, 2>;
  constexpr auto w = parameter<"weights", 4, 4, 1, 1, 1>;
  constexpr auto e = input<"e", 1, 4>;
  constexpr auto f = sum(exp(nn::adaptive_conv3d_mod<4, nn::spatial_kernel<1>, nn::time_kernel<1>>{}(x, mod)));
  constexpr auto row = gradient(sum(gradient(f, mod) * e), mod);
  double hessian[4][4], largest = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    std::vector<double> unit(4, 0.0);
    unit[i] = 1;
    const xt::xtensor<double, 2> r =
        evaluate(row, mod = reals<double>(mod.shape(), 1), x = reals<double>(x.shape(), 2), w = reals<double>(w.shape(), 3), e = unit);
    for (std::size_t j = 0; j < 4; ++j) hessian[i][j] = r(0, j), largest = std::max(largest, std::abs(r(0, j)));
  }
  CHECK(largest > 0);
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < i; ++j) CHECK(std::abs(hessian[i][j] - hessian[j][i]) <= 1e-13 * largest);
}

TEST_CASE("Linear operations have no third derivative") {
  no_third_derivative([](auto x) { return conv3d(x, reshape(arange<108> * 0.1_c - 2_c, shape<2, 2, 3, 3, 3>), stride<2>, padding<1>); });
  no_third_derivative([](auto x) { return conv_transpose3d(x, reshape(arange<48> * 0.1_c - 2_c, shape<2, 3, 2, 2, 2>), stride<2>); });
  no_third_derivative([](auto x) { return concat(axis<1>, avg_pool3d(x, kernel<2>), adaptive_avg_pool3d(x, output_size<2>)); });
  no_third_derivative([](auto x) { return pad(slice(transpose(x, axes<0, 1, 4, 2, 3>), axis<3>, range<0, 4, 2>), shape<0, 0, 1, 0, 0>, shape<0, 0, 0, 2, 0>); });
  no_third_derivative([](auto x) { return mean(linear(reshape(x, shape<32, 4>), reshape(arange<12> - 4_c, shape<3, 4>)), axes<0>); });
}
