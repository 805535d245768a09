#include "gradients_layers.hpp"

using namespace gradients_test;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

TEST_CASE("upsampling, borders, attention, styles") {
  check_layer<nn::sequential<nn::upsample<nn::scale<1, 2, 2>>, nn::upsample<nn::scale<2, 1, 2>, nn::trilinear>, nn::tanh>>(x<1, 2, 2, 1, 2>);
  check_layer<nn::sequential<nn::replicate_pad3d<0, 1, 2>, nn::reflect_pad3d<1, 0, 0>, nn::tanh>>(x<1, 2, 2, 1, 2>);
  check_layer<nn::squeeze_excitation<4, 2>>(x<2, 4, 1, 1, 2>);
  check_layer<nn::sequential<nn::mapping_network<3, 4, 2>, nn::style_affine<4, 2>, nn::tanh>>(x<2, 3>);
  check_layer<nn::skip<nn::equalized_conv3d<2, 1, nn::kernel<1, 2, 1>, nn::same>, nn::tanh>>(x<1, 2, 1, 2, 2>);
}
