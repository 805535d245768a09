// Finds the brain in an MRI of a head, of any size and orientation, with a network that others trained: deepbrain's 3D U-Net (see
// support/deepbrain.hpp). Without a file it takes mricron's head and is judged by the brain that FSL's BET found there.
//   find_brain WEIGHTS [--whole] [FILE.nii.gz] [folder for the mask and the picture]
#include <volute/imaging/regions.hpp>
#include <volute/imaging/resample.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/volumes/volumes.hpp>

#include <support/deepbrain.hpp>
#include <support/nifti.hpp>
#include <support/png.hpp>

#include <xtensor/xbuilder.hpp>
#include <xtensor/xview.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace example {

using namespace volute;
using namespace volute::imaging;
using mask = xt::xtensor<std::uint8_t, 3>;

/// Voxels of 1.5 mm are about what the network was trained on; a head of 240 x 240 x 190 mm is one tile, a larger one several.
constexpr double millimetres = 1.5;
using net = nn::minimal_filtering<deepbrain>;
using tiles = tiled<net, input<"head", 1, 1, 160, 160, 128>>;
using whole = model<net, input<"head", 1, 1, 128, 128, 128>>;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The head on `to`, divided by its largest value, as a network's input.
xt::xtensor<float, 5> prepared(const image<float>& head, const grid& to) {
  const image<float> x = reduced(head, to, interpolation::linear);
  const float most = *std::max_element(x.voxels.begin(), x.voxels.end());
  if (!(most > 0)) throw std::runtime_error("expected an image with values above 0");
  return xt::view(x.voxels / most, xt::newaxis(), xt::newaxis());
}

/// Probabilities of the brain, on a grid of the network's.
image<float> probabilities(const xt::xtensor<float, 5>& logits, const grid& at) {
  image<float> p{tensor_of<float>(at.extent), at};
  std::transform(logits.begin(), logits.end(), p.voxels.begin(), [](float v) { return 1 / (1 + std::exp(-v)); });
  return p;
}

/// By tiles, side by side on all cores: the head's own proportions.
image<float> by_tiles(const std::string& weights, const image<float>& head) {
  tiles network;
  network.load(weights);
  spinning_pool pool;
  network.use(pool);
  const grid at = with_spacing(head.at, {millimetres, millimetres, millimetres});
  const xt::xtensor<float, 5> x = prepared(head, at);
  xt::xtensor<float, 5> logits = x;
  volumes::options how;
  how.fit = volumes::fit::zeros;
  const double begun = seconds();
  network.run(how, volumes::scores([&](const volumes::slab<float>& s) {
                std::copy_n(s.data, s.shape.size(), logits.data() + s.begin * s.shape[3] * s.shape[4]);
              }),
              volumes::memory(x));
  const auto e = at.extent;
  std::printf("tiles of 160 x 160 x 128 over %lld x %lld x %lld voxels of %.1f mm: %.2f s on %d threads\n", static_cast<long long>(e.d),
              static_cast<long long>(e.h), static_cast<long long>(e.w), millimetres, seconds() - begun, pool.threads());
  return probabilities(logits, at);
}

/// As its authors run it: squeezed into 128 x 128 x 128 voxels, on one thread.
image<float> by_whole(const std::string& weights, const image<float>& head) {
  whole network;
  network.load(weights);
  const grid at = with_extent(head.at, {128, 128, 128});
  const xt::xtensor<float, 5> x = prepared(head, at);
  xt::xtensor<float, 5> logits = x;
  double least = INFINITY;
  for (int i = 0; i < 3; ++i) {
    const double begun = seconds();
    logits = network(x);
    least = std::min(least, seconds() - begun);
  }
  std::printf("the whole head as 128 x 128 x 128 voxels: %.2f s on one thread\n", least);
  return probabilities(logits, at);
}

