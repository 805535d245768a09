// Rearranging, borders, norms, uneven padding: PyTorch's numbers.
#include "functions_torch.hpp"
#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

TEST_CASE("rolling and shuffling give PyTorch's numbers") {
  check_torch(numbers::roll, roll<2>(x<2, 5, 3>, axis<1>), x<2, 5, 3>);
  check_torch(numbers::roll_back, roll<-4>(x<2, 5, 3>, axis<-1>), x<2, 5, 3>);
  check_torch(numbers::shuffle, pixel_shuffle(x<1, 12, 2, 1, 2>, scale_factor<2, 1, 3>), x<1, 12, 2, 1, 2>);
  check_torch(numbers::shuffle_planes, nn::pixel_shuffle<nn::scale<1, 2, 2>>{}(x<1, 8, 1, 2, 3>), x<1, 8, 1, 2, 3>);
  check_torch(numbers::unshuffle_planes, nn::pixel_unshuffle<nn::scale<1, 2, 2>>{}(x<1, 2, 1, 4, 6>), x<1, 2, 1, 4, 6>);
}

TEST_CASE("circular borders and norms give PyTorch's numbers") {
  check_torch(numbers::circular_pad, nn::circular_pad3d<3, 0, 0, 1, 2, 1>{}(x<1, 2, 3, 2, 3>), x<1, 2, 3, 2, 3>);
  check_torch(numbers::norm, norm(x<3, 2, 4>, axes<1, 2>), x<3, 2, 4>);
}

TEST_CASE("the derivative of a norm at 0 is 0, of any order") {
  constexpr auto v = input<"v", 3>;
  constexpr auto g = gradient(norm(v), v);
  auto [length, slope, curve] = evaluate(outputs(norm(v), g, gradient(sum(g), v)), v = std::vector<double>(3, 0.0));
  CHECK((length == 0 && slope(1) == 0 && curve(2) == 0));
}

TEST_CASE("uneven padding, and that which keeps extents / stride, give PyTorch's numbers on a padded input") {
  check_torch(numbers::max_pool_uneven, max_pool3d(x<1, 2, 4, 5, 6>, kernel<3>, stride<2>, padding<0, 2, 1, 0, 0, 1>), x<1, 2, 4, 5, 6>);
  check_torch(numbers::avg_pool_uneven, avg_pool3d(x<1, 2, 4, 5, 6>, kernel<3>, stride<2>, padding<0, 2, 1, 0, 0, 1>), x<1, 2, 4, 5, 6>);
  constexpr auto strided = conv3d(x<1, 2, 3, 4, 6>, parameter<"w", 2, 2, 3, 2, 3>, stride<2>, same_upper);
  static_assert(strided.shape() == shape<1, 2, 2, 2, 3>);
  check_torch(numbers::conv_same_upper, strided, x<1, 2, 3, 4, 6>);
  static_assert(max_pool3d(x<1, 2, 4, 5, 6>, kernel<3>, stride<2>, same_upper).shape() == shape<1, 2, 2, 3, 3>);
  static_assert(max_pool3d(x<1, 2, 4, 5, 6>, kernel<1>, stride<3>, same_upper).shape() == shape<1, 2, 2, 2, 2>);
  static_assert(nn::conv3d<2, 4, nn::kernel<3>, nn::stride<3>, nn::same_upper>{}(x<1, 2, 4, 5, 6>).shape() == shape<1, 4, 2, 2, 2>);
}
