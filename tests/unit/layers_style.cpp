#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

template <class Layer, std::size_t N, class X>
void check_layer(const double (&expected)[N], X in) {
  check_torch(expected, Layer{}(in), in);
}

TEST_CASE("squeeze and excitation and the parts of a style-based generator give PyTorch's numbers") {
  check_layer<nn::squeeze_excitation<4, 2>>(numbers::squeeze_excitation, x<2, 4, 2, 1, 2>);
  check_layer<nn::equalized_linear<3, 4, nn::lr_mul<0.5>>>(numbers::equalized_linear, x<2, 3>);
  check_layer<nn::equalized_conv3d<2, 4, nn::kernel<1, 2, 3>, nn::padding<0, 1, 1>, nn::stride<1, 2, 1>, nn::groups<2>>>(
      numbers::equalized_conv, x<1, 2, 2, 3, 3>);
  check_layer<nn::mapping_network<3, 4, 2>>(numbers::mapping, x<2, 3>);
}

TEST_CASE("initial values") {
  program<outputs(nn::sequential<nn::mapping_network<64, 64, 2>, nn::style_affine<64, 32>>{}(x<2, 64>))> p;
  CHECK(p.parameter_table()[0].path == "0.fc0.weight");
  CHECK(p.parameter_table()[3].path == "0.fc1.bias");
  double squares = 0;
  for (int i = 0; i < 64 * 64; ++i) squares += std::pow(double(p.parameter_table()[0].data[i]), 2);
  CHECK(std::sqrt(squares / (64 * 64)) == Approx(100).epsilon(0.05));
  CHECK(p.parameter_table()[1].data[5] == 0);
  CHECK(p.parameter_table()[5].data[5] == 1);
  program<outputs(training(nn::batch_norm3d<2>{}(x<2, 2, 1, 1, 2>)))> b;
  const char* path[]{"weight", "bias", "running_mean", "running_var"};
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(b.parameter_table()[i].path == path[i]);
    CHECK(b.parameter_table()[i].data[1] == (i == 0 || i == 3 ? 1 : 0));
  }
}

TEST_CASE("dropout keeps or drops what it says, in training alone") {
  constexpr auto in = x<2, 50, 4, 5, 5>;
  program<outputs(training(nn::dropout<0.3>{}(in)), training(nn::dropout3d<0.25>{}(in)), nn::dropout<0.3>{}(in),
                  training(nn::dropout<0>{}(in)), training(nn::dropout<1>{}(in)), gradient(sum(training(nn::dropout<0.3>{}(in))), in),
                  nn::dropout<1>{}(in)),
          double>
      p;
  xt::xtensor<double, 5> values({2, 50, 4, 5, 5}, 1.0);
  const auto [some, channels, all, none, zero, gradient_of, kept_all] = p(in = values);
  double kept = 0, whole = 0;
  for (std::size_t i = 0; i < 10000; ++i) {
    const double v = some.data()[i];
    REQUIRE((v == 0 || v == Approx(1 / 0.7)));
    REQUIRE(channels.data()[i] == channels.data()[i / 100 * 100]);
    REQUIRE(all.data()[i] == 1);
    REQUIRE(none.data()[i] == 1);
    REQUIRE(zero.data()[i] == 0);
    REQUIRE(kept_all.data()[i] == 1);
    REQUIRE(gradient_of.data()[i] == v);
    kept += v != 0, whole += channels.data()[i] != 0;
  }
  CHECK(kept / 10000 == Approx(0.7).margin(0.02));
  CHECK(whole / 10000 == Approx(0.75).margin(0.15));
  const std::vector<double> before(some.data(), some.data() + 10000);
  const auto again = p(in = values);
  CHECK(!std::equal(before.begin(), before.end(), std::get<0>(again).data()));
}

TEST_CASE("drop path keeps or drops whole samples, in training alone") {
  constexpr auto in = x<200, 2, 1, 1, 3>;
  program<outputs(training(nn::drop_path<0.25>{}(in)), nn::drop_path<0.25>{}(in))> p;
  const xt::xtensor<float, 5> values({200, 2, 1, 1, 3}, 1.0f);
  const auto [some, all] = p(in = values);
  int kept = 0;
  for (std::size_t i = 0; i < 1200; ++i) {
    const float v = some.data()[i];
    REQUIRE((v == 0 || v == Approx(1 / 0.75)));
    REQUIRE(v == some.data()[i / 6 * 6]);
    REQUIRE(all.data()[i] == 1);
    kept += v != 0;
  }
  CHECK(kept / 1200.0 == Approx(0.75).margin(0.15));
}

