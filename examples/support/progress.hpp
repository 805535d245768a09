// One line that tells how a training run gets on: rewritten on a terminal, a new line every few seconds in a log.
#pragma once

#include <unistd.h>

#include <array>
#include <chrono>
#include <concepts>
#include <cstdio>

namespace example {

class progress {
 public:
  explicit progress(int steps) : steps_(steps) {}

  /// After step number `step` (from 1) with this loss, or these.
  void operator()(int step, std::same_as<double> auto... loss) {
    using namespace std::chrono;
    static_assert(sizeof...(loss) <= most);
    std::size_t k = 0;
    ((losses_[k] = step == 1 ? loss : .95 * losses_[k] + .05 * loss, ++k), ...);
    const auto now = steady_clock::now();
    if (step < steps_ && now - shown_ < (terminal_ ? milliseconds(200) : milliseconds(5000))) return;
    shown_ = now;
    const double seconds = duration<double>(now - start_).count(), rate = step / seconds;
    std::printf("%sstep %d/%d  %.1f steps/s  loss", terminal_ ? "\r" : "", step, steps_, rate);
    for (std::size_t i = 0; i < k; ++i) std::printf(" %.6f", losses_[i]);
    std::printf("  %.0f s left   %s", (steps_ - step) / rate, terminal_ && step < steps_ ? "" : "\n");
    std::fflush(stdout);
  }

 private:
  int steps_;
  static constexpr std::size_t most = 4;
  std::array<double, most> losses_{};  // no vector: the examples count allocations
  bool terminal_ = isatty(STDOUT_FILENO) != 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), shown_{};
};

}  // namespace example
