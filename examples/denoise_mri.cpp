// A small residual network learns to remove noise from a head MRI: it is trained on the lower part of the volume and judged on the upper part, which it never saw.
//   denoise_mri [picture.png]
#include <volute/volute.hpp>

#include <support/image_quality.hpp>
#include <support/nifti.hpp>
#include <support/png.hpp>
#include <support/progress.hpp>

#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>

#include <cmath>
#include <cstdio>
#include <exception>
#include <random>
#include <vector>

using namespace volute;
using example::psnr;
using volume = xt::xtensor<float, 3>;

// x + f(x): f only has to find the noise, with its sign changed.
struct denoiser : nn::residual<nn::conv3d<1, 16, nn::kernel<3>, nn::same>, nn::relu, nn::conv3d<16, 16, nn::kernel<3>, nn::same>, nn::relu,
                               nn::conv3d<16, 16, nn::kernel<3>, nn::same>, nn::relu, nn::conv3d<16, 1, nn::kernel<3>, nn::same>> {};
constexpr std::size_t reach = 4;  // how far away a voxel can matter: one voxel a convolution

constexpr int steps = 300;
constexpr std::size_t batch = 2, patch = 32, tile = 52;
constexpr float noise = .1f;  // standard deviation; the volume's values are 0 .. 1

// One step of training: the loss and its gradient by every parameter, one compiled program.
constexpr auto x = input<"x", batch, 1, patch, patch, patch>;
constexpr auto target = input<"target", batch, 1, patch, patch, patch>;
constexpr auto loss = mse(denoiser{}(x), target);
using training = program<outputs(loss, gradient(loss, parameters))>;

auto box(const volume& v, std::size_t z, std::size_t y, std::size_t x, std::size_t size) {
  return xt::view(v, xt::range(z, z + size), xt::range(y, y + size), xt::range(x, x + size));
}

/// Adam (https://arxiv.org/abs/1412.6980).
class adam {
 public:
  void operator()(std::span<float> values, std::span<const float> gradients, float rate) {
    m_.resize(values.size()), v_.resize(values.size());
    decay1_ *= .9f, decay2_ *= .999f;
    for (std::size_t i = 0; i < values.size(); ++i) {
      m_[i] += .1f * (gradients[i] - m_[i]);
      v_[i] += .001f * (gradients[i] * gradients[i] - v_[i]);
      values[i] -= rate * m_[i] / (1 - decay1_) / (std::sqrt(v_[i] / (1 - decay2_)) + 1e-8f);
    }
  }

 private:
  std::vector<float> m_, v_;
  float decay1_ = 1, decay2_ = 1;
};

void train(training& step, const volume& clean, const volume& noisy, std::mt19937& random) {
  const auto anywhere = [&](std::size_t axis) { return std::uniform_int_distribution<std::size_t>(0, clean.shape(axis) - patch)(random); };
  xt::xtensor<float, 5> noisy_patches({batch, 1, patch, patch, patch}), clean_patches = noisy_patches;
  adam update;
  example::progress show(steps);
  for (int i = 1; i <= steps; ++i) {
    for (std::size_t b = 0; b < batch; ++b) {
      const std::size_t at_z = anywhere(0), at_y = anywhere(1), at_x = anywhere(2);
      xt::view(noisy_patches, b, 0) = box(noisy, at_z, at_y, at_x, patch);
      xt::view(clean_patches, b, 0) = box(clean, at_z, at_y, at_x, patch);
    }
    const auto [value, gradients] = step(x = noisy_patches, target = clean_patches);
    const float rate = 3e-3f * .5f * (1 + std::cos(3.14159265f * static_cast<float>(i) / steps));
    update(step.parameter_values(), step.gradient_values(), rate);
    show(i, static_cast<double>(value));
  }
}

/// The network over a volume of any size, tile by tile. Tiles overlap by twice the network's reach, so the seams leave no trace.
volume denoise(training& trained, const volume& noisy) {
  model<denoiser, input<"x", 1, 1, tile, tile, tile>> network;
  network.copy_parameters(trained);

  volume result(noisy.shape());
  xt::xtensor<float, 5> in({1, 1, tile, tile, tile}), out = in;
  const auto starts = [&](std::size_t axis) {
    std::vector<std::size_t> s{0};
    while (s.back() + tile < noisy.shape(axis)) s.push_back(std::min(s.back() + tile - 2 * reach, noisy.shape(axis) - tile));
    return s;
  };
  const auto kept = [](std::size_t start) { return start == 0 ? 0 : reach; };  // the far side is overwritten by the next tile
  for (std::size_t z : starts(0))
    for (std::size_t y : starts(1))
      for (std::size_t x : starts(2)) {
        xt::view(in, 0, 0) = box(noisy, z, y, x, tile);
        out = network(in);
        xt::view(result, xt::range(z + kept(z), z + tile), xt::range(y + kept(y), y + tile), xt::range(x + kept(x), x + tile)) =
            xt::view(out, 0, 0, xt::range(kept(z), tile), xt::range(kept(y), tile), xt::range(kept(x), tile));
      }
  return result;
}

int run(const char* picture) {
  volume clean = example::read_nifti(example::head_mri());
  clean /= xt::amax(clean)();
  std::mt19937 random(1);
  std::normal_distribution<float> gauss(0, noise);
  volume noisy = clean;
  for (float& v : noisy) v += gauss(random);

  const std::size_t split = clean.shape(0) / 2;
  const auto below = [&](const volume& v) { return volume(xt::view(v, xt::range(0, split))); };
  const auto above = [&](const volume& v) { return volume(xt::view(v, xt::range(split, v.shape(0)))); };

  training step;
  step.initialize(1);
  std::printf("%s\n", summary(step).c_str());
  std::printf("training on slices 0 to %zu\n", split - 1);
  train(step, below(clean), below(noisy), random);

  const volume truth = above(clean), given = above(noisy), denoised = denoise(step, given);
  const auto [filtered, width] = example::best_gaussian_filter(truth, given);
  const double before = psnr(truth, given), rival = psnr(truth, filtered), after = psnr(truth, denoised);
  std::printf("PSNR on slices %zu to %zu, unseen in training:\n  noisy            %.2f dB\n  Gaussian filter  %.2f dB (best width: %.1f voxels)\n  network          %.2f dB\n",
              split, clean.shape(0) - 1, before, rival, width, after);

  if (picture) {
    const auto panel = [](const char* name, double quality, const volume& v) {
      char caption[64];
      std::snprintf(caption, sizeof caption, "%s %.1f dB", name, quality);
      return example::panel{quality > 0 ? caption : name, xt::view(v, 8)};
    };
    example::write_png(picture, {panel("clean", 0, truth), panel("noisy", before, given), panel("gaussian filter", rival, filtered),
                                 panel("network", after, denoised)});
  }
  if (after >= before + 3 && after > rival) return 0;
  std::fprintf(stderr, "The network should gain 3 dB and beat the filter.\n");
  return 1;
}

int main(int count, char** arguments) try {
  return run(count > 1 ? arguments[1] : nullptr);
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 2;
}