/// What is more likely than not, in one piece, in the voxels of `like`.
image<std::uint8_t> brain_of(const image<float>& p, const grid& like, const std::string& codes) {
  const image<float> fine = resampled(p, like, interpolation::linear);
  image<std::uint8_t> m{tensor_of<std::uint8_t>(like.extent), like};
  std::transform(fine.voxels.begin(), fine.voxels.end(), m.voxels.begin(), [](float v) { return static_cast<std::uint8_t>(v > .5f); });
  m.voxels = largest_component(std::move(m.voxels));
  return oriented(m, codes);
}

/// 2 |a and b| / (|a| + |b|).
double dice(const mask& a, const mask& b) {
  double both = 0, all = 0;
  for (std::size_t i = 0; i < a.size(); ++i) both += a.data()[i] & b.data()[i], all += a.data()[i] + b.data()[i];
  return all > 0 ? 2 * both / all : 0;
}

/// Four slices across the body, from below to the top, in voxels of 1.5 mm; found in green; beside what is true, if anything, missed in
/// blue, found wrongly in red.
void write_picture(const std::string& path, const image<float>& head, const image<std::uint8_t>& found, const image<std::uint8_t>* truth) {
  const image<float> turned = oriented(head);
  const grid at = with_spacing(turned.at, {millimetres, millimetres, millimetres});
  const image<float> x = reduced(turned, at, interpolation::linear);
  const auto sampled = [&](const image<std::uint8_t>& m) { return resampled(oriented(m), at, interpolation::nearest).voxels; };
  const mask f = sampled(found), t = truth != nullptr ? sampled(*truth) : f;
  std::vector<float> sorted(x.voxels.begin(), x.voxels.end());
  const auto bright = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() - 1 - sorted.size() / 200);
  std::nth_element(sorted.begin(), bright, sorted.end());
  const box b = foreground(f);
  std::vector<panel> panels;
  for (std::int64_t k = 1; k <= 4; ++k) {
    const auto z = static_cast<std::size_t>(b.begin.d + b.extent.d * k / 5);
    panel p{"z " + std::to_string(z), xt::view(x.voxels, z) / std::max(*bright, 1e-6f),
            xt::zeros<int>({x.voxels.shape(1), x.voxels.shape(2)})};
    for (std::size_t i = 0; i < p.marks.size(); ++i) {
      const std::uint8_t says = f.data()[z * p.marks.size() + i], is = t.data()[z * p.marks.size() + i];
      p.marks.data()[i] = says && is ? green : says ? red : is ? blue : unmarked;
    }
    panels.push_back(std::move(p));
  }
  write_png(path, panels, 3);
}

/// Probabilities on the network's grid, and the mask in the voxels of the head.
struct finding {
  image<float> p;
  image<std::uint8_t> brain;
};
finding found_in(const image<float>& head, const std::string& weights, bool squeezed) {
  const image<float> turned = oriented(head);
  finding f{squeezed ? by_whole(weights, turned) : by_tiles(weights, turned), {}};
  f.brain = brain_of(f.p, turned.at, orientation(head.at));
  f.brain.at = head.at;
  return f;
}

/// FNV-1a of the voxels above a half, eight a byte.
std::uint64_t fingerprint(const xt::xtensor<float, 3>& p) {
  std::uint64_t h = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < p.size(); i += 8) {
    std::uint64_t bits = 0;
    for (std::size_t k = 0; k < std::min<std::size_t>(8, p.size() - i); ++k) bits |= std::uint64_t{p.data()[i + k] > .5f} << k;
    h = (h ^ bits) * 0x100000001b3;
  }
  return h;
}
/// Of what TensorFlow 2.15 made of the same 128 x 128 x 128 voxels of mricron's head; 549132 are the brain's.
constexpr std::uint64_t tensorflow = 0x881b1c72fbb532d2;

