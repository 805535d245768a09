// Rearranging, circular borders, norms, uneven padding: derivatives of first and second order.
#include "gradients_support.hpp"

using namespace gradients_test;

constexpr auto given = input<"x", 1, 4, 1, 2, 2>;

TEST_CASE("rearranging") {
  check(square(roll<1>(square(given), axis<1>)) * given, given);
  check(square(pixel_shuffle(given, scale_factor<1, 2, 2>)), given);
  check(square(pixel_unshuffle(given, scale_factor<1, 2, 1>)), given);
  check(square(circular_pad3d(given, padding<0, 0, 1, 2, 0, 1>)), given);
}

TEST_CASE("norms") {
  check(norm(given) * given, given);
  check(norm(given, axes<1, 3>, keepdims) * given, given);
}

TEST_CASE("uneven padding") {
  check(square(max_pool3d(given, kernel<1, 2, 2>, padding<0, 0, 1, 0, 0, 1>, stride<1>)), given);
  check(square(avg_pool3d(given, kernel<1, 2, 2>, padding<0, 0, 1, 0, 0, 1>, stride<1>, count_include_pad<false>)), given);
  check(square(conv3d(given, input<"w", 2, 4, 1, 2, 1>, same_upper, stride<1, 2, 2>)), given, input<"w", 2, 4, 1, 2, 1>);
}
