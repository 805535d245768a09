// Learning rates over time: each is called with the number of the step, from 0, and returns the rate of that step.
#pragma once

#include <volute/runtime/error.hpp>

#include <cmath>
#include <cstdint>
#include <numbers>

namespace volute::schedule {

namespace detail {
/// From `a` at t = 0 to `b` at t = 1 along half a cosine.
inline double half_cosine(double a, double b, double t) { return b + (a - b) * 0.5 * (1 + std::cos(std::numbers::pi * t)); }
}  // namespace detail

/// The same rate in every step.
struct constant {
  double lr;
  double operator()(std::int64_t) const { return lr; }
};

/// Times `factor` after every `every` steps. (torch StepLR)
struct step {
  double lr;
  std::int64_t every;
  double factor = 0.1;
  double operator()(std::int64_t n) const {
    if (every < 1) fail_number("schedule::step: every", "at least 1", static_cast<double>(every));
    return lr * std::pow(factor, static_cast<double>(n / every));
  }
};

/// Half a cosine from `lr` to `last` in `steps` steps, then `last`. (torch CosineAnnealingLR)
struct cosine {
  double lr;
  std::int64_t steps;
  double last = 0;
  double operator()(std::int64_t n) const {
    return n >= steps ? last : detail::half_cosine(lr, last, static_cast<double>(n) / static_cast<double>(steps));
  }
};

/// In `steps` steps linearly from `first` times the rate with which `then` begins to that rate; then `then`, from its step 0.
/// (torch LinearLR, followed by another)
template <class Then>
struct warm_up {
  std::int64_t steps;
  Then then;
  double first = 0;
  double operator()(std::int64_t n) const {
    return n >= steps ? then(n - steps) : then(0) * (first + (1 - first) * static_cast<double>(n) / static_cast<double>(steps));
  }
};
template <class Then>
warm_up(std::int64_t, Then) -> warm_up<Then>;
template <class Then>
warm_up(std::int64_t, Then, double) -> warm_up<Then>;

/// Up from lr / start to lr in the part `rise` of all steps, then down to lr / start / end, both along half a cosine.
/// (torch OneCycleLR, anneal_strategy cos; Smith and Topin, arXiv 1708.07120)
struct one_cycle {
  double lr;
  std::int64_t steps;
  double rise = 0.3, start = 25, end = 1e4;
  double operator()(std::int64_t n) const {
    const double at = static_cast<double>(n < steps ? n : steps - 1), last = static_cast<double>(steps - 1);
    const double top = rise * static_cast<double>(steps) - 1;
    if (at < top) return detail::half_cosine(lr / start, lr, at / top);
    return at > top ? detail::half_cosine(lr, lr / start / end, (at - top) / (last - top)) : lr;  // rise = 1 ends at the top
  }
};

}  // namespace volute::schedule
