// adaptive_conv3d_mod with each of its options: see gradients_layers.hpp.
#include "gradients_layers.hpp"

using namespace gradients_test;

namespace adaptive {

constexpr auto x = input<"x", 2, 2, 2, 2, 2>;
constexpr auto mod = input<"mod", 2, 2>;
constexpr auto pick = input<"pick", 2, 3>;
template <class... O>
using layer = nn::adaptive_conv3d_mod<2, nn::spatial_kernel<3>, nn::time_kernel<1>, O...>;

TEST_CASE("the modulated layer") {
  check_layer<layer<>>(x, mod);
  check_layer<layer<>>(x);
  check_layer<layer<nn::dim_out<3>, nn::demod<false>>>(x, mod);
  check_layer<layer<nn::eps<0.3>, nn::added_eps>>(x, mod);
  check_layer<layer<nn::scale_is_mod, nn::input_gain<1.5>>>(x, mod);
}

TEST_CASE("its relatives") {
  check_layer<nn::adaptive_conv3d_mod<2, nn::spatial_kernel<1>, nn::time_kernel<3>, nn::causal>>(x, mod);
  check_layer<layer<nn::pre_normalized>>(x, mod);
  check_layer<layer<nn::num_kernels<3>>>(x, mod, pick);
  check_layer<layer<nn::num_kernels<3>, nn::demod<false>, nn::dim_out<1>>>(x, mod, pick);
  check_layer<layer<nn::num_kernels<3>, nn::pre_normalized, nn::eps<0.1>, nn::added_eps, nn::input_gain<0.5>>>(x, mod, pick);
}

}  // namespace adaptive
