// One network removes noise of any strength from a head MRI: the strength steers its modulated convolutions. Its rival is the same network
// without modulation, trained on the same patches, which has to see for itself how strong the noise is. Both learn on the lower part of the
// volume and are judged on the upper one.
//   conditional_denoiser [folder for the pictures]
#include <volute/volute.hpp>

#include <support/curves.hpp>
#include <support/image_quality.hpp>
#include <support/nifti.hpp>
#include <support/progress.hpp>

#include <xtensor/xbuilder.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

namespace example {

using namespace volute;
using volume = xt::xtensor<float, 3>;

constexpr int channels = 16, features = 32;
using rectify = nn::leaky_relu<.1>;

/// x + f(x); the style scales what f's first convolution sees. Without modulation every scale is 1.
template <bool Steered>
struct block {
  nn::named<"scale", nn::linear<features, channels>> scale;
  nn::named<"conv1", nn::adaptive_conv3d_mod<channels>> conv1;
  nn::named<"conv2", nn::conv3d<channels, channels, nn::kernel<3>, nn::same>> conv2;

  constexpr auto operator()(expression auto x, expression auto style) const {
    if constexpr (Steered)
      return x + conv2(leaky_relu<.1>(conv1(x, scale(style))));
    else
      return x + conv2(leaky_relu<.1>(conv1(x)));
  }
};

/// (B, 1, Z, Y, X) with noise of these standard deviations (B, 1): the same without noise.
template <bool Steered>
struct denoiser {
  nn::named<"style", nn::sequential<nn::linear<1, features>, nn::silu, nn::linear<features, features>, nn::silu>> style;
  nn::named<"head", nn::sequential<nn::conv3d<1, channels, nn::kernel<3>, nn::same>, rectify>> head;
  nn::named<"block1", block<Steered>> block1;
  nn::named<"block2", block<Steered>> block2;
  nn::named<"tail", nn::conv3d<channels, 1, nn::kernel<3>, nn::same>> tail;

  constexpr auto operator()(expression auto x, expression auto noise) const {
    const auto s = style(noise * 10_c - 1_c);  // about -1 .. 1
    return x + tail(block2(block1(head(x), s), s));
  }
};

constexpr float strongest = .25f;  // noise in training: standard deviations from 0 to this; the volume's values are 0 .. 1
constexpr float levels[]{.02f, .05f, .1f, .15f, .2f};
constexpr int steps = 3000;
constexpr std::size_t batch = 2, patch = 20;
constexpr std::size_t depth = 24, height = 192, width = 160;  // of the box that is judged

constexpr auto given = input<"given", batch, 1, patch, patch, patch>;
constexpr auto wanted = input<"wanted", batch, 1, patch, patch, patch>;
constexpr auto noise = input<"noise", batch, 1>;

volume box(const volume& v, std::size_t z, std::size_t y, std::size_t x, std::size_t d, std::size_t h, std::size_t w) {
  return xt::view(v, xt::range(z, z + d), xt::range(y, y + h), xt::range(x, x + w));
}

/// Trains a network on everything below slice `end` and returns the losses. Each network sees the same patches and the same noise.
template <class Trainer>
std::vector<double> train(Trainer& learner, const volume& clean, std::size_t end) {
  std::mt19937 random(1);
  const auto up_to = [&](std::size_t last) { return std::uniform_int_distribution<std::size_t>(0, last)(random); };
  std::uniform_real_distribution<float> level(0, strongest);
  std::normal_distribution<float> gauss;
  xt::xtensor<float, 5> noisy_patches({batch, 1, patch, patch, patch}), clean_patches = noisy_patches;
  xt::xtensor<float, 2> deviations({batch, 1});
  std::vector<double> losses;
  progress show(steps);
  for (int i = 1; i <= steps; ++i) {
    for (std::size_t b = 0; b < batch; ++b) {
      const std::size_t z = up_to(end - patch), y = up_to(clean.shape(1) - patch), x = up_to(clean.shape(2) - patch);
      xt::view(clean_patches, b, 0) = box(clean, z, y, x, patch, patch, patch);
      deviations(b, 0) = level(random);
      float* to = &noisy_patches(b, 0, 0, 0, 0);
      for (float v : xt::view(clean_patches, b)) *to++ = v + deviations(b, 0) * gauss(random);
    }
    losses.push_back(static_cast<double>(learner.step(noisy_patches, deviations, clean_patches)));
    show(i, losses.back());
  }
  return losses;
}

template <bool Steered>
struct contestant {
  explicit contestant(executor& workers) { learner.use(workers), trained.use(workers); }

