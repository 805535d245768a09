// Layers of attention beside PyTorch's and torchvision's.
#include "attention_torch.hpp"
#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;
template <class Layer, std::size_t N, class X>
void check_layer(const double (&expected)[N], X in) {
  check_torch(expected, Layer{}(in), in);
}

TEST_CASE("multihead_attention gives PyTorch's numbers") {
  check_layer<nn::multihead_attention<4, 2>>(numbers::multihead, x<2, 3, 4>);
  check_layer<nn::multihead_attention<4, 2, nn::no_bias>>(numbers::multihead_no_bias, x<3, 4>);
  check_layer<nn::multihead_attention<4, 2, nn::causal>>(numbers::multihead_causal, x<2, 3, 4>);
  constexpr auto mask = reshape(arange<3>, shape<3, 1>) >= arange<3>;
  check_torch(numbers::multihead_causal, nn::multihead_attention<4, 2>{}(x<2, 3, 4>, x<2, 3, 4>, x<2, 3, 4>, mask), x<2, 3, 4>);
  constexpr auto other = parameter<"other", 2, 4, 4>;
  check_torch(numbers::multihead_cross, nn::multihead_attention<4, 2>{}(x<2, 3, 4>, other, 2_c * other), x<2, 3, 4>);
}

TEST_CASE("shifted windows give torchvision's numbers") {
  check_layer<nn::shifted_window_attention<2, 2, nn::window<2, 2, 2>>>(numbers::windows, x<1, 2, 4, 4, 2>);
  check_layer<nn::shifted_window_attention<2, 2, nn::window<2, 2, 2>, nn::shift<1, 1, 1>>>(numbers::windows_shifted, x<2, 3, 4, 3, 2>);
  check_layer<nn::shifted_window_attention<2, 2, nn::window<3, 2, 3>, nn::shift<1, 1, 2>, nn::no_bias>>(numbers::windows_short_axis,
                                                                                                        x<1, 2, 3, 5, 2>);
  check_layer<nn::shifted_window_attention<4, 2, nn::window<2, 3>, nn::shift<1, 1>>>(numbers::windows_plane, x<1, 4, 5, 4>);
  check_layer<nn::shifted_window_attention<4, 2, nn::window<3, 2>, nn::shift<1, 1>>>(numbers::windows_small_plane, x<1, 2, 5, 4>);
}

TEST_CASE("names and initial values") {
  model<nn::multihead_attention<32, 4>, input<"x", 1, 6, 32>> m;
  const char* path[]{"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"};
  for (std::size_t i = 0; i < 4; ++i) CHECK(m.parameter_table()[i].path == path[i]);
  const auto largest = [](const auto& entry) {
    double most = 0;
    for (std::int64_t i = 0; i < entry.shape.size(); ++i) most = std::max(most, std::abs(double(entry.data[i])));
    return most;
  };
  CHECK(largest(m.parameter_table()[0]) == Approx(std::sqrt(6.0 / 128)).epsilon(0.01));
  CHECK(largest(m.parameter_table()[1]) == 0);
  CHECK(largest(m.parameter_table()[2]) == Approx(1 / std::sqrt(32.0)).epsilon(0.01));
  CHECK(largest(m.parameter_table()[3]) == 0);
  model<nn::shifted_window_attention<32, 4, nn::window<2, 2>>, input<"x", 1, 6, 6, 32>> w;
  const char* names[]{"qkv.weight", "qkv.bias", "relative_position_bias_table", "proj.weight", "proj.bias"};
  for (std::size_t i = 0; i < 5; ++i) CHECK(w.parameter_table()[i].path == names[i]);
}
