// A 3D U-Net learns to find the brain in a head MRI. It is trained on patches of the left part of the head and judged on the right part,
// which it never saw. The first run trains and keeps the weights; later runs only judge.
//   segment_brain [--train] [folder for the weights and the pictures]
// Built with MPI and started by mpirun it trains on all ranks, four patches a step: the same bits on any number of ranks.
#include <volute/distributed/data_parallel.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#if defined(EXAMPLE_MPI)
#include <volute/distributed/mpi.hpp>
#endif

#include <support/allocations.hpp>
#include <support/curves.hpp>
#include <support/nifti.hpp>
#include <support/progress.hpp>

#include <xtensor/xbuilder.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace example {

using namespace volute;
using volume = xt::xtensor<float, 3>;

template <int In, int Out, class... Options>
struct conv : nn::sequential<nn::conv3d<In, Out, nn::kernel<3>, nn::padding<1>, nn::no_bias, Options...>,
                             nn::instance_norm3d<Out, nn::affine<true>>, nn::leaky_relu<>> {};
template <int In, int Out>
struct block : nn::sequential<conv<In, Out>, conv<Out, Out>> {};
template <int In, int Out>
using up = nn::conv_transpose3d<In, Out, nn::kernel<2>, nn::stride<2>>;

/// Logits of the brain, voxel by voxel. Four levels; the finest has only the image itself, so that most of the work is done on an eighth of
/// the voxels and a patch can show much of the head.
struct unet {
  static constexpr int C = 16;
  nn::named<"enc1", nn::sequential<conv<1, C, nn::stride<2>>, conv<C, C>>> enc1;
  nn::named<"enc2", block<C, 2 * C>> enc2;
  nn::named<"enc3", block<2 * C, 4 * C>> enc3;
  nn::named<"up2", up<4 * C, 2 * C>> up2;
  nn::named<"dec2", block<4 * C, 2 * C>> dec2;
  nn::named<"up1", up<2 * C, C>> up1;
  nn::named<"dec1", block<2 * C, C>> dec1;
  nn::named<"up0", up<C, C / 2>> up0;
  nn::named<"head", nn::conv3d<C / 2 + 1, 1, nn::kernel<3>, nn::padding<1>>> head;

  constexpr auto operator()(expression auto x) const {
    const auto down = nn::max_pool3d<2>{};
    const auto a = enc1(x);
    const auto b = enc2(down(a));
    const auto c = enc3(down(b));
    const auto d = dec2(concat(axis<1>, b, up2(c)));
    const auto e = dec1(concat(axis<1>, a, up1(d)));
    return head(concat(axis<1>, x, leaky_relu<.01>(up0(e))));
  }
};
/// In a patch with little brain or none the overlap says little: smoothing by a thousand voxels keeps such patches from shaking the
/// weights.
struct criterion {
  constexpr auto operator()(expression auto logits, expression auto target) const {
    return bce_with_logits(logits, target) + binary_dice<1000>(logits, target);
  }
};

constexpr int steps = 4500;
constexpr std::size_t patch = 64;
constexpr auto image = input<"image", 1, 1, patch, patch, patch>;
constexpr auto target = input<"target", 1, 1, patch, patch, patch>;
using patches = xt::xtensor<float, 5>;
using learner = trainer<unet, criterion, adam, image, target>;
using segmenter = model<unet, image>;

/// A half of a head and its mirror image behind it: what lies across the middle looks much like that, and a patch may show it.
volume whole(const volume& half) {  // as pointers: xtensor 0.25 takes minutes for concatenate and flip
  volume both({half.shape(0), half.shape(1), 2 * half.shape(2)});
  const auto width = static_cast<std::ptrdiff_t>(half.shape(2));
  float* to = both.data();
  for (const float *from = half.data(), *end = from + half.size(); from != end; from += width)
    to = std::reverse_copy(from, from + width, std::copy_n(from, width, to));
  return both;
}

/// Patches from anywhere, each in its own brightness and contrast.
struct patch_cutter {
  const volume &head, &brain;
  patches voxels{{1, 1, patch, patch, patch}}, labels{{1, 1, patch, patch, patch}};

