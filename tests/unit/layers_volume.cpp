#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

template <class Layer, std::size_t N, class X>
void check_layer(const double (&expected)[N], X in) {
  check_torch(expected, Layer{}(in), in);
}

TEST_CASE("upsampling gives PyTorch's numbers") {
  check_layer<nn::upsample<nn::scale<2>>>(numbers::upsample_nearest, x<2, 1, 1, 2, 3>);
  check_layer<nn::upsample<nn::scale<1, 2, 3>, nn::nearest>>(numbers::upsample_nearest_axes, x<1, 2, 2, 1, 2>);
  check_layer<nn::upsample<nn::scale<2>, nn::trilinear>>(numbers::upsample_trilinear, x<2, 1, 1, 2, 3>);
  check_layer<nn::upsample<nn::scale<3, 1, 2>, nn::trilinear>>(numbers::upsample_trilinear_axes, x<1, 2, 3, 2, 2>);
  check_layer<nn::upsample<nn::scale<2, 3, 1>, nn::trilinear, nn::align_corners>>(numbers::upsample_corners, x<1, 2, 3, 2, 2>);
}

TEST_CASE("adaptive maximum pooling and borders give PyTorch's numbers") {
  check_layer<nn::adaptive_max_pool3d<2, 1, 3>>(numbers::adaptive_max_pool, x<1, 2, 3, 2, 5>);
  check_layer<nn::zero_pad3d<1, 2, 1, 0, 2, 0>>(numbers::zero_pad, x<1, 2, 2, 1, 3>);
  check_layer<nn::replicate_pad3d<1>>(numbers::replicate_pad, x<2, 1, 2, 3, 1>);
  check_layer<nn::replicate_pad3d<0, 2, 1, 0, 0, 3>>(numbers::replicate_pad_sides, x<1, 2, 2, 1, 3>);
  check_layer<nn::reflect_pad3d<1, 1, 1>>(numbers::reflect_pad, x<1, 2, 2, 3, 2>);
  check_layer<nn::reflect_pad3d<0, 2, 0, 0, 2, 1>>(numbers::reflect_pad_sides, x<1, 1, 3, 1, 4>);
}
