// A U-Net of 32 channels (three levels, batch norms) on a volume of any size: in exact tiles, in sweeps, or in overlapping windows as MONAI's
// sliding_window_inference; bench/volumes_monai.py is its side. One way a process, so that the memory is its own: seconds, and the
// largest resident memory beside the volume and its result.
//   bench.volumes tiles|sweeps|windows [threads [depth [height [width]]]]        default 1 192 192 192; windows are 96^3, of which a quarter
//   overlaps
#include <volute/core/executor.hpp>
#include <volute/volumes/swept.hpp>
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

using namespace volute;
namespace nn = volute::nn;

namespace {

template <int In, int Out>
using conv = nn::sequential<nn::conv3d<In, Out, nn::kernel<3>, nn::padding<1>>, nn::batch_norm3d<Out>, nn::relu>;
template <int In, int Out>
using block = nn::sequential<conv<In, Out>, conv<Out, Out>>;
template <int In, int Out>
using up = nn::conv_transpose3d<In, Out, nn::kernel<2>, nn::stride<2>>;
constexpr int c = 32;
struct net
    : nn::minimal_filtering<block<1, c>,
                            nn::skip<nn::max_pool3d<2>, block<c, 2 * c>, nn::skip<nn::max_pool3d<2>, block<2 * c, 4 * c>, up<4 * c, 2 * c>>,
                                     block<4 * c, 2 * c>, up<2 * c, c>>,
                            block<2 * c, c>, nn::conv3d<c, 2, nn::kernel<1>>> {};

/// The tile: the least work for a volume of 192^3 within a gibibyte.
using windows = windowed<net, input<"x", 1, 1, 96, 96, 96>>;
constexpr volumes::size3 tile = proposed_tile<tiled<net, input<"x", 1, 1, 96, 96, 96>>>(std::int64_t{1} << 30, {192, 192, 192});
using tiles = tiled<net, input<"x", 1, 1, tile.d, tile.h, tile.w>>;
using sweeps = swept<net, input<"x", 1, 1, 80, 80, 80>>;

template <class Runner, class Run>
void measure(int threads, const volumes::size3& e, const char* what, std::int64_t bytes, const Run& run) {
  Runner r;
  r.initialize(1);
  spinning_pool pool(threads);
  r.use(pool);
  std::vector<float> volume(static_cast<std::size_t>(e.voxels())), result(2 * volume.size());
  for (std::size_t i = 0; i < volume.size(); ++i) volume[i] = static_cast<float>(i * 2654435761u % 1000) / 1000;
  const auto sink = volumes::scores([&](const volumes::slab<float>& s) {
    const std::int64_t part = s.shape[2] * e.h * e.w;
    for (std::int64_t k = 0; k < 2; ++k) std::copy_n(s.data + k * part, part, result.data() + (k * e.d + s.begin) * e.h * e.w);
  });
  const auto begun = std::chrono::steady_clock::now();
  run(r, sink, volumes::memory(volume.data(), e));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const double given = static_cast<double>((volume.size() + result.size()) * sizeof(float)) / (1 << 20);
  std::printf("%s, %.0f MiB a worker, %d threads: %.2f s, %.0f MiB beside the volume and its scores\n", what,
              static_cast<double>(bytes) / (1 << 20), threads, seconds, static_cast<double>(used.ru_maxrss) / 1024 - given);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string way = count > 1 ? arguments[1] : "";
  const int threads = count > 2 ? std::atoi(arguments[2]) : 1;
  volumes::size3 e{192, 192, 192};
  for (int a = 0; a < 3 && a + 3 < count; ++a) e[a] = std::atoll(arguments[a + 3]);
  volumes::options how;
  how.fit = volumes::fit::zeros;
  if (way == "tiles") {
    const std::string what = "tiles of " + std::to_string(tile.d) + " x " + std::to_string(tile.h) + " x " + std::to_string(tile.w) + ", " +
                             std::to_string(volumes::work_of(tiles::axis, e, how.fit) / static_cast<double>(e.voxels())) +
                             " times the work of the whole";
    measure<tiles>(threads, e, what.c_str(), tiles::bytes_per_worker,
                   [&](tiles& t, const auto& sink, const auto& source) { t.run(how, sink, source); });
  } else if (way == "sweeps") {
    const double whole = windows::facts::flops / (96. * 96 * 96) * static_cast<double>(e.voxels());
    const std::string what =
        std::to_string(sweeps::count) + " sweeps, " + std::to_string(sweeps::flops(e).first / whole) + " times the work of the whole";
    measure<sweeps>(threads, e, what.c_str(), sweeps::bytes_per_worker,
                    [&](sweeps& t, const auto& sink, const auto& source) { t.run(sink, source); });
  } else if (way == "windows") {
    const volumes::window_rule rule = volumes::monai(0.25, volumes::blend::gaussian);
    double work = 1;
    for (int a = 0; a < 3; ++a)
      work *= 96 * static_cast<double>(volumes::window_starts(rule, a, std::max<std::int64_t>(96, e[a]), 96).size());
    const std::string what =
        "windows of 96 x 96 x 96, " + std::to_string(work / static_cast<double>(e.voxels())) + " times the work of the whole";
    measure<windows>(threads, e, what.c_str(), windows::program_type::facts::workspace_bytes,
                     [&](windows& w, const auto& sink, const auto& source) { w.run(rule, sink, source); });
  } else {
    std::fprintf(stderr, "bench.volumes tiles|sweeps|windows [threads [depth [height [width]]]]\n");
    return 2;
  }
}
