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
  std::vector<double> samples{};

  double quantile(double q) {
    const auto at = samples.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(samples.size() - 1) + 0.5);
    std::nth_element(samples.begin(), at, samples.end());
    return *at;
  }
  double median() { return quantile(0.5); }
  double least() const { return *std::min_element(samples.begin(), samples.end()); }
};

/// Calls `run` for `budget`, at least once, and adds microseconds a call. Before that come calls that are not timed: they warm the caches
/// and outlast the previous contestant's spinning threads (libgomp's give up after 5 ms or so); before calls that are too long for that, a
/// pause. Calls below 20 us are timed in batches; torch_peer.py does all the same.
inline std::function<void(double, std::vector<double>&)> turns_of(std::function<void()> run) {
  return [run = std::move(run)](double budget, std::vector<double>& samples) {
    double once = 0;
    if (samples.empty() || samples.back() < 20e3) {
      const auto begin = clock::now();
      int calls = 0;
      do run(), ++calls;
      while (microseconds(clock::now() - begin) < 5e3);
      once = microseconds(clock::now() - begin) / calls;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      once = samples.back();
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

/// Volute comes first in `all`. A peer that is more than twice as slow as the fastest after two rounds keeps the samples that it has.
inline void race(std::vector<contestant>& all, int rounds, double budget) {
  for (int r = 0; r < rounds; ++r) {
    double fastest = HUGE_VAL;
    for (std::size_t i = 1; i < all.size() && r >= 2; ++i) fastest = std::min(fastest, all[i].median());
    for (std::size_t k = 0; k < all.size(); ++k) {
      const std::size_t i = (k + static_cast<std::size_t>(r)) % all.size();
      if (i == 0 || r < 2 || all[i].median() <= 2 * fastest) all[i].turn(budget, all[i].samples);
    }
  }
}

}  // namespace compare
