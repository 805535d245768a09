// grid_sample: derivatives of first and second order.
#include "gradients_support.hpp"

using namespace gradients_test;

TEST_CASE("sampling at places inside and outside of a volume") {
  constexpr auto volume = input<"x", 1, 1, 2, 2, 3>;
  constexpr auto places = input<"grid", 1, 2, 1, 1, 3>;
  check(square(grid_sample(volume, places)), volume, places);
  check(square(grid_sample(volume, places * 1.25_c, reflection_padding, align_corners)), volume, places);
  check(square(grid_sample(volume, places, border_padding)), volume, places);
}
