#include "gradients_support.hpp"

using namespace gradients_test;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;
template <std::int64_t... D>
constexpr auto w = input<"w", D...>;
template <std::int64_t N>
constexpr auto bias = input<"bias", N>;

TEST_CASE("convolution") {
  check(conv3d(x<2, 2, 3, 3, 3>, w<3, 2, 2, 2, 2>), x<2, 2, 3, 3, 3>, w<3, 2, 2, 2, 2>);
  check(conv3d(x<1, 2, 2, 3, 3>, w<2, 2, 1, 3, 3>, bias<2>, padding<0, 1, 1>), x<1, 2, 2, 3, 3>, w<2, 2, 1, 3, 3>, bias<2>);
  check(conv3d(x<1, 1, 2, 2, 3>, w<2, 1, 2, 2, 2>, padding<1, 0, 0, 2, 2, 1>), x<1, 1, 2, 2, 3>, w<2, 1, 2, 2, 2>);
  check(conv3d(x<1, 2, 2, 3, 3>, w<2, 2, 2, 2, 3>, same), x<1, 2, 2, 3, 3>, w<2, 2, 2, 2, 3>);
  check(conv3d(x<1, 2, 3, 3, 2>, w<2, 2, 3, 1, 1>, causal), x<1, 2, 3, 3, 2>, w<2, 2, 3, 1, 1>);
  check(conv3d(x<1, 3, 2, 2, 2>, w<4, 3, 1, 1, 1>, bias<4>, valid), x<1, 3, 2, 2, 2>, w<4, 3, 1, 1, 1>, bias<4>);
}

TEST_CASE("strides that do not divide evenly") {
  check(conv3d(x<1, 2, 4, 4, 3>, w<2, 2, 2, 1, 2>, stride<2, 2, 1>, padding<1, 0, 0>), x<1, 2, 4, 4, 3>, w<2, 2, 2, 1, 2>);
  check(conv3d(x<1, 1, 6, 2, 4>, w<2, 1, 1, 1, 2>, stride<4, 1, 3>), x<1, 1, 6, 2, 4>, w<2, 1, 1, 1, 2>);
}

TEST_CASE("dilation") {
  check(conv3d(x<1, 2, 5, 3, 3>, w<2, 2, 2, 2, 2>, dilation<3, 2, 1>), x<1, 2, 5, 3, 3>, w<2, 2, 2, 2, 2>);
  check(conv3d(x<1, 1, 3, 4, 4>, w<1, 1, 2, 2, 3>, dilation<2>, stride<2>, padding<1>), x<1, 1, 3, 4, 4>, w<1, 1, 2, 2, 3>);
}

TEST_CASE("groups") {
  check(conv3d(x<1, 4, 2, 2, 3>, w<6, 2, 2, 1, 2>, bias<6>, groups<2>), x<1, 4, 2, 2, 3>, w<6, 2, 2, 1, 2>, bias<6>);
  check(conv3d(x<2, 3, 3, 2, 2>, w<3, 1, 2, 2, 1>, groups<3>, padding<1>, stride<2>), x<2, 3, 3, 2, 2>, w<3, 1, 2, 2, 1>);
}

// The derivative of the filters' gradient: all three faces of the form meet.
TEST_CASE("convolution of a function of both operands") {
  constexpr auto v = x<1, 2, 2, 2, 2>;
  constexpr auto k = w<2, 2, 2, 2, 2>;
  check(square(conv3d(tanh(v), square(k), padding<1, 0, 0>)), v, k);
  check(square(conv3d(v, v, padding<1, 0, 0, 0, 0, 0>)), v);  // the same tensor on both sides
}
