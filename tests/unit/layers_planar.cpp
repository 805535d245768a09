// Layers of lines and planes: PyTorch's numbers.
#include "functions_torch.hpp"
#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

TEST_CASE("convolutions of planes and lines give PyTorch's numbers") {
  using planes = nn::conv2d<2, 4, nn::kernel<3, 2>, nn::stride<2, 1>, nn::padding<1, 0>, nn::groups<2>>;
  check_torch(numbers::conv2d, planes{}(x<2, 2, 4, 3>), x<2, 2, 4, 3>);
  check_torch(numbers::conv2d_dilated, nn::conv2d<2, 2, nn::kernel<3>, nn::padding<2>, nn::dilation<2>, nn::no_bias>{}(x<1, 2, 4, 3>),
              x<1, 2, 4, 3>);
  check_torch(numbers::conv1d, nn::conv1d<2, 3, nn::kernel<3>, nn::stride<2>, nn::padding<1>>{}(x<2, 2, 7>), x<2, 2, 7>);
  model<planes, input<"v", 1, 2, 4, 3>> m;
  CHECK((m.parameter_table()[0].shape == make_extents(4, 1, 3, 2) && m.parameter_table()[0].path == "weight"));
}

TEST_CASE("poolings of planes and lines give PyTorch's numbers") {
  check_torch(numbers::max_pool2d, nn::max_pool2d<3, nn::stride<2>, nn::padding<1>>{}(x<1, 2, 5, 4>), x<1, 2, 5, 4>);
  check_torch(numbers::avg_pool1d, nn::avg_pool1d<2>{}(x<1, 2, 6>), x<1, 2, 6>);
  static_assert(nn::max_pool1d<2>{}(x<1, 2, 6>).shape() == shape<1, 2, 3>);
  static_assert(nn::avg_pool2d<2, nn::ceil_mode>{}(x<1, 2, 5, 4>).shape() == shape<1, 2, 3, 2>);
  static_assert(nn::conv1d<2, 3, nn::kernel<2>, nn::padding<1, 0>>{}(x<2, 2, 7>).shape() == shape<2, 3, 7>);
}

TEST_CASE("batch norm of planes and lines is that of volumes") {
  constexpr auto v = x<2, 3, 2, 3>;
  constexpr auto planes = training(nn::batch_norm2d<3>{}(v));
  constexpr auto volumes = reshape(training(nn::batch_norm3d<3>{}(reshape(v, shape<2, 3, 1, 2, 3>))), shape<2, 3, 2, 3>);
  static_assert(training(nn::batch_norm1d<3>{}(x<2, 3, 4>)).shape() == shape<2, 3, 4>);
  program<outputs(planes)> a;
  program<outputs(volumes)> b;
  std::vector<float> numbers_of_x(36);
  for (std::size_t i = 0; i < 36; ++i) numbers_of_x[i] = float(i * 7 % 11);
  auto [ya] = a(v = numbers_of_x);
  auto [yb] = b(v = numbers_of_x);
  CHECK(std::equal(ya.begin(), ya.end(), yb.begin()));
  CHECK(a.parameter_table()[2].path == "running_mean");

  constexpr auto rows = x<12, 3>;  // (N, C) is lines of one number
  program<outputs(training(nn::batch_norm1d<3>{}(rows)))> c;
  program<outputs(training(nn::batch_norm1d<3>{}(reshape(rows, shape<12, 3, 1>))))> d;
  auto [yr] = c(rows = numbers_of_x);
  auto [yl] = d(rows = numbers_of_x);
  static_assert(training(nn::batch_norm1d<3>{}(rows)).shape() == shape<12, 3>);
  CHECK(std::equal(yr.begin(), yr.end(), yl.begin()));
}
