// A trainer whose network has several results, and its loss at several scales.
#include <volute/train/trainer.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

using namespace volute;
namespace nn = volute::nn;

struct two_scales {
  nn::named<"fine", nn::conv3d<1, 2, nn::kernel<3>, nn::same>> fine;
  nn::named<"coarse", nn::conv3d<1, 2, nn::kernel<3>, nn::same>> coarse;
  constexpr auto operator()(expression auto x) const { return std::tuple{fine(x), coarse(avg_pool3d(x, kernel<2>))}; }
};

TEST_CASE("deep supervision trains both scales") {
  using loss = nn::deep_supervision<nn::weighted_losses<nn::dice<1e-5, nn::over_batch>, 1, nn::cross_entropy<>, 1>, 1, 0.5>;
  trainer<two_scales, loss, adam, input<"x", 1, 1, 4, 4, 4>, input<"labels", 1, 4, 4, 4>> t(adam{.lr = 0.1});
  xt::xtensor<float, 5> x({1, 1, 4, 4, 4});
  xt::xtensor<float, 4> labels({1, 4, 4, 4});
  for (std::size_t i = 0; i < 64; ++i) labels.data()[i] = float(i / 32), x.data()[i] = labels.data()[i] * 2 - 1;
  const float first = t.step(x, labels);
  float last = first;
  for (int i = 0; i < 30; ++i) last = t.step(x, labels);
  CHECK(last < 0.3f * first);
}
