// One line that tells how a training run gets on: rewritten on a terminal, a new line every few seconds in a log.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>

namespace example {

class progress {
 public:
  explicit progress(int steps) : steps_(steps) {}

  /// After step number `step` (from 1) with this loss.
  void operator()(int step, double loss) {
    using namespace std::chrono;
    loss_ = step == 1 ? loss : .95 * loss_ + .05 * loss;
    const auto now = steady_clock::now();
    if (step < steps_ && now - shown_ < (terminal_ ? milliseconds(200) : milliseconds(5000))) return;
    shown_ = now;
    const double seconds = duration<double>(now - start_).count(), rate = step / seconds;
    std::printf("%sstep %d/%d  %.1f steps/s  loss %.6f  %.0f s left   %s", terminal_ ? "\r" : "", step, steps_, rate, loss_,
                (steps_ - step) / rate, terminal_ && step < steps_ ? "" : "\n");
    std::fflush(stdout);
  }

 private:
  int steps_;
  double loss_ = 0;
  bool terminal_ = isatty(STDOUT_FILENO) != 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), shown_{};
};

}  // namespace example
