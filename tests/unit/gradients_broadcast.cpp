#include "gradients_support.hpp"

using namespace gradients_test;

namespace broadcasting {

constexpr auto a = input<"a", 2, 3>;
constexpr auto row = input<"row", 3>;
constexpr auto column = input<"column", 2, 1>;
constexpr auto one = input<"one">;

TEST_CASE("broadcasting on either side") {
  check(a * row, a, row);
  check(row / a, a, row);
  check(a * column, a, column);
  check(column - square(a), a, column);
  check(row * column, row, column);
  check(one * a + row, a, one, row);
  check(positive, power(column, row), column, row);
  check(maximum(row, a), row, a);
  check(select(row < column, row * column, square(row)), row, column);
  check(broadcast_to(square(column), shape<2, 2, 3>), column);
}

}  // namespace broadcasting
