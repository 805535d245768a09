// The network of the Conv3D document learns from which of ten regions of the brain a patch of a head MRI was taken. It is trained on the
// left half of the head and judged on the right one, seen in a mirror, of which it knew nothing; its rival is a linear classifier.
//   classify_volumes [folder for the weights and the loss curve]
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#include <support/curves.hpp>
#include <support/nifti.hpp>
#include <support/progress.hpp>

#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xview.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <random>
#include <string>
#include <vector>

namespace example {

using namespace volute;
using volume = xt::xtensor<float, 3>;

/// Regions of the atlas AAL (aal.nii.txt): the label on the left; that on the right is one more.
struct region {
  const char* name;
  int label;
};
constexpr region regions[]{{"middle frontal", 7}, {"postcentral", 57}, {"middle temporal", 85}, {"insula", 29},   {"hippocampus", 37},
                           {"calcarine", 43},     {"fusiform", 55},    {"putamen", 73},         {"thalamus", 77}, {"cerebellum 6", 99}};
constexpr std::size_t classes = std::size(regions);

struct net : nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu,
                            nn::max_pool3d<2>, nn::flatten, nn::linear<16 * 4 * 4 * 4, classes>> {};
struct rival : nn::sequential<nn::flatten, nn::linear<10 * 10 * 10, classes>> {};

constexpr int steps = 3000;
constexpr std::size_t batch = 32, judged = 10 * batch;  // judged: patches of each region
constexpr std::size_t patch = 10, reach = 10;           // 10^3 voxels of 2 mm: 10 mm to each side
constexpr auto volumes = input<"volumes", batch, 1, patch, patch, patch>;
constexpr auto labels = input<"labels", batch>;

/// Half a head, x growing towards the middle, which no patch crosses. Each voxel is the mean of 2x2x2 that begin there.
struct half {
  volume voxels;
  std::vector<std::array<std::size_t, 3>> places[classes];  // centres of patches

  /// side: 0 for the half with small x in the atlas, the left one; 1 if head and atlas are given in a mirror.
  half(const volume& head, const volume& atlas, int side) : voxels(xt::view(head, xt::all(), xt::all(), xt::range(0, head.shape(2) / 2))) {
    for (std::size_t z = reach; z + reach < voxels.shape(0); ++z)
      for (std::size_t y = reach; y + reach < voxels.shape(1); ++y)
        for (std::size_t x = reach; x + reach < voxels.shape(2); ++x)
          for (std::size_t c = 0; c < classes; ++c)
            if (static_cast<int>(atlas(z, y, x)) == regions[c].label + side) places[c].push_back({z, y, x});
    for (int axis = 0; axis < 3; ++axis) voxels = (voxels + xt::roll(voxels, -1, axis)) / 2.f;
  }

  auto patch_at(const std::array<std::size_t, 3>& p) const {
    const auto every_second = [&](std::size_t axis) { return xt::range(p[axis] - reach, p[axis] + reach, 2); };
    return xt::view(voxels, every_second(0), every_second(1), every_second(2));
  }
};

/// Row: the true region; column: what it was taken for.
using table = std::array<std::array<int, classes>, classes>;
double accuracy(const table& counts) {
  int right = 0;
  for (std::size_t c = 0; c < classes; ++c) right += counts[c][c];
  return right / static_cast<double>(classes * judged);
}

template <class Net>
class classifier {
 public:
  /// Returns the losses.
  std::vector<double> train(const half& h) {
    std::mt19937 random(1);
    const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
    std::uniform_real_distribution<float> brightness(.9f, 1.1f);
    auto classes_of = xt::xtensor<float, 1>::from_shape({batch});
    std::vector<double> losses;
    progress show(steps);
    for (int i = 1; i <= steps; ++i) {
      for (std::size_t b = 0; b < batch; ++b) {
        const std::size_t c = below(classes), place = below(h.places[c].size());
        xt::view(patches_, b, 0) = brightness(random) * h.patch_at(h.places[c][place]);
        classes_of(b) = static_cast<float>(c);
      }
      losses.push_back(static_cast<double>(learner_.step(patches_, classes_of)));
      show(i, losses.back());
    }
    trained.copy_parameters(learner_);
    return losses;
  }

  /// On patches from all over each region.
  table judge(const half& h) {
    table counts{};
    xt::xtensor<float, 2> scores;
    for (std::size_t c = 0; c < classes; ++c)
      for (std::size_t i = 0; i < judged; i += batch) {
        for (std::size_t b = 0; b < batch; ++b) xt::view(patches_, b, 0) = h.patch_at(h.places[c][(i + b) * h.places[c].size() / judged]);
        scores = trained(patches_);
        for (std::size_t b = 0; b < batch; ++b) ++counts[c][xt::argmax(xt::view(scores, b))()];
      }
    return counts;
  }

  model<Net, volumes> trained;

 private:
  trainer<Net, nn::cross_entropy<>, adamw, volumes, labels> learner_{adamw{}, {.schedule = schedule::cosine{2e-3, steps}}};
  xt::xtensor<float, 5> patches_ = xt::xtensor<float, 5>({batch, 1, patch, patch, patch});
};

int run(const char* folder) {
  volume head = read_nifti(head_mri());
  head /= xt::amax(head)();
  const volume atlas = read_nifti("/usr/share/mricron/templates/aal.nii.gz");
  if (head.shape() != atlas.shape()) throw std::runtime_error("the MRI must lie in the space of the atlas AAL");
  const half left(head, atlas, 0), right(xt::flip(head, 2), xt::flip(atlas, 2), 1);

  classifier<net> network;
  classifier<rival> linear;
  std::printf("%s\nthe network, on the left half\n", summary(network.trained).c_str());
  const auto losses = network.train(left);
  std::puts("the linear classifier, on the same patches");
  const auto linear_losses = linear.train(left);

  const table counts = network.judge(right);
  std::puts("\nWhat the network took the patches of each region for, on the right half");
  for (std::size_t r = 0; r < classes; ++r) {
    std::printf("%zu %-16s", r, regions[r].name);
    for (int n : counts[r]) std::printf(" %4d", n);
    std::puts("");
  }
  const double right_of_network = accuracy(counts), right_of_linear = accuracy(linear.judge(right));
  std::printf("right of %zu patches: network %.1f %% (%.1f %% on the half it was trained on), linear classifier %.1f %%, chance %.1f %%\n",
              classes * judged, 100 * right_of_network, 100 * accuracy(network.judge(left)), 100 * right_of_linear, 100. / classes);

  if (folder) {
    const std::string path = std::string(folder) + "/classify_volumes";
    network.trained.save(path + ".safetensors");  // for the example embed
    write_png(path + "_loss.png", {loss_panel({{"network", losses}, {"linear", linear_losses}})}, 1);
    std::printf("%s.safetensors, %s_loss.png\n", path.c_str(), path.c_str());
  }
  if (right_of_network > .7 && right_of_network > right_of_linear) return 0;
  std::fprintf(stderr, "The network should be right in 70 %% and beat the linear classifier.\n");
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
