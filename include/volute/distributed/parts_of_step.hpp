// A trainer's step taken apart: runs, their results, and an update by gradients that others have added.
#pragma once

#include <volute/train/trainer.hpp>

namespace volute {
inline namespace VOLUTE_ISA {

struct training_parts::parts_of_step {
  template <class Trainer>
  static constexpr int first_gradient = Trainer::first_gradient;

  template <class Trainer>
  static double rate(const Trainer& t) {
    return t.rate();
  }
  template <class Trainer>
  static void choose_groups(Trainer& t) {
    t.choose_groups();
  }
  template <class Trainer, class Observer, class... B>
  static void run(Trainer& t, Observer&& observe, const B&... b) {
    t.observed_run(static_cast<Observer&&>(observe), b...);
  }
  template <class Trainer, class... B>
  static void take_inputs(Trainer& t, workspace& w, const B&... b) {
    t.take_inputs(w, b...);
  }
  template <class Trainer>
  static auto& program(Trainer& t) {
    return t.program_;
  }
  template <class Trainer>
  static const auto& workers(const Trainer& t) {
    return t.workers_;
  }
  /// What the groups make of each parameter: put(rate, weight decay or NaN).
  template <class Trainer, class Put>
  static void each_choice(Trainer& t, Put put) {
    t.choose_groups();
    for (const auto& c : t.choices_) put(c.rate, c.weight_decay.value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  template <class Trainer>
  static constexpr int optimiser_blocks = std::remove_cvref_t<decltype(std::declval<Trainer&>().optimiser)>::blocks;

  template <class Trainer, class T>
  static void apply(Trainer& t, double rate, const T* gradients, std::int64_t runs) {
    t.apply(rate, gradients, nullptr, runs);
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute
