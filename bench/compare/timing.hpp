// How contestants are timed: in turns, so that a drifting machine hurts all alike.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace compare {

using clock = std::chrono::steady_clock;
inline double microseconds(clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

struct contestant {
  std::string name;
  std::function<void(double budget, std::vector<double>& samples)> turn;  // microseconds
  bool peer = true;
  std::vector<double> samples{};

  double quantile(double q) {
    const auto at = samples.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(samples.size() - 1) + 0.5);
    std::nth_element(samples.begin(), at, samples.end());
    return *at;
  }
  double median() { return quantile(0.5); }
  double least() const { return *std::min_element(samples.begin(), samples.end()); }
};

/// Calls `run` for `budget`, at least once, and adds microseconds a call. Before that comes a pause, in which the previous contestant's
/// spinning threads go to sleep: libgomp's spin for 9 ms when they have a core to themselves, and longer when they share it with
/// the threads of whoever comes next, whose second thread is then worth nothing. Then come calls that are not timed, unless they are long:
/// they warm the caches. Calls below 20 us are timed in batches; peer.py does all the same.
inline std::function<void(double, std::vector<double>&)> turns_of(std::function<void()> run) {
  return [run = std::move(run)](double budget, std::vector<double>& samples) {
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
    double once = samples.empty() ? 0 : samples.back();
    if (once < 20e3) {
      const auto begin = clock::now();
      int calls = 0;
      do run(), ++calls;
      while (microseconds(clock::now() - begin) < 5e3);
      once = microseconds(clock::now() - begin) / calls;
    }
    const int batch = std::max(1, static_cast<int>(20 / once));
    const auto begin = clock::now();
    do {
      const auto start = clock::now();
      for (int i = 0; i < batch; ++i) run();
      samples.push_back(microseconds(clock::now() - start) / batch);
    } while (microseconds(clock::now() - begin) < budget);
  };
}

/// A peer that is more than twice as slow as the fastest after two rounds keeps the samples that it has.
/// A round begins when settle() returns.
template <class Settle>
void race(std::vector<contestant>& all, int rounds, double budget, Settle settle) {
  for (int r = 0; r < rounds; ++r) {
    settle();
    double fastest = HUGE_VAL;
    for (contestant& c : all)
      if (c.peer && r >= 2) fastest = std::min(fastest, c.median());
    for (std::size_t k = 0; k < all.size(); ++k) {
      const std::size_t i = (k + static_cast<std::size_t>(r)) % all.size();
      if (!all[i].peer || r < 2 || all[i].median() <= 2 * fastest) all[i].turn(budget, all[i].samples);
    }
  }
}

}  // namespace compare
