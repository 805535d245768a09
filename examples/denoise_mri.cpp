// A small residual network learns to remove noise from a head MRI: it is trained on the lower part of the volume and judged on the upper
// part, which it never saw.
//   denoise_mri [picture.png]
#include <volute/volute.hpp>

#include <support/image_quality.hpp>
#include <support/nifti.hpp>
#include <support/png.hpp>
#include <support/progress.hpp>

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

// x + f(x): f only has to find the noise, with its sign changed.
template <int In, int Out>
using conv = nn::conv3d<In, Out, nn::kernel<3>, nn::same>;
using rectify = nn::leaky_relu<.1>;
struct denoiser : nn::residual<conv<1, 16>, rectify, conv<16, 16>, rectify, conv<16, 16>, rectify, conv<16, 16>, rectify, conv<16, 1>> {};
constexpr std::size_t reach = 5;  // how far away a voxel can matter: one voxel a convolution

constexpr float noise = .1f;  // standard deviation; the volume's values are 0 .. 1
constexpr int steps = 1500;
constexpr std::size_t batch = 2, patch = 24;

// One step of training: the loss, its gradient by every parameter and the update, one compiled program.
using denoiser_trainer =
    trainer<denoiser, nn::mse, adam, input<"given", batch, 1, patch, patch, patch>, input<"wanted", batch, 1, patch, patch, patch>>;

// What the trained network is applied to, piece by piece.
constexpr std::size_t tile = 54;
using tile_denoiser = model<denoiser, input<"given", 1, 1, tile, tile, tile>>;

auto box(const volume& v, std::size_t z, std::size_t y, std::size_t x, std::size_t size) {
  return xt::view(v, xt::range(z, z + size), xt::range(y, y + size), xt::range(x, x + size));
}

void train(denoiser_trainer& t, const volume& clean, const volume& noisy, std::mt19937& random) {
  const auto anywhere = [&](std::size_t axis) { return std::uniform_int_distribution<std::size_t>(0, clean.shape(axis) - patch)(random); };
  xt::xtensor<float, 5> noisy_patches({batch, 1, patch, patch, patch}), clean_patches = noisy_patches;
  progress show(steps);
  for (int i = 1; i <= steps; ++i) {
    for (std::size_t b = 0; b < batch; ++b) {
      const std::size_t z = anywhere(0), y = anywhere(1), x = anywhere(2);
      xt::view(noisy_patches, b, 0) = box(noisy, z, y, x, patch);
      xt::view(clean_patches, b, 0) = box(clean, z, y, x, patch);
    }
    show(i, static_cast<double>(t.step(noisy_patches, clean_patches)));
  }
}

/// The network over a volume of any size, tile by tile. Tiles overlap by twice the network's reach, so there are no seams.
volume denoise(tile_denoiser& network, const volume& noisy) {
  volume result(noisy.shape());
  xt::xtensor<float, 5> in({1, 1, tile, tile, tile}), out = in;
  const auto starts = [&](std::size_t axis) {
    std::vector<std::size_t> s{0};
    while (s.back() + tile < noisy.shape(axis)) s.push_back(std::min(s.back() + tile - 2 * reach, noisy.shape(axis) - tile));
    return s;
  };
  // A tile's rim on the near side is wrong, unless it is the volume's; the rim on the far side is overwritten by the next tile.
  const auto rim = [](std::size_t start) { return start == 0 ? 0 : reach; };
  for (std::size_t z : starts(0))
    for (std::size_t y : starts(1))
      for (std::size_t x : starts(2)) {
        xt::view(in, 0, 0) = box(noisy, z, y, x, tile);
        out = network(in);
        xt::view(result, xt::range(z + rim(z), z + tile), xt::range(y + rim(y), y + tile), xt::range(x + rim(x), x + tile)) =
            xt::view(out, 0, 0, xt::range(rim(z), tile), xt::range(rim(y), tile), xt::range(rim(x), tile));
      }
  return result;
}

int run(const char* picture) {
  volume clean = read_nifti(head_mri());
  clean /= xt::amax(clean)();
  std::mt19937 random(1);
  std::normal_distribution<float> gauss(0, noise);
  volume noisy = clean;
  for (float& v : noisy) v += gauss(random);

  const std::size_t slices = clean.shape(0), split = slices / 2;
  const auto part = [](const volume& v, std::size_t from, std::size_t to) { return volume(xt::view(v, xt::range(from, to))); };

  denoiser_trainer t(adam{}, {.schedule = schedule::cosine{2e-3, steps}});
  std::printf("%s\ntraining on slices 0 to %zu\n", summary(t).c_str(), split - 1);
  train(t, part(clean, 0, split), part(noisy, 0, split), random);

  const volume truth = part(clean, split, slices), before = part(noisy, split, slices);
  const auto [filtered, width] = best_gaussian_filter(truth, before);
  tile_denoiser network;
  network.copy_parameters(t);
  const volume after = denoise(network, before);

  const double noisy_db = psnr(truth, before), filtered_db = psnr(truth, filtered), network_db = psnr(truth, after);
  std::printf("PSNR on slices %zu to %zu, unseen in training\n", split, slices - 1);
  std::printf("  noisy            %.2f dB\n  Gaussian filter  %.2f dB (best width: %.1f voxels)\n  network          %.2f dB\n", noisy_db,
              filtered_db, width, network_db);

  if (picture) {
    const auto captioned = [](std::string caption, const volume& v) { return panel{std::move(caption), xt::view(v, 8)}; };
    const auto graded = [](const char* name, double db) {
      char caption[64];
      std::snprintf(caption, sizeof caption, "%s  PSNR %.1f dB", name, db);
      return std::string(caption);
    };
    write_png(picture, {captioned("clean", truth), captioned(graded("noisy", noisy_db), before),
                        captioned(graded("gaussian filter", filtered_db), filtered), captioned(graded("network", network_db), after)});
  }
  if (network_db >= noisy_db + 3 && network_db > filtered_db) return 0;
  std::fprintf(stderr, "The network should gain 3 dB and beat the filter.\n");
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
