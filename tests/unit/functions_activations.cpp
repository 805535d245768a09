// Activations: PyTorch's numbers.
#include "functions_torch.hpp"
#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

constexpr auto x = input<"x", 2, 3, 2>;
constexpr auto wide = x * 5_c;
constexpr auto seven = input<"x", 7>;

TEST_CASE("activations give PyTorch's numbers") {
  check_torch(numbers::hardtanh, hardtanh(wide), x);
  check_torch(numbers::relu6, relu6(wide), x);
  check_torch(numbers::hardsigmoid, hardsigmoid(wide), x);
  check_torch(numbers::hardswish, hardswish(wide), x);
  check_torch(numbers::hardshrink, hardshrink(wide), x);
  check_torch(numbers::softshrink, softshrink(wide), x);
  check_torch(numbers::selu, selu(wide), x);
  check_torch(numbers::celu, celu(wide), x);
  check_torch(numbers::mish, mish(wide), x);
  check_torch(numbers::logsigmoid, logsigmoid(wide), x);
  check_torch(numbers::softsign, softsign(wide), x);
  check_torch(numbers::tanhshrink, tanhshrink(wide), x);
  check_torch(numbers::gelu_tanh, gelu_tanh(wide), x);
  check_torch(numbers::softmin, softmin(wide, axis<1>), x);
}

TEST_CASE("activations with numbers of their own give PyTorch's") {
  constexpr auto u = input<"x", 2, 4, 3>;
  check_torch(numbers::hardtanh_limits, hardtanh<-0.5, 2>(seven * 5_c), seven);
  check_torch(numbers::threshold, threshold<0.25, -3>(seven * 5_c), seven);
  check_torch(numbers::celu_alpha, celu<0.5>(seven * 5_c), seven);
  check_torch(numbers::glu, glu(u * 5_c, axis<1>), u);
}

TEST_CASE("prelu gives PyTorch's numbers, with one slope and with one a channel") {
  constexpr auto volume = input<"x", 2, 3, 1, 2, 2>;
  constexpr auto u = input<"x", 5>;
  check_torch(numbers::prelu, nn::prelu<>{}(x), x);
  check_torch(numbers::prelu_channels, nn::prelu<3>{}(volume), volume);
  check_torch(numbers::prelu_vector, prelu(u, parameter<"slope", 1>), u);
  const model<nn::prelu<2, 0.5>, input<"v", 1, 2>> m;
  CHECK(m.parameter<"weight">()(1) == 0.5f);
}

TEST_CASE("layers are the functions of their names") {
  constexpr auto off = [](auto layer, auto y) { return sum(abs(layer(wide) - y)); };
  constexpr auto one = off(nn::hardtanh<>{}, hardtanh(wide)) + off(nn::relu6{}, relu6(wide)) + off(nn::hardsigmoid{}, hardsigmoid(wide)) +
                       off(nn::hardswish{}, hardswish(wide)) + off(nn::hardshrink<>{}, hardshrink(wide)) +
                       off(nn::softshrink<>{}, softshrink(wide)) + off(nn::threshold<1, 2>{}, threshold<1, 2>(wide));
  constexpr auto other = off(nn::selu{}, selu(wide)) + off(nn::celu<2>{}, celu<2>(wide)) + off(nn::mish{}, mish(wide)) +
                         off(nn::logsigmoid{}, logsigmoid(wide)) + off(nn::softsign{}, softsign(wide)) +
                         off(nn::tanhshrink{}, tanhshrink(wide)) + off(nn::gelu_tanh{}, gelu_tanh(wide)) +
                         off(nn::elu<1>{}, elu<1.0>(wide)) + off(nn::leaky_relu<2>{}, leaky_relu<2>(wide)) +
                         off(nn::softmin<2>{}, softmin(wide, axis<2>)) + off(nn::glu<>{}, glu(wide, axis<2>));
  auto [a, b] = evaluate(outputs(one, other), x = std::vector<double>{-.9, -.7, -.5, -.3, -.1, -.05, .05, .1, .3, .5, .7, .9});
  CHECK(a == 0);
  CHECK(b == 0);
}
