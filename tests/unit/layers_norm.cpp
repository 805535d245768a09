#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

template <class Layer, std::size_t N, class X>
void check_layer(const double (&expected)[N], X in) {
  check_torch(expected, Layer{}(in), in);
}

TEST_CASE("instance and group norm give PyTorch's numbers") {
  check_layer<nn::instance_norm3d<3>>(numbers::instance_norm, x<2, 3, 2, 3, 2>);
  check_layer<nn::instance_norm3d<3, nn::eps<0.1>, nn::affine<true>>>(numbers::instance_norm_affine, x<2, 3, 2, 3, 2>);
  check_layer<nn::group_norm<2, 4>>(numbers::group_norm, x<2, 4, 2, 2, 3>);
  check_layer<nn::group_norm<3, 3, nn::affine<false>, nn::eps<0.01>>>(numbers::group_norm_plain, x<2, 3, 5>);
}

TEST_CASE("batch norm gives PyTorch's numbers in training and inference, and its running statistics") {
  using plain = nn::batch_norm3d<2, nn::eps<0.01>, nn::momentum<0.3>, nn::affine<false>>;
  constexpr auto a = x<2, 3, 2, 3, 2>;
  constexpr auto b = x<1, 2, 3, 1, 2>;
  check_torch(numbers::batch_norm, training(nn::batch_norm3d<3>{}(a)), a);
  check_torch(numbers::batch_norm_inference, nn::batch_norm3d<3>{}(a), a);
  check_torch(numbers::batch_norm_plain, training(plain{}(b)), b);
  check_torch(numbers::batch_norm_plain_inference, plain{}(b), b);
}

TEST_CASE("layer norm and RMS norm give PyTorch's numbers") {
  check_layer<nn::layer_norm<6>>(numbers::layer_norm, x<2, 3, 6>);
  check_layer<nn::layer_norm<shape<3, 2>, nn::eps<0.1>>>(numbers::layer_norm_axes, x<4, 3, 2>);
  check_layer<nn::layer_norm<4, nn::affine<false>>>(numbers::layer_norm_plain, x<3, 4>);
  check_layer<nn::rms_norm<5>>(numbers::rms_norm, x<3, 5>);
  check_layer<nn::rms_norm<shape<5, 2>, nn::eps<0.1>, nn::affine<false>>>(numbers::rms_norm_axes, x<3, 5, 2>);
}