  trainer<denoiser<Steered>, nn::mse, adam, given, noise, wanted> learner{adam{}, {.schedule = schedule::cosine{2e-3, steps}}};
  model<denoiser<Steered>, input<"given", 1, 1, depth, height, width>, input<"noise", 1, 1>> trained;
  std::vector<double> losses;

  void train(const volume& clean, std::size_t end) {
    losses = example::train(learner, clean, end);
    trained.copy_parameters(learner);
  }
  volume operator()(const volume& noisy, float deviation) {
    const xt::xtensor<float, 2> deviations{{deviation}};
    const xt::xtensor<float, 5> clean = trained(xt::view(noisy, xt::newaxis(), xt::newaxis()), deviations);
    return xt::view(clean, 0, 0);
  }
};

int run(const char* folder) {
  volume clean = read_nifti(head_mri());
  clean /= xt::amax(clean)();
  const std::size_t split = clean.shape(0) / 2, first = split + (clean.shape(0) - split) / 4;
  if (first + depth > clean.shape(0) || height > clean.shape(1) || width > clean.shape(2)) throw std::runtime_error("the MRI is too small");

  spinning_pool workers;  // one thread a core; the results do not depend on their number
  contestant<true> steered(workers);
  contestant<false> blind(workers);
  std::printf("%s\nsteered, on slices 0 to %zu\n", summary(steered.trained).c_str(), split - 1);
  steered.train(clean, split);
  std::puts("blind");
  blind.train(clean, split);

  const volume truth = box(clean, first, (clean.shape(1) - height) / 2, (clean.shape(2) - width) / 2, depth, height, width);
  std::printf("PSNR in dB on slices %zu to %zu, unseen in training\n noise    noisy   filter    blind  steered\n", first,
              first + depth - 1);
  std::mt19937 random(2);
  std::normal_distribution<float> gauss;
  std::vector<panel> panels;
  double filter_mean = 0, blind_mean = 0, steered_mean = 0;
  for (const float level : levels) {
    volume noisy = truth;
    for (float& v : noisy) v += level * gauss(random);
    const volume by_blind = blind(noisy, level), by_steered = steered(noisy, level);
    const double filter_db = psnr(truth, best_gaussian_filter(truth, noisy).first), noisy_db = psnr(truth, noisy);
    const double blind_db = psnr(truth, by_blind), steered_db = psnr(truth, by_steered);
    std::printf("%6.2f %8.2f %8.2f %8.2f %8.2f\n", static_cast<double>(level), noisy_db, filter_db, blind_db, steered_db);
    filter_mean += filter_db / std::size(levels), blind_mean += blind_db / std::size(levels),
        steered_mean += steered_db / std::size(levels);

    char caption[64];
    std::snprintf(caption, sizeof caption, "%.2f: %.1f/%.1f/%.1f", static_cast<double>(level), noisy_db, blind_db, steered_db);
    const auto slice = [](const volume& v) { return xt::view(v, depth / 2); };
    panels.push_back({caption, xt::concatenate(xt::xtuple(slice(by_steered), slice(by_blind), slice(noisy)), 0)});  // the last on top
  }
  std::printf("  mean          %8.2f %8.2f %8.2f\n", filter_mean, blind_mean, steered_mean);

  if (folder) {
    const std::string path = std::string(folder) + "/conditional_denoiser";
    write_png(path + ".png", panels, 1);
    write_png(path + "_loss.png", {loss_panel({{"steered", steered.losses}, {"blind", blind.losses}})}, 1);
    std::printf("%s.png (each column one strength of noise; noisy, blind, steered from top to bottom), %s_loss.png\n", path.c_str(),
                path.c_str());
  }
  if (steered_mean > blind_mean && steered_mean > filter_mean) return 0;
  std::fprintf(stderr, "The steered network should win.\n");
  return 1;
}

}  // namespace example

int main(int count, char** arguments) {
  try {
    return example::run(count > 1 ? arguments[1] : nullptr);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
