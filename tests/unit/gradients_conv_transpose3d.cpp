#include "gradients_support.hpp"

using namespace gradients_test;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;
template <std::int64_t... D>
constexpr auto w = input<"w", D...>;
template <std::int64_t N>
constexpr auto bias = input<"bias", N>;

TEST_CASE("transposed convolution") {
  check(conv_transpose3d(x<2, 2, 2, 2, 2>, w<2, 3, 2, 2, 2>), x<2, 2, 2, 2, 2>, w<2, 3, 2, 2, 2>);
  check(conv_transpose3d(x<1, 2, 2, 2, 3>, w<2, 2, 2, 3, 2>, bias<2>, stride<2>, padding<1>), x<1, 2, 2, 2, 3>, w<2, 2, 2, 3, 2>, bias<2>);
  check(conv_transpose3d(x<1, 1, 2, 2, 2>, w<1, 2, 1, 2, 3>, stride<2, 3, 2>, output_padding<1, 2, 1>), x<1, 1, 2, 2, 2>, w<1, 2, 1, 2, 3>);
  check(conv_transpose3d(x<1, 2, 2, 2, 2>, w<2, 1, 2, 2, 1>, dilation<2, 3, 1>, padding<0, 1, 0, 0, 0, 0>), x<1, 2, 2, 2, 2>, w<2, 1, 2, 2, 1>);
  check(conv_transpose3d(x<1, 4, 2, 2, 1>, w<4, 3, 2, 1, 2>, bias<6>, groups<2>, stride<2>, output_padding<1>), x<1, 4, 2, 2, 1>, w<4, 3, 2, 1, 2>, bias<6>);
  check(square(conv_transpose3d(square(x<1, 2, 2, 2, 2>), w<2, 2, 2, 1, 2>, stride<2>)), x<1, 2, 2, 2, 2>, w<2, 2, 2, 1, 2>);
}
