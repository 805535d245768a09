// Two builds of the library in one process, call by call in turns: what a commit does to speed, whatever the machine does meanwhile.
//   turns OLD.so NEW.so [--threads N] [--seconds S] [--filter REGEX]
// For each workload: medians in microseconds, the median of the ratios new / old of neighbouring calls; at the end their geometric mean.
// bench/turns builds the two libraries.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <regex>
#include <string>
#include <vector>

#include <dlfcn.h>

namespace {

using clock_type = std::chrono::steady_clock;
struct workload {
  std::string name;
  std::function<void()> run;
};
using workloads = std::vector<workload>;

workloads load(const char* path, int threads) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(2);
  }
  using add = void (*)(void*, std::string, std::function<void()>);
  const auto enter = reinterpret_cast<void (*)(int, add, void*)>(dlsym(library, "enter_workloads"));
  workloads all;
  enter(
      threads,
      [](void* to, std::string name, std::function<void()> run) {
        static_cast<workloads*>(to)->push_back({std::move(name), std::move(run)});
      },
      &all);
  return all;
}

double median(std::vector<double> v) {
  const auto at = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), at, v.end());
  return *at;
}

double time_of(const std::function<void()>& run, int batch) {
  const auto begin = clock_type::now();
  for (int i = 0; i < batch; ++i) run();
  return std::chrono::duration<double, std::micro>(clock_type::now() - begin).count() / batch;
}

}  // namespace

int main(int count, char** arguments) {
  int threads = 1;
  double seconds = 2;
  std::regex filter(".");
  for (int i = 3; i + 1 < count; i += 2) {
    if (std::strcmp(arguments[i], "--threads") == 0) threads = std::atoi(arguments[i + 1]);
    if (std::strcmp(arguments[i], "--seconds") == 0) seconds = std::atof(arguments[i + 1]);
    if (std::strcmp(arguments[i], "--filter") == 0) filter = arguments[i + 1];
  }
  if (count < 3) return 2;
  const workloads before = load(arguments[1], threads), after = load(arguments[2], threads);
  std::printf("| workload | old us | new us | new / old |\n|---|---:|---:|---:|\n");
  double logs = 0;
  int rows = 0;
  for (const workload& a : before) {
    const auto b = std::find_if(after.begin(), after.end(), [&](const workload& w) { return w.name == a.name; });
    if (b == after.end() || !std::regex_search(a.name, filter)) continue;
    const double once = std::max(time_of(a.run, 1), time_of(b->run, 1));
    const int batch = std::max(1, static_cast<int>(50 / std::max(once, 0.1)));  // calls below 50 us in batches
    std::vector<double> old_times, new_times, ratios;
    const auto end = clock_type::now() + std::chrono::duration<double>(seconds);
    for (int turn = 0; clock_type::now() < end || turn < 6; ++turn) {
      const bool old_first = turn % 2 == 0;
      double t[2];
      t[old_first ? 0 : 1] = time_of(old_first ? a.run : b->run, batch);
      t[old_first ? 1 : 0] = time_of(old_first ? b->run : a.run, batch);
      old_times.push_back(t[0]), new_times.push_back(t[1]), ratios.push_back(t[1] / t[0]);
    }
    const double ratio = median(ratios);
    std::printf("| %s | %.2f | %.2f | %.3f |\n", a.name.c_str(), median(old_times), median(new_times), ratio);
    std::fflush(stdout);
    logs += std::log(ratio), ++rows;
  }
  if (rows > 0) std::printf("\ngeometric mean of %d rows: %.4f\n", rows, std::exp(logs / rows));
  return rows > 0 ? 0 : 1;
}
