// Labels of 100 classes for a volume that is too large for its scores: a network of 32 channels over 512 x 512 x 600 voxels, tile by tile.
// Prints the tile, the work beside that of the whole, seconds, and the largest resident memory beside the volume and its labels.
//   bench.large_volume [depth [height [width]]]        default 600 512 512; the scores alone would be 58.6 GiB
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

using namespace volute;
namespace nn = volute::nn;

namespace {

constexpr std::int64_t classes = 100;
template <int In, int Out>
using conv = nn::conv3d<In, Out, nn::kernel<3>, nn::same>;
struct net : nn::minimal_filtering<conv<1, 32>, nn::relu, nn::residual<conv<32, 32>, nn::relu, conv<32, 32>>, nn::relu,
                                   nn::conv3d<32, classes, nn::kernel<1>>> {};

/// The tile is chosen while compiling: the least work within so many bytes.
constexpr std::int64_t bytes = 900 << 20;
using probe = tiled<net, input<"x", 1, 1, 64, 64, 64>>;
constexpr volumes::size3 tile = proposed_tile<probe>(bytes, {600, 512, 512});
using tiles = tiled<net, input<"x", 1, 1, tile.d, tile.h, tile.w>>;
static_assert(tiles::bytes_per_worker < bytes + bytes / 10);

double mebibytes(double n) { return n / (1 << 20); }

}  // namespace

int main(int count, char** arguments) {
  volumes::size3 e{600, 512, 512};
  for (int a = 0; a < 3 && a + 1 < count; ++a) e[a] = std::atoll(arguments[a + 1]);
  tiles t;
  t.initialize(1);
  std::vector<float> volume(static_cast<std::size_t>(e.voxels()));
  std::vector<std::uint8_t> labels(volume.size());
  for (std::size_t i = 0; i < volume.size(); ++i) volume[i] = static_cast<float>(i * 2654435761u % 1000) / 1000;
  const auto begun = std::chrono::steady_clock::now();
  volumes::options how;
  how.fit = volumes::fit::zeros;
  std::int64_t shown = 0;
  how.progress = [&](const volumes::progress& p) {
    if (const std::int64_t tenth = 10 * p.done / p.total; tenth > shown)
      shown = tenth,
      std::printf("%lld of %lld tiles, %.0f s left\n", static_cast<long long>(p.done), static_cast<long long>(p.total), p.seconds_left),
      std::fflush(stdout);
    return true;
  };
  t.run(how, volumes::labels<std::uint8_t>([&](const volumes::slab<std::uint8_t>& s) {
          std::copy_n(s.data, s.shape.size(), labels.data() + s.begin * e.h * e.w);
        }),
        volumes::memory(volume.data(), e));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const double given = static_cast<double>(volume.size()) * (sizeof(float) + 1);
  std::uint64_t sum = 0;
  for (const std::uint8_t l : labels) sum = sum * 31 + l;
  std::printf("tile %lld x %lld x %lld, %.0f MiB; %.3f times the work of the whole; %.1f s on one thread (%.1f of processor)\n",
              static_cast<long long>(tile.d), static_cast<long long>(tile.h), static_cast<long long>(tile.w),
              mebibytes(static_cast<double>(tiles::bytes_per_worker)),
              volumes::work_of(tiles::axis, e, how.fit) / static_cast<double>(e.voxels()), seconds,
              static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec));
  std::printf("%.0f MiB resident at most, %.0f MiB beside the volume and its labels (fingerprint %016llx)\n",
              static_cast<double>(used.ru_maxrss) / 1024, static_cast<double>(used.ru_maxrss) / 1024 - mebibytes(given),
              static_cast<unsigned long long>(sum));
}