  void cut(std::mt19937& random) {
    const auto anywhere = [&](std::size_t axis) { return std::uniform_int_distribution<std::size_t>(0, head.shape(axis) - patch)(random); };
    const std::size_t z0 = anywhere(0), y0 = anywhere(1), x0 = anywhere(2);
    const float factor = std::uniform_real_distribution<float>(.8f, 1.25f)(random);
    const float offset = std::uniform_real_distribution<float>(-.1f, .1f)(random);
    for (std::size_t z = 0; z < patch; ++z)
      for (std::size_t y = 0; y < patch; ++y)
        for (std::size_t x = 0; x < patch; ++x) {
          voxels(0, 0, z, y, x) = factor * head(z0 + z, y0 + y, x0 + x) + offset;
          labels(0, 0, z, y, x) = brain(z0 + z, y0 + y, x0 + x);
        }
  }
};

/// Returns the losses.
std::vector<double> train(learner& step, const volume& head, const volume& brain) {
  std::mt19937 random(1);
  patch_cutter next{head, brain};
  std::vector<double> losses;
  losses.reserve(steps);
  progress show(steps);
  const long before = allocation_count;
  for (int i = 1; i <= steps; ++i) {
    next.cut(random);
    losses.push_back(static_cast<double>(step.step(next.voxels, next.labels)));
    show(i, losses.back());
  }
  std::printf("allocations in %d steps: %ld\n", steps, allocation_count - before);
  return losses;
}

/// As many patches over all ranks, some in each step; which patch it is depends on its number alone.
template <distributed::communicator C>
std::vector<double> train(C& world, learner& trainer, const volume& head, const volume& brain) {
  constexpr int patches_a_step = 4;
  patch_cutter next{head, brain};
  distributed::data_parallel step(trainer, world, {.runs = patches_a_step});
  std::vector<double> losses;
  progress show(steps / patches_a_step);
  for (int i = 0; i < steps / patches_a_step; ++i) {
    const float loss = step.step([&](std::int64_t run, auto go) {
      std::mt19937 random(static_cast<unsigned>(i * patches_a_step + run + 1));
      next.cut(random);
      go(next.voxels, next.labels);
    });
    losses.push_back(static_cast<double>(loss));
    if (world.rank() == 0) show(i + 1, losses.back());
  }
  return losses;
}

/// The brain in a volume of any size: logits of overlapping patches, added up with the most weight in a patch's middle.
volume segment(segmenter& network, const volume& voxels) {
  volume sum = xt::zeros_like(voxels);
  patches in({1, 1, patch, patch, patch}), logits = in;
  const auto starts = [&](std::size_t axis) {
    const std::size_t room = voxels.shape(axis) - patch, gaps = (room + patch / 2 - 1) / (patch / 2);
    std::vector<std::size_t> s{0};
    for (std::size_t i = 1; i <= gaps; ++i) s.push_back(room * i / gaps);
    return s;
  };
  const auto weight = [](std::size_t i) { return static_cast<float>(std::min(i + 1, patch - i)); };
  for (std::size_t z0 : starts(0))
    for (std::size_t y0 : starts(1))
      for (std::size_t x0 : starts(2)) {
        xt::view(in, 0, 0) = xt::view(voxels, xt::range(z0, z0 + patch), xt::range(y0, y0 + patch), xt::range(x0, x0 + patch));
        logits = network(in);
        for (std::size_t z = 0; z < patch; ++z)
          for (std::size_t y = 0; y < patch; ++y)
            for (std::size_t x = 0; x < patch; ++x)
              sum(z0 + z, y0 + y, x0 + x) += weight(z) * weight(y) * weight(x) * logits(0, 0, z, y, x);
      }
  for (float& v : sum) v = v > 0 ? 1.f : 0.f;
  return sum;
}

/// 2 |a and b| / (|a| + |b|) of masks.
double dice(const volume& a, const volume& b) {
  double both = 0, all = 0;
  for (std::size_t i = 0; i < a.size(); ++i) both += double{a.data()[i] * b.data()[i]}, all += double{a.data()[i] + b.data()[i]};
  return 2 * both / all;
}

/// What needs no network: the left brain in a mirror, moved to and fro by at most ten slices to where it fits best. Both halves end in the
/// middle.
double mirror_dice(const volume& left, const volume& right) {
  double best = 0;
  for (int shift = -10; shift <= 10; ++shift) best = std::max(best, dice(xt::roll(left, shift, 2), right));
  return best;
}

