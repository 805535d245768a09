// What threads cost where other programs want the processors too: a network on one thread, on a pool and on OpenMP's threads, alternately,
// beside as many endless processes as asked for.
//   bench.pool_contention [THREADS [BUSY [ROUNDS [session]]]]
// BUSY processes (default: one a processor; 0: an idle machine) are started and ended here; "session" gives each a session of its own,
// which Linux schedules as a group.
#include <volute/core/executor.hpp>
#include <volute/core/openmp_executor.hpp>
#include <volute/volute.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace volute;

using net = nn::sequential<nn::conv3d<1, 16, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<16, 16, nn::kernel<3>, nn::padding<1>>,
                           nn::relu, nn::max_pool3d<2>, nn::conv3d<16, 32, nn::kernel<3>, nn::padding<1>>, nn::relu,
                           nn::conv3d<32, 32, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::max_pool3d<2>,
                           nn::conv3d<32, 64, nn::kernel<3>, nn::padding<1>>, nn::relu>;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

std::vector<pid_t> start(int busy, bool session) {
  std::vector<pid_t> children;
  for (int i = 0; i < busy; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (session) setsid();
      volatile unsigned n = 0;
      for (;;) n = n + 1;
    }
    if (child > 0) children.push_back(child);
  }
  return children;
}

struct contestant {
  const char* name;
  executor* workers;
};

/// The network on a cube of this side: 16 has jobs of 0.1 ms of one thread's work, 32 of 1 ms, 64 of 8 ms.
template <std::int64_t Side>
void compare(const std::vector<contestant>& contestants, int rounds) {
  static model<net, input<"x", 1, 1, Side, Side, Side>> m;
  const std::vector<float> x(static_cast<std::size_t>(Side * Side * Side), .5f);
  std::vector<float> y(x.size());
  const float* in[] = {x.data()};
  const auto run_for = [&](double length) {  // how long a run takes, over so many seconds
    const double begin = seconds();
    double end = begin;
    int runs = 0;
    for (; end - begin < length; end = seconds(), ++runs) m.run(in, y.data());
    return (end - begin) / runs;
  };
  std::vector<std::vector<double>> times(contestants.size());
  for (int round = -1; round < rounds; ++round)
    for (std::size_t c = 0; c < contestants.size(); ++c) {
      m.use(*contestants[c].workers);
      const double t = run_for(round < 0 ? .1 : .4);
      if (round >= 0) times[c].push_back(t);
    }
  std::printf("%lld^3 voxels\n", static_cast<long long>(Side));
  const double base = median(times[0]);
  for (std::size_t c = 0; c < contestants.size(); ++c) {
    const auto [low, high] = std::minmax_element(times[c].begin(), times[c].end());
    std::printf("  %-16s median %8.3f  least %8.3f  most %8.3f  ratio %.2f\n", contestants[c].name, 1e3 * median(times[c]), 1e3 * *low,
                1e3 * *high, median(times[c]) / base);
  }
  std::fflush(stdout);
}

int main(int count, char** argument) {
  const auto number = [&](int i, int otherwise) { return count > i ? std::atoi(argument[i]) : otherwise; };
  const int processors = static_cast<int>(std::thread::hardware_concurrency());
  const int threads = number(1, 2), busy = number(2, processors), rounds = number(3, 20);
  const std::vector<pid_t> children = start(busy, count > 4 && std::strcmp(argument[4], "session") == 0);

  sequential_executor one;
  spinning_pool pool(threads);
  std::vector<contestant> contestants{{"one thread", &one}, {"spinning_pool", &pool}};
#if defined(_OPENMP)
  openmp_executor omp(threads);
  contestants.push_back({"openmp_executor", &omp});
#endif
  std::printf("%d threads, %d processors, %d busy processes; ms a run over %d times 0.4 s, ratio of medians\n", threads, processors, busy,
              rounds);
  compare<16>(contestants, rounds);
  compare<32>(contestants, rounds);
  compare<64>(contestants, rounds);
  for (const pid_t child : children) kill(child, SIGKILL), waitpid(child, nullptr, 0);
}
