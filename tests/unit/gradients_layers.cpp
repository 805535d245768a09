#include "gradients_layers.hpp"

using namespace gradients_test;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

TEST_CASE("layers with a filter bank") {
  check_layer<nn::conv3d<2, 3, nn::kernel<2>>>(x<2, 2, 2, 3, 2>);
  check_layer<nn::conv3d<4, 2, nn::kernel<1, 2, 3>, nn::stride<1, 2, 1>, nn::padding<0, 1, 1>, nn::dilation<1, 2, 1>, nn::groups<2>, nn::no_bias>>(x<1, 4, 2, 3, 3>);
  check_layer<nn::conv3d<1, 2, nn::kernel<3, 1, 1>, nn::causal>>(x<1, 1, 3, 2, 2>);
  check_layer<nn::conv_transpose3d<2, 4, nn::kernel<2, 3, 2>, nn::stride<2>, nn::padding<1>, nn::output_padding<1>, nn::groups<2>>>(x<1, 2, 2, 2, 2>);
  check_layer<nn::linear<3, 4>>(x<2, 3>);
  check_layer<nn::linear<3, 2, nn::no_bias>>(x<2, 2, 3>);
}

TEST_CASE("activations") {
  check_layer<nn::sequential<nn::linear<2, 3>, nn::relu>>(x<2, 2>);
  check_layer<nn::sequential<nn::linear<2, 3>, nn::leaky_relu<0.2>>>(x<2, 2>);
  check_layer<nn::sequential<nn::linear<2, 3>, nn::elu<0.7>>>(x<2, 2>);
  check_layer<nn::sequential<nn::linear<2, 3>, nn::gelu>>(x<2, 2>);
  check_layer<nn::sequential<nn::linear<2, 3>, nn::silu>>(x<2, 2>);
  check_layer<nn::sequential<nn::linear<2, 3>, nn::sigmoid, nn::linear<3, 2>, nn::tanh>>(x<2, 2>);
  check_layer<nn::sequential<nn::linear<2, 3>, nn::softplus>>(x<2, 2>);
  check_layer<nn::sequential<nn::linear<2, 3>, nn::softmax<>>>(x<2, 2>);
  check_layer<nn::sequential<nn::linear<2, 3>, nn::log_softmax<-1>>>(x<2, 2>);
}

TEST_CASE("pooling, flatten, residual, names") {
  using conv = nn::conv3d<1, 2, nn::kernel<2>, nn::same>;
  check_layer<nn::sequential<conv, nn::max_pool3d<2>, nn::flatten, nn::linear<4, 2>>>(x<1, 1, 2, 2, 4>);
  check_layer<nn::sequential<conv, nn::avg_pool3d<2, nn::padding<1>, nn::count_include_pad<false>>, nn::tanh>>(x<1, 1, 2, 2, 3>);
  check_layer<nn::sequential<conv, nn::adaptive_avg_pool3d<1, 2, 2>, nn::tanh>>(x<1, 1, 2, 2, 3>);
  check_layer<nn::residual<nn::conv3d<1, 2, nn::kernel<3, 1, 1>, nn::same>, nn::tanh, nn::identity, nn::named<"back", nn::conv3d<2, 1, nn::kernel<1>>>>>(x<1, 1, 2, 2, 2>);
  check_layer<nn::sequential<nn::shared<"same", nn::linear<2, 2>>, nn::tanh>>(x<2, 2>);
}
