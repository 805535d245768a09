// What ranks gain: a training step of a 3D U-Net (32 channels, 64^3, one sample a run) on one rank and on all, in turns, one thread each.
//   mpirun -np 2 bench.ranks [rounds, default 7] [steps of a round, default 4]
//   bench.ranks schedule        what bench/simulate_ranks.py reads: nanoseconds of each launch, and when which bytes leave
// Each round: rank 0 alone while the others sleep, then every rank the same by itself at once (what the processors give to programs that
// know nothing of each other), then all ranks with the gradients sent during the backward pass, then all with the gradients sent after it.
// Prints medians of the rounds' medians and the best round: a shared machine disturbs in one direction.
#include <volute/distributed/data_parallel.hpp>
#include <volute/distributed/mpi.hpp>
#include <volute/volute.hpp>

#include "unet.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace {

using namespace volute;

constexpr int base = 32;
using net = unet::net<base>;
using learner = trainer<net, nn::cross_entropy<>, adam, input<"x", 1, 1, 64, 64, 64>, input<"labels", 1, 64, 64, 64>>;

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

/// What the rounds said of one way to make steps.
struct measured {
  std::vector<double> step, waited;
  void print(const char* what, std::int64_t samples) const {
    const double best = *std::min_element(step.begin(), step.end());
    std::printf("%-34s %8.1f ms a step (best round %8.1f), %6.3f samples/s (%6.3f), waited %6.1f ms (%6.1f)\n", what, 1e3 * median(step),
                1e3 * best, static_cast<double>(samples) / median(step), static_cast<double>(samples) / best, 1e3 * median(waited),
                1e3 * *std::min_element(waited.begin(), waited.end()));
  }
};

template <distributed::communicator C>
void round(C& ranks, learner& t, bool overlap, int steps, distributed::summation sum, measured& to) {
  static const std::vector<float> voxels(64 * 64 * 64, 0.5f), labels(64 * 64 * 64, 1.f);
  distributed::data_parallel step(t, ranks, {.sum = sum, .overlap = overlap});
  std::vector<double> seconds, waited;
  for (int i = -1; i < steps; ++i) {
    ranks.barrier();
    const auto begun = std::chrono::steady_clock::now();
    step.step([&](std::int64_t, auto run) { run(voxels, labels); });
    if (i < 0) continue;
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    waited.push_back(step.waited());
  }
  to.step.push_back(median(seconds)), to.waited.push_back(median(waited));
}

/// The median of each launch's time, and of the update's; and the buckets.
void print_schedule(int runs) {
  using clock = std::chrono::steady_clock;
  constexpr int launches = learner::facts::plan::size.launches;
  const std::vector<float> voxels(64 * 64 * 64, 0.5f), labels(64 * 64 * 64, 1.f);
  learner t;
  std::vector<std::vector<double>> times(launches + 1);
  for (int r = 0; r <= runs; ++r) {
    std::vector<clock::time_point> at;
    at.reserve(launches + 2);
    using parts = training_parts::parts_of_step;
    parts::run(
        t, [&](int) { at.push_back(clock::now()); }, voxels, labels);
    at.push_back(clock::now());
    parts::apply(t, 1e-3, learner::program_type::output_data(parts::program(t).memory(), parts::first_gradient<learner>), 1);
    at.push_back(clock::now());
    if (r == 0) continue;
    for (std::size_t i = 0; i < times.size(); ++i) times[i].push_back(std::chrono::duration<double, std::nano>(at[i + 1] - at[i]).count());
  }
  for (int i = 0; i < launches; ++i) std::printf("launch %d %.0f\n", i, median(times[static_cast<std::size_t>(i)]));
  std::printf("update %.0f\n", median(times.back()));
  for (const auto& b : distributed::data_parallel<learner, distributed::alone>::buckets)
    std::printf("bucket %d %lld\n", b.launch, static_cast<long long>(b.size) * 4);
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1 && std::string_view(arguments[1]) == "schedule") {
    print_schedule(9);
    return 0;
  }
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 7, steps = count > 2 ? std::atoi(arguments[2]) : 4;
  distributed::mpi world;
  distributed::alone one;
  learner t, other;  // rank 0 alone is ahead of the others
  measured alone, apart, overlapped, after, fast;
  for (int r = 0; r < rounds; ++r) {
    if (world.rank() == 0) round(one, other, true, steps, distributed::summation::same_bits, alone);
    world.barrier();
    round(one, other, true, steps, distributed::summation::same_bits, apart);
    double rates[1] = {1 / apart.step.back()};  // samples a second of all: as steps of their harmonic mean
    distributed::wait(world, world.all_reduce(std::span<double>(rates)), -1);
    apart.step.back() = world.size() / rates[0];
    round(world, t, true, steps, distributed::summation::same_bits, overlapped);
    round(world, t, false, steps, distributed::summation::same_bits, after);
    round(world, t, true, steps, distributed::summation::fast, fast);
  }
  if (world.rank() != 0) return 0;
  using step = distributed::data_parallel<learner, distributed::mpi>;
  std::int64_t elements = 0;
  for (const auto& b : step::buckets) elements += b.size;
  std::printf("%d ranks; %.1f MB of gradients in %d buckets, the first after launch %d of %d\n", world.size(),
              static_cast<double>(elements) * 4e-6, step::buckets.count, step::buckets.all[0].launch, learner::facts::plan::size.launches);
  alone.print("rank 0 alone", 1);
  apart.print("all, each by itself", world.size());
  overlapped.print("all, during the backward pass", world.size());
  after.print("all, after it", world.size());
  fast.print("all, during it, fast sum", world.size());
  const auto best = [](const std::vector<double>& v) { return *std::min_element(v.begin(), v.end()); };
  for (const auto& [what, of] :
       {std::pair<const char*, const measured&>{"all ranks over one", overlapped}, {"each by itself, over one", apart}})
    std::printf("%s: %.2f by medians, %.2f by the best rounds\n", what, world.size() * median(alone.step) / median(of.step),
                world.size() * best(alone.step) / best(of.step));
}