/// Beside the brain that BET found in mricron's head, and beside TensorFlow.
bool judged(const finding& tiled_one, const finding& whole_one, const mask& truth) {
  const double by_tiles = dice(tiled_one.brain.voxels, truth);
  const bool same = fingerprint(whole_one.p.voxels) == tensorflow;
  std::printf("Dice beside BET's brain: tiles %.4f, 128 x 128 x 128 %.4f, %s TensorFlow's voxel by voxel\n", by_tiles,
              dice(whole_one.brain.voxels, truth), same ? "which is" : "which is not");
  if (by_tiles >= .93 && same) return true;
  std::fprintf(stderr, "Tiles should reach 0.93, and the other be TensorFlow's.\n");
  return false;
}

int run(const std::string& weights, bool squeezed, const std::string& file, const std::string& folder) {
  const double begun = seconds();
  const image<float> head = imaging::read_nifti(file);
  for (int a = 0; a < 3; ++a)
    if (const double mm = static_cast<double>(head.at.extent[a]) * spacing(head.at)[static_cast<std::size_t>(a)]; !(mm >= 50 && mm <= 600))
      throw std::runtime_error("expected a head of 50 to 600 mm along each axis, found " + std::to_string(mm) + " mm");
  const auto& e = head.at.extent;
  const auto s = spacing(head.at);
  std::printf("%s: %lld x %lld x %lld voxels of %.3g x %.3g x %.3g mm, %s\n", file.c_str(), static_cast<long long>(e.d),
              static_cast<long long>(e.h), static_cast<long long>(e.w), s[0], s[1], s[2], orientation(head.at).c_str());
  const finding found = found_in(head, weights, squeezed);
  image<std::uint8_t> truth;
  bool good = true;
  if (const std::string bet = "/usr/share/mricron/templates/ch2bet.nii.gz"; file == head_mri() && std::filesystem::exists(bet)) {
    truth = imaging::read_nifti<std::uint8_t>(bet);
    if (truth.voxels.shape() != head.voxels.shape()) throw std::runtime_error("the MRI must be that of ch2bet.nii.gz");
    for (std::uint8_t& v : truth.voxels) v = v > 0;
    const finding other = found_in(head, weights, !squeezed);
    good = judged(squeezed ? other : found, squeezed ? found : other, truth.voxels);
  }

  std::string name = std::filesystem::path(file).filename().string();
  name = (std::filesystem::path(folder) / (name.substr(0, name.find(".nii")) + "_brain")).string();
  write_nifti(name + ".nii.gz", found.brain);
  write_picture(name + ".png", head, found.brain, truth.voxels.size() > 0 ? &truth : nullptr);
  double voxels = 0;
  for (const std::uint8_t v : found.brain.voxels) voxels += v;
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  std::printf("%s.nii.gz, %s.png: a brain of %.0f ml; %.1f s, %ld MB at most\n", name.c_str(), name.c_str(),
              voxels * s[0] * s[1] * s[2] / 1000, seconds() - begun, used.ru_maxrss / 1024);
  return good ? 0 : 1;
}

}  // namespace example

int main(int count, char** arguments) {
  std::vector<std::string> given(arguments + 1, arguments + count);
  const auto option = std::find(given.begin(), given.end(), "--whole");
  const bool squeezed = option != given.end();
  if (squeezed) given.erase(option);
  if (given.empty() || given.size() > 3) {
    std::fprintf(stderr, "find_brain WEIGHTS [--whole] [FILE.nii.gz] [folder for the mask and the picture]\n");
    return 2;
  }
  try {
    return example::run(given[0], squeezed, given.size() > 1 ? given[1] : example::head_mri(), given.size() > 2 ? given[2] : ".");
  } catch (const std::exception& e) {
    const std::string file = given.size() > 1 ? given[1] : "", what = e.what();
    std::fprintf(stderr, "%s%s\n", what.find(": ") == std::string::npos ? (file + ": ").c_str() : "", what.c_str());
    return 2;
  }
}
