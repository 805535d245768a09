// R3D-18 (Tran et al. 2018, https://arxiv.org/abs/1711.11248; torchvision's r3d_18) on a clip of 3 x 16 x 112 x 112.
#include "model.hpp"

namespace {

using namespace compare;
using namespace volute;

template <int64_t In, int64_t Out, int64_t Stride>
struct basic_block {
  nn::named<"conv1", nn::sequential<nn::conv3d<In, Out, nn::kernel<3>, nn::stride<Stride>, nn::padding<1>, nn::no_bias>,
                                    nn::batch_norm3d<Out>, nn::relu>>
      conv1;
  nn::named<"conv2", nn::sequential<nn::conv3d<Out, Out, nn::kernel<3>, nn::padding<1>, nn::no_bias>, nn::batch_norm3d<Out>>> conv2;
  nn::named<"downsample",
            nn::sequential<nn::conv3d<In, Out, nn::kernel<1>, nn::stride<Stride>, nn::no_bias>, nn::batch_norm3d<Out>>>
      downsample;
  constexpr auto operator()(expression auto x) const {
    const auto y = conv2(conv1(x));
    if constexpr (Stride == 1)
      return relu(y + x);
    else
      return relu(y + downsample(x));
  }
};
template <int64_t In, int64_t Out, int64_t Stride>
using layer = nn::sequential<basic_block<In, Out, Stride>, basic_block<Out, Out, 1>>;

struct net : nn::sequential<nn::named<"stem", nn::sequential<nn::conv3d<3, 64, nn::kernel<3, 7, 7>, nn::stride<1, 2, 2>,
                                                                         nn::padding<1, 3, 3>, nn::no_bias>,
                                                              nn::batch_norm3d<64>, nn::relu>>,
                            nn::named<"layer1", layer<64, 64, 1>>, nn::named<"layer2", layer<64, 128, 2>>,
                            nn::named<"layer3", layer<128, 256, 2>>, nn::named<"layer4", layer<256, 512, 2>>, nn::adaptive_avg_pool3d<1>,
                            nn::flatten, nn::named<"fc", nn::linear<512, 400>>> {};

constexpr auto x = input<"x", 1, 3, 16, 112, 112>;
constexpr auto labels = input<"labels", 1>;
constexpr auto result = filtered(net{}(x));
constexpr auto loss = filtered(cross_entropy(volute::training(net{}(x)), labels));
using forward = program<outputs(result)>;
using step = program<outputs(loss, gradient(loss, parameters))>;

prepared_model prepare(bool trained) {
  const auto clip = noise_for(0, x.shape().size());
  if (!trained) return prepare_program<forward>(compare::training::none, {clip});
  return prepare_program<step>(compare::training::adam, {clip, {7.0f}});
}

constexpr double flops = [] {
  double f = useful_flops({1, 3, 64, 1, {16, 112, 112}, {16, 56, 56}, {3, 7, 7}, {1, 2, 2}, {1, 3, 3}, {1, 1, 1}}) + 2.0 * 512 * 400;
  int64_t c = 64, d = 16, n = 56;
  for (int level = 0; level < 4; ++level) {
    f += 3 * useful_flops({1, c, c, 1, {d, n, n}, {d, n, n}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}});
    if (level == 0) f += useful_flops({1, c, c, 1, {d, n, n}, {d, n, n}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}});
    if (level < 3) {
      f += useful_flops({1, c, 2 * c, 1, {d, n, n}, {d / 2, n / 2, n / 2}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}});
      f += 2.0 * static_cast<double>(c * 2 * c * d * n * n / 8);
    }
    c *= 2, d /= 2, n /= 2;
  }
  return f;
}();
constexpr double bytes = 4.0 * static_cast<double>(forward::facts::parameters + x.shape().size() + result.shape().size());
const bool entered =
    model_workloads(minimal).emplace("4", model_workload{"r3d_18", "r3d18", flops, bytes, "training step", prepare}).second;

}  // namespace
