// Rearranging, circular borders, norms, uneven padding: derivatives of first and second order.
#include "gradients_support.hpp"

using namespace gradients_test;

constexpr auto a = input<"x", 1, 4, 1, 2, 2>;

TEST_CASE("rearranging") {
  check(square(roll<1>(square(a), axis<1>)) * a, a);
  check(square(pixel_shuffle(a, scale_factor<1, 2, 2>)), a);
  check(square(pixel_unshuffle(a, scale_factor<1, 2, 1>)), a);
  check(square(circular_pad3d(a, padding<0, 0, 1, 2, 0, 1>)), a);
}

TEST_CASE("norms") {
  check(norm(a) * a, a);
  check(norm(a, axes<1, 3>, keepdims) * a, a);
}

TEST_CASE("uneven padding") {
  check(square(max_pool3d(a, kernel<1, 2, 2>, padding<0, 0, 1, 0, 0, 1>, stride<1>)), a);
  check(square(avg_pool3d(a, kernel<1, 2, 2>, padding<0, 0, 1, 0, 0, 1>, stride<1>, count_include_pad<false>)), a);
  check(square(conv3d(a, input<"w", 2, 4, 1, 2, 1>, same_upper, stride<1, 2, 2>)), a, input<"w", 2, 4, 1, 2, 1>);
}