TEST_CASE("noise is one map a sample, times a weight of each channel") {
  constexpr auto in = x<2, 3, 2, 4, 4>;
  program<outputs(nn::noise_injection<3>{}(in)), double> p;
  xt::xtensor<double, 5> values({2, 3, 2, 4, 4}, 1.0);
  xt::xtensor<double, 5> y = std::get<0>(p(in = values));
  CHECK(y(1, 2, 1, 3, 3) == 1);
  for (int c = 0; c < 3; ++c) p.parameter_table()[0].data[c] = c;
  y = std::get<0>(p(in = values));
  CHECK(y(0, 0, 1, 2, 3) == 1);
  CHECK(y(0, 2, 1, 2, 3) - 1 == Approx(2 * (y(0, 1, 1, 2, 3) - 1)));
  CHECK(y(0, 1, 1, 2, 3) != y(1, 1, 1, 2, 3));
  CHECK(y(0, 1, 1, 2, 3) != y(0, 1, 1, 2, 2));
}

namespace {
struct video
    : nn::sequential<nn::conv3d<2, 4, nn::kernel<3>, nn::causal>, nn::leaky_relu<0.1>,
                     nn::residual<nn::conv3d<4, 4, nn::kernel<3, 1, 1>, nn::causal, nn::dilation<2, 1, 1>>, nn::silu>,
                     nn::upsample<nn::scale<1, 2, 2>>, nn::named<"last", nn::conv3d<4, 1, nn::kernel<1, 3, 3>, nn::padding<0, 1, 1>>>> {};
}  // namespace

TEST_CASE("a causal model in chunks gives what the whole gives") {
  program<outputs(video{}(x<2, 2, 7, 4, 3>))> whole;
  program<outputs(nn::streaming<video>{}(x<2, 2, 1, 4, 3>))> frame;
  program<outputs(nn::streaming<video>{}(x<2, 2, 3, 4, 3>))> chunk;
  whole.initialize(4), frame.initialize(4), chunk.initialize(4);
  REQUIRE(frame.parameter_table()[0].path == "0.weight");
  REQUIRE(frame.parameter_table()[4].path == "last.weight");
  REQUIRE(frame.parameter_table()[6].path == "0.frames");
  REQUIRE(frame.parameter_table()[7].path == "2.0.frames");
  xt::xtensor<float, 5> values({2, 2, 7, 4, 3});
  for (std::size_t i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(number(i, 37, 11, 101));
  const xt::xtensor<float, 5> y = std::get<0>(whole(x<2, 2, 7, 4, 3> = values));
  const auto part = [&](std::size_t first, auto& p, auto in) {
    constexpr std::size_t n = static_cast<std::size_t>(decltype(in)::shape()[2]);
    xt::xtensor<float, 5> some({2, 2, n, 4, 3});
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t c = 0; c < 2; ++c)
        for (std::size_t t = 0; t < n; ++t)
          for (std::size_t k = 0; k < 12; ++k) some(b, c, t, k / 3, k % 3) = values(b, c, first + t, k / 3, k % 3);
    const xt::xtensor<float, 5> got = std::get<0>(p(in = some));
    for (std::size_t b = 0; b < 2; ++b)
      for (std::size_t t = 0; t < n; ++t)
        for (std::size_t k = 0; k < 48; ++k)
          REQUIRE(got(b, 0, t, k / 6, k % 6) == Approx(y(b, 0, first + t, k / 6, k % 6)).margin(1e-6).epsilon(1e-6));
  };
  for (int sequence = 0; sequence < 2; ++sequence) {
    for (std::size_t t = 0; t < 7; ++t) part(t, frame, x<2, 2, 1, 4, 3>);
    part(0, chunk, x<2, 2, 3, 4, 3>), part(3, chunk, x<2, 2, 3, 4, 3>);
    reset_stream(frame), reset_stream(chunk);
  }
}
