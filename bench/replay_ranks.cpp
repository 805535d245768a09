// A step's communication without its arithmetic: every rank sleeps as long as each launch of a schedule took (bench.ranks schedule), and
// sends the real buckets when they are due. So more ranks than processors can be measured, beside what bench/simulate_ranks.py says of
// them.
//   mpirun -np N bench.replay_ranks SCHEDULE [steps, default 5]
// Prints, for both summations, with the gradients sent during the backward pass and after it: the longest step of a rank, the median over
// the steps, and the same of the step without communication.
#include <volute/distributed/gradient_sum.hpp>
#include <volute/distributed/mpi.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace {

using namespace volute;
using clock_type = std::chrono::steady_clock;
using distributed::bucket, distributed::summation;

struct schedule_of_step {
  std::vector<double> launches;  // seconds
  std::vector<bucket> buckets;
  explicit schedule_of_step(const char* path) {
    std::ifstream file(path);
    long long number = 0, bytes = 0;
    double nanoseconds = 0;
    std::int64_t end = 0;
    for (std::string kind; file >> kind;)
      if (kind == "launch" && file >> number >> nanoseconds)
        launches.push_back(1e-9 * nanoseconds);
      else if (kind == "bucket" && file >> number >> bytes)
        buckets.push_back({end, bytes / 4, static_cast<int>(number)}), end += bytes / 4;
  }
};

/// The seconds of each step on the rank that needed most, and of the same sleep without messages.
template <class World>
std::vector<double> steps(World& world, const schedule_of_step& schedule, summation how, bool overlap, bool sends, int count) {
  distributed::gradient_sum<float, World> sum(world, how, world.size(), schedule.buckets);
  std::int64_t elements = 0;
  for (const bucket& b : schedule.buckets) elements += b.size;
  const std::vector<float> gradients(static_cast<std::size_t>(elements), 1.f);
  std::vector<double> seconds;
  for (int s = -1; s < count; ++s) {
    world.barrier();
    const auto begun = clock_type::now();
    auto due = begun;
    std::size_t next = 0;
    const auto leave = [&] {
      sum.add(next, world.rank(), gradients.data() + schedule.buckets[next].offset, {});
      sum.begin(next++);
    };
    for (std::size_t i = 0; i < schedule.launches.size(); ++i) {
      due += std::chrono::duration_cast<clock_type::duration>(std::chrono::duration<double>(schedule.launches[i]));
      std::this_thread::sleep_until(due);
      if (!sends || !overlap) continue;
      while (next < schedule.buckets.size() && schedule.buckets[next].launch <= static_cast<int>(i)) leave();
      if (next > 0) sum.advance();
    }
    while (sends && next < schedule.buckets.size()) leave();
    sum.finish();
    // The longest of all ranks, each of which adds its own to a place of its own.
    std::vector<double> all(static_cast<std::size_t>(world.size()));
    all[static_cast<std::size_t>(world.rank())] = std::chrono::duration<double>(clock_type::now() - begun).count();
    distributed::wait(world, world.all_reduce(std::span<double>(all)), -1);
    if (s >= 0) seconds.push_back(*std::max_element(all.begin(), all.end()));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return std::fputs("bench.replay_ranks SCHEDULE [STEPS]\n", stderr), 2;
  const int n = count > 2 ? std::atoi(arguments[2]) : 5;
  distributed::mpi world;
  const schedule_of_step schedule(arguments[1]);
  const auto middle = [&](summation how, bool overlap, bool sends) {
    return 1e3 * steps(world, schedule, how, overlap, sends, n)[static_cast<std::size_t>(n) / 2];
  };
  const double compute = middle(summation::same_bits, true, false);
  if (world.rank() == 0) std::printf("%d ranks: %.1f ms without communication\n", world.size(), compute);
  for (const auto how : {summation::same_bits, summation::fast}) {
    const double during = middle(how, true, true), after = middle(how, false, true);
    if (world.rank() == 0)
      std::printf("%s: communication %.1f ms; during the backward pass %.1f ms are left, %.1f %% hidden\n",
                  how == summation::same_bits ? "same_bits" : "fast", after - compute, during - compute,
                  100 * (1 - (during - compute) / (after - compute)));
  }
}
