// A volume cut along its depth: a training step of the 3D U-Net (32 channels, 64^3 unless VOLUTE_BENCH_SIDE says another size) of one program
// of the whole, and of 2 or 4 slabs of it over ranks, one thread each.
//   bench.slabs whole FILE                    the loss and every gradient of the first step go to FILE
//   mpirun -np N bench.slabs 2|4 FILE [STEPS]    those of so many slabs beside FILE's; then STEPS steps are timed, 5 by default
// Every rank says the most memory it ever held (VmHWM), and what of that its workspaces are.
#include <volute/distributed/data_parallel.hpp>
#include <volute/distributed/mpi.hpp>
#include <volute/volute.hpp>

#include "unet.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace volute;

#ifndef VOLUTE_BENCH_SIDE
#define VOLUTE_BENCH_SIDE 64
#endif
constexpr std::int64_t side = VOLUTE_BENCH_SIDE;
template <class Net, std::int64_t Depth>
using learner = trainer<Net, nn::cross_entropy<>, sgd, input<"x", 1, 1, Depth, side, side>, input<"labels", 1, Depth, side, side>>;

/// Voxels that no two slabs share.
float voxel(std::size_t k) { return std::sin(0.37f * static_cast<float>(k % 100003)) + 0.01f * static_cast<float>(k % 97); }
float label(std::size_t k) { return static_cast<float>(k / 7 % 3 == 0); }

double peak_mebibytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") return status >> word, std::atof(word.c_str()) / 1024;
  return 0;
}

/// The gradients of the first step: what momentum begins as.
template <class Trainer>
std::vector<float> gradients(Trainer& t) {
  const auto blocks = t.state_blocks();
  return {blocks[0].values.begin(), blocks[0].values.end()};
}

template <class Trainer, distributed::communicator C>
int measure(C& world, std::int64_t slabs, const char* file, int steps) {
  Trainer t(sgd{.lr = 1e-3, .momentum = 0.9});
  t.initialize(1);
  distributed::data_parallel step(t, world, {.runs = slabs});
  const std::size_t each = side * side * side / static_cast<std::size_t>(slabs);
  std::vector<float> x(each), y(each);
  const auto bind = [&](std::int64_t i, auto run) {
    for (std::size_t k = 0; k < each; ++k)
      x[k] = voxel(static_cast<std::size_t>(i) * each + k), y[k] = label(static_cast<std::size_t>(i) * each + k);
    run(x, y);
  };
  const float loss = step.step(bind);
  const std::vector<float> found = gradients(t);
  std::printf("rank %d: %lld runs, workspaces %.1f MiB, most memory %.1f MiB\n", world.rank(),
              static_cast<long long>(step.last() - step.first()),
              static_cast<double>((step.last() - step.first()) * Trainer::facts::workspace_bytes) / 1048576, peak_mebibytes());
  if (slabs == 1) {
    std::ofstream to(file, std::ios::binary);
    to.write(reinterpret_cast<const char*>(&loss), sizeof loss);
    to.write(reinterpret_cast<const char*>(found.data()), static_cast<std::streamsize>(found.size() * sizeof(float)));
  } else if (world.rank() == 0) {
    float of_whole = 0;
    std::vector<float> expected(found.size());
    std::ifstream from(file, std::ios::binary);
    from.read(reinterpret_cast<char*>(&of_whole), sizeof of_whole);
    if (!from.read(reinterpret_cast<char*>(expected.data()), static_cast<std::streamsize>(found.size() * sizeof(float)))) return 1;
    double most = 0, largest = 0;
    for (std::size_t k = 0; k < found.size(); ++k) {
      most = std::max(most, static_cast<double>(std::abs(found[k] - expected[k])));
      largest = std::max(largest, static_cast<double>(std::abs(expected[k])));
    }
    std::printf("%lld slabs over %d ranks: loss %.9g, of the whole %.9g; gradients differ by %.3g at most, the largest is %.3g\n",
                static_cast<long long>(slabs), world.size(), static_cast<double>(loss), static_cast<double>(of_whole), most, largest);
  }
  std::vector<double> seconds, waited;
  for (int s = 0; s < steps; ++s) {
    world.barrier();
    const auto begun = std::chrono::steady_clock::now();
    step.step(bind);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    waited.push_back(step.waited());
  }
  if (steps == 0) return 0;
  std::sort(seconds.begin(), seconds.end()), std::sort(waited.begin(), waited.end());
  const std::size_t middle = seconds.size() / 2;
  std::printf("rank %d: %.1f ms a step (least %.1f), waited %.1f ms (least %.1f), %d meetings\n", world.rank(), 1e3 * seconds[middle],
              1e3 * seconds[0], 1e3 * waited[middle], 1e3 * waited[0], step.meetings.count);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view what = count > 2 ? arguments[1] : "";
  const int steps = count > 3 ? std::atoi(arguments[3]) : 5;
  using net = unet::net<32>;
  try {
    if (what == "whole") {
      distributed::alone one;
      return measure<learner<net, side>>(one, 1, arguments[2], steps);
    }
    distributed::mpi world;
    if (what == "2") return measure<learner<nn::depth_parallel<net>, side / 2>>(world, 2, arguments[2], steps);
    if (what == "4") return measure<learner<nn::depth_parallel<net>, side / 4>>(world, 4, arguments[2], steps);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  std::fprintf(stderr, "bench.slabs whole|2|4 FILE [STEPS]\n");
  return 2;
}
