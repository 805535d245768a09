// The example of the document on AdaptiveConv3DMod, the convolution of video generators whose filters are scaled anew for every sample:
// values, gradients, options, and what it costs in memory. The filters of a sample are never stored: scaling a convolution's input and
// output channels does the same.
#include <volute/volute.hpp>

#include <xtensor/xnorm.hpp>
#include <xtensor/xrandom.hpp>

#include <cstdio>

using namespace volute;
namespace nn = volute::nn;

using layer = nn::adaptive_conv3d_mod<512, nn::spatial_kernel<3>, nn::time_kernel<3>>;
constexpr auto fmap = input<"fmap", 1, 512, 4, 4, 4>;  // sample, channel, time, height, width
constexpr auto mod = input<"mod", 1, 512>;             // a scale for each input channel, less one
static_assert(layer{}(fmap, mod).shape() == shape<1, 512, 4, 4, 4>);

void print(const char* name, const auto& tensor) {
  const xt::xarray<float> t = tensor;
  std::printf("%-30s norm %-9.5g first %9.5f %9.5f %9.5f\n", name, static_cast<double>(xt::norm_l2(t)()), static_cast<double>(t.flat(0)),
              static_cast<double>(t.flat(1)), static_cast<double>(t.flat(2)));
}

/// What a run stores, besides the parameters, what is kept between runs (functions of the weights alone), inputs and results.
template <std::int64_t Samples>
void memory() {
  constexpr auto fmaps = input<"fmap", Samples, 512, 4, 4, 4>;
  constexpr auto mods = input<"mod", Samples, 512>;
  constexpr auto result = layer{}(fmaps, mods);
  constexpr auto loss = mean(square(result));
  using forward = program<outputs(result)>::facts;
  using training = program<outputs(loss, gradient(loss, fmaps), gradient(loss, mods), gradient(loss, parameters))>::facts;

  // A plan is known while compiling, so that it holds no filters for a sample can be demanded.
  constexpr std::int64_t bank = 4 * forward::parameters, besides = forward::arena_bytes;
  static_assert(besides < bank && 4 * forward::largest_tensor <= bank && 4 * training::largest_tensor <= bank);

  const auto mib = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  std::printf("%7d %9.1f MiB %12.1f MiB %30.1f MiB %12.1f MiB %13.1f MiB\n", static_cast<int>(Samples), mib(bank),
              mib(4 * training::largest_tensor), mib(besides), mib(training::arena_bytes), mib(Samples * bank));
}

template <class... Option>
using small = nn::adaptive_conv3d_mod<16, nn::spatial_kernel<3>, nn::time_kernel<3>, Option...>;

int main() {
  xt::random::seed(1);
  const xt::xtensor<float, 5> features = xt::random::randn<float>({1, 512, 4, 4, 4});
  const xt::xtensor<float, 2> style = xt::random::randn<float>({1, 512});

  std::puts("dim 512, kernel 3x3x3, fmap (1,512,4,4,4)");
  model<layer, fmap, mod> modulated;
  print("modulated", modulated(features, style));
  model<layer, fmap> plain;
  print("without mod: counts as 0", plain(features));
  model<nn::adaptive_conv3d_mod<512, nn::demod<false>>, fmap, mod> loud;  // kernels of 3 are the default
  print("without demodulation", loud(features, style));
  std::printf("\n%s\n", summary(modulated).c_str());

  // Gradients are expressions like any other.
  constexpr auto loss = mean(square(layer{}(fmap, mod)));
  program<outputs(loss, gradient(loss, fmap), gradient(loss, mod), gradient(loss, parameters))> step;
  const auto [value, by_fmap, by_mod, by_parameters] = step(fmap = features, mod = style);
  std::printf("mean square of the result: %g\n", static_cast<double>(value));
  print("its gradient by fmap", by_fmap);
  print("by mod", by_mod);
  print("by weights", step.gradient<"weights">());

  std::puts("\nsamples   filter bank   largest tensor   working memory of a run: forward   with gradients   (a bank a sample)");
  memory<1>();
  memory<8>();
  memory<64>();

  std::puts("\nOptions, on 16 channels");
  constexpr auto x = input<"x", 2, 16, 4, 8, 8>;
  constexpr auto s = input<"s", 2, 16>;
  constexpr auto choice = input<"choice", 2, 3>;
  const xt::xtensor<float, 5> video = xt::random::randn<float>({2, 16, 4, 8, 8});
  const xt::xtensor<float, 2> styles = xt::random::randn<float>({2, 16}), choices = xt::random::randn<float>({2, 3});
  model<small<nn::dim_out<32>>, x, s> wider;
  print("dim_out<32>", wider(video, styles));
  model<small<nn::causal>, x, s> causal;
  print("causal: no look ahead in time", causal(video, styles));
  model<small<nn::num_kernels<3>>, x, s, choice> mixed;
  print("num_kernels<3>: banks mixed", mixed(video, styles, choices));
}