template <distributed::communicator C>
int run(C& world, bool train_anew, const std::string& folder) {
  volume head = read_nifti(head_mri()), brain = read_nifti("/usr/share/mricron/templates/ch2bet.nii.gz");
  if (head.shape() != brain.shape()) throw std::runtime_error("the MRI must be that of ch2bet.nii.gz");
  head /= xt::amax(head)();
  for (float& v : brain) v = v > 0 ? 1.f : 0.f;

  // Both with the middle at the end; the slice in the middle belongs to neither.
  const std::size_t width = head.shape(2), half = width / 2;
  const auto left = [&](const volume& v) { return volume(xt::view(v, xt::all(), xt::all(), xt::range(0, half))); };
  const auto right = [&](const volume& v) { return left(xt::flip(v, 2)); };

  // One thread a core, of which ranks of one machine have their part; the results do not depend on their number.
  spinning_pool workers(std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / world.size()));
  segmenter network;
  network.use(workers);
  const std::string path = folder + "/segment_brain", weights = path + ".safetensors";
  char trains = train_anew || !std::filesystem::exists(weights) ? 1 : 0;
  distributed::broadcast(world, std::as_writable_bytes(std::span(&trains, 1)));  // rank 0 knows
  if (trains == 0) {
    if (world.rank() != 0) return 0;
    network.load(weights);
    std::printf("%s: the weights of an earlier run; --train trains again\n", weights.c_str());
  } else {
    constexpr bool one = std::is_same_v<C, distributed::alone>;
    learner step{adam{}, {.schedule = schedule::cosine{4e-3, one ? steps : steps / 4}}};
    step.use(workers);
    if (world.rank() == 0)
      std::printf("%s\ntraining on slices 0 to %zu of %zu, from left to right\n", summary(network).c_str(), half - 1, width);
    const volume shown = whole(left(head)), mask = whole(left(brain));
    std::vector<double> losses;
    if constexpr (one)
      losses = train(step, shown, mask);
    else
      losses = train(world, step, shown, mask);
    if (world.rank() != 0) return 0;
    network.copy_parameters(step);
    network.save(weights);
    write_png(path + "_loss.png", {loss_panel({{"bce + dice", losses}})}, 1);
    std::printf("%s, %s_loss.png\n", weights.c_str(), path.c_str());
  }

  const auto find = [&](const volume& voxels) { return left(segment(network, whole(voxels))); };
  const volume found = find(right(head)), truth = right(brain);
  const double right_dice = dice(found, truth), rival = mirror_dice(left(brain), truth);
  std::printf(
      "Dice on slices %zu to %zu, unseen in training: network %.4f (%.4f on those it was trained on), the left brain in a mirror %.4f\n",
      width - half, width - 1, right_dice, dice(find(left(head)), left(brain)), rival);

  std::vector<panel> panels;
  for (std::size_t z : {40, 70, 100, 130}) {
    panel p{"slice " + std::to_string(z), xt::view(head, z), xt::zeros<int>({head.shape(1), width})};
    for (std::size_t y = 0; y < found.shape(1); ++y)
      for (std::size_t x = 0; x < found.shape(2); ++x) {
        const bool is = truth(z, y, x) > 0, says = found(z, y, x) > 0;
        p.marks(y, width - 1 - x) = is && says ? green : says ? red : is ? blue : unmarked;
      }
    panels.push_back(std::move(p));
  }
  write_png(path + ".png", panels);
  std::printf("%s.png: found in green, missed in blue, found wrongly in red; the left part was trained on\n", path.c_str());
  if (right_dice >= .95 && right_dice > rival) return 0;
  std::fprintf(stderr, "The network should reach 0.95 and beat the mirror.\n");
  return 1;
}

}  // namespace example

int main(int count, char** arguments) {
  try {
    const bool train = count > 1 && std::string_view(arguments[1]) == "--train";
#if defined(EXAMPLE_MPI)
    volute::distributed::mpi world(std::chrono::minutes(30));  // rank 0 judges alone
#else
    volute::distributed::alone world;
#endif
    return example::run(world, train, count > 1 + train ? arguments[1 + train] : ".");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
