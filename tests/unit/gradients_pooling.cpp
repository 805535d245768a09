#include "gradients_support.hpp"

using namespace gradients_test;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

TEST_CASE("max pooling") {
  check(square(max_pool3d(x<1, 2, 4, 2, 4>, kernel<2>)), x<1, 2, 4, 2, 4>);
  check(square(max_pool3d(x<2, 1, 3, 3, 4>, kernel<2, 3, 3>, stride<1, 2, 2>, padding<1>)), x<2, 1, 3, 3, 4>);
  check(square(max_pool3d(x<1, 1, 5, 4, 3>, kernel<2>, dilation<3, 2, 1>, stride<1>)), x<1, 1, 5, 4, 3>);
  check(square(max_pool3d(x<1, 2, 3, 5, 3>, kernel<2>, ceil_mode)), x<1, 2, 3, 5, 3>);
  check(square(max_pool3d(x<1, 2, 1, 3, 2>, kernel<2>, ceil_mode)), x<1, 2, 1, 3, 2>);
  check(max_pool3d(square(x<1, 2, 2, 2, 4>), kernel<2>), x<1, 2, 2, 2, 4>);
}

TEST_CASE("average pooling") {
  check(square(avg_pool3d(x<1, 2, 4, 2, 4>, kernel<2>)), x<1, 2, 4, 2, 4>);
  check(square(avg_pool3d(x<2, 1, 3, 3, 4>, kernel<2, 3, 3>, stride<1, 2, 2>, padding<1>)), x<2, 1, 3, 3, 4>);
  check(square(avg_pool3d(x<2, 1, 3, 3, 4>, kernel<3>, stride<2>, padding<1>, count_include_pad<false>)), x<2, 1, 3, 3, 4>);
  check(square(avg_pool3d(x<1, 2, 3, 5, 3>, kernel<2>, ceil_mode, divisor<3>)), x<1, 2, 3, 5, 3>);
  check(square(avg_pool3d(x<1, 1, 3, 4, 3>, kernel<2>, padding<1>, ceil_mode)), x<1, 1, 3, 4, 3>);
}

TEST_CASE("adaptive average pooling") {
  check(square(adaptive_avg_pool3d(x<1, 2, 3, 4, 5>, output_size<1>)), x<1, 2, 3, 4, 5>);
  check(square(adaptive_avg_pool3d(x<1, 2, 3, 4, 5>, output_size<2, 3, 4>)), x<1, 2, 3, 4, 5>);
  check(square(adaptive_avg_pool3d(x<1, 1, 2, 2, 3>, output_size<3, 2, 4>)), x<1, 1, 2, 2, 3>);  // more than there are
}
