// Elements by their numbers: derivatives of first and second order.
#include "gradients_support.hpp"

using namespace gradients_test;

constexpr auto x = input<"x", 2, 3, 4>;

TEST_CASE("rows by numbers") {
  check(square(take(x, axis<1>, indices<2, 0, 2>)), x);
  check(square(take(square(x), axis<-1>, reshape(indices<3, 0, 1, 1>, shape<2, 2>))), x);
  check(square(gather(x, axis<1>, reshape(arange<8> - 2_c * 1_c, shape<2, 1, 4>))), x);
  check(square(embedding(indices<1, 1, 0>, input<"table", 3, 2>)), input<"table", 3, 2>);
}
