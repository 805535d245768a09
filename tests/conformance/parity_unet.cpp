// Twenty training steps of a U-Net (batch, group and instance norm, transposed convolutions, skip connections, Adam) from the parameters and
// on the data of parity_unet.py follow PyTorch's losses.
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#include "conformance/parity_unet.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <xtensor/xtensor.hpp>

using namespace volute;

namespace {

template <std::int64_t In, std::int64_t Out, class Norm>
using block = nn::sequential<nn::conv3d<In, Out, nn::kernel<3>, nn::padding<1>, nn::no_bias>, Norm, nn::leaky_relu<0.01>,
                             nn::conv3d<Out, Out, nn::kernel<3>, nn::padding<1>, nn::no_bias>, Norm, nn::leaky_relu<0.01>>;
template <std::int64_t C>
using instance_norm = nn::instance_norm3d<C, nn::affine<true>>;
template <std::int64_t In, std::int64_t Out>
using up = nn::conv_transpose3d<In, Out, nn::kernel<2>, nn::stride<2>>;

struct unet {
  nn::named<"enc0", block<1, 4, nn::batch_norm3d<4>>> enc0;
  nn::named<"down", nn::conv3d<4, 8, nn::kernel<2>, nn::stride<2>>> down;
  nn::named<"enc1", block<8, 8, nn::group_norm<2, 8>>> enc1;
  nn::named<"bottom", block<8, 16, instance_norm<16>>> bottom;
  nn::named<"up1", up<16, 8>> up1;
  nn::named<"dec1", block<16, 8, instance_norm<8>>> dec1;
  nn::named<"up0", up<8, 4>> up0;
  nn::named<"dec0", block<8, 4, nn::batch_norm3d<4>>> dec0;
  nn::named<"head", nn::conv3d<4, 3, nn::kernel<1>>> head;
  constexpr auto operator()(expression auto x) const {
    const auto a = enc0(x);
    const auto b = enc1(down(a));
    const auto d = dec1(concat(axis<1>, b, up1(bottom(nn::max_pool3d<2>{}(b)))));
    return head(dec0(concat(axis<1>, a, up0(d))));
  }
};

constexpr std::int64_t n = 2, size = 12;
constexpr auto x = input<"x", n, 1, size, size, size>;
constexpr auto labels = input<"labels", n, size, size, size>;

/// The batch of a step, as parity_unet.py has it.
void batch(int step, xt::xtensor<float, 5>& volume, xt::xtensor<float, 4>& classes) {
  volume = xt::zeros<float>({n, std::int64_t{1}, size, size, size});
  classes = xt::zeros<float>({n, size, size, size});
  for (std::int64_t i = 0; i < n * size * size * size; ++i) {
    const double w = double(i % size), h = double(i / size % size), d = double(i / (size * size) % size), s = double(i / (size * size * size));
    const double wave = std::sin(0.5 * w + 0.3 * step) + std::cos(0.4 * h - 0.2 * step + s) + std::sin(0.3 * d + s);
    volume.data()[i] = static_cast<float>(wave + (double((i * 7919 + step * 104729) % 1009) / 1009 - 0.5));
    classes.data()[i] = static_cast<float>((wave > -0.5) + (wave > 0.5));
  }
}

}  // namespace

TEST_CASE("a U-Net's training follows PyTorch's for twenty steps", "[parity]") {
  trainer<unet, nn::cross_entropy<>, adam, x, labels> t{adam{.lr = 3e-3}};
  load(t, VOLUTE_TEST_DATA "/parity_unet.safetensors");
  xt::xtensor<float, 5> volume;
  xt::xtensor<float, 4> classes;
  double worst = 0;
  for (int step = 0; step < 20; ++step) {
    batch(step, volume, classes);
    const double loss = t.step(volume, classes);
    worst = std::max(worst, std::abs(loss / parity_losses[step] - 1));
  }
  std::printf("largest relative difference of a loss: %.2g\n", worst);
  CHECK(worst < 1e-4);

  program<outputs(cross_entropy(unet{}(x), labels))> judge;  // with the running statistics
  copy_parameters(t, judge);
  batch(20, volume, classes);
  auto [loss] = judge(x = volume, labels = classes);
  CHECK(std::abs(loss / parity_judged - 1) < 1e-4);
}
