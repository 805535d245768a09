// Resizing: derivatives of first and second order.
#include "gradients_support.hpp"

using namespace gradients_test;

constexpr auto x = input<"x", 1, 1, 2, 3, 2>;

TEST_CASE("resizing") {
  check(square(interpolate(x, output_size<3, 2, 3>, trilinear)), x);
  check(square(interpolate(x, scale_factor<1.5>, cubic)), x);
  check(square(interpolate(x, output_size<1, 5, 3>, nearest)), x);
  check(square(interpolate(x, output_size<3, 6, 1>, nearest_exact)), x);
}
