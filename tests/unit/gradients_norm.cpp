#include "gradients_layers.hpp"

using namespace gradients_test;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

template <class L>
struct trained : nn::layer<trained<L>> {
  static constexpr auto forward(expression auto in) { return training(L{}(in)); }
};

TEST_CASE("normalisations") {
  check_layer<nn::sequential<nn::instance_norm3d<2, nn::affine<true>>, nn::leaky_relu<0.2>>>(x<2, 2, 2, 1, 3>);
  check_layer<nn::sequential<nn::group_norm<2, 4>, nn::silu>>(x<2, 4, 1, 2, 2>);
  check_layer<trained<nn::sequential<nn::batch_norm3d<2>, nn::tanh>>>(x<2, 2, 1, 1, 3>);
  check_layer<nn::batch_norm3d<2>>(x<2, 2, 1, 1, 2>);
  check_layer<nn::sequential<nn::layer_norm<4>, nn::rms_norm<shape<2, 4>>>>(x<2, 2, 4>);
}
