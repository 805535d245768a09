// Optimisers, clipping, averages and schedules against PyTorch's numbers (training_expected.py): 20 steps under given gradients.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <cmath>

#include "training_expected.hpp"

namespace {

using namespace volute;
namespace given = training_expected;

// The gradient of sum(p x) by p is x: 37 numbers, so that the block has a gap.
constexpr auto p = parameter<"p", 37>;
constexpr auto x = input<"x", 37>;
template <class T, class Optimiser>
using given_gradients = basic_trainer_of<T, Optimiser, parameter_set<>, decltype(sum(p * x))>;

template <class T>
std::vector<T> wave(double step, double phase, double size = 1) {
  std::vector<T> v;
  for (int i = 0; i < 37; ++i) v.push_back(static_cast<T>(size * std::sin(step * i + phase)));
  return v;
}

template <class T, class Optimiser>
void check(const std::vector<double>& expected, double tolerance, Optimiser o, training_settings s = {}) {
  given_gradients<T, Optimiser> t(o, s);
  const auto begin = wave<T>(0.9, 1.0);
  std::copy(begin.begin(), begin.end(), t.parameter_values().begin());
  for (int k = 0; k < 20; ++k) t.step(x = wave<T>(0.37, 1.3 * k, 0.5 + 0.1 * k));
  REQUIRE(t.progress.steps == 20);
  const auto found = t.parameter_values();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO("element " << i);
    REQUIRE(static_cast<double>(found[i]) == Approx(expected[i]).margin(tolerance).epsilon(tolerance));
  }
  for (std::size_t i = expected.size(); i < found.size(); ++i) CHECK(found[i] == 0);
}
template <class Optimiser>
void check(const std::vector<double>& expected, Optimiser o, training_settings s = {}) {
  check<double>(expected, 1e-11, o, s);
  check<float>(expected, 1e-6, o, s);
}

}  // namespace

TEST_CASE("optimisers, against PyTorch") {
  check(given::sgd, sgd{.lr = 0.05});
  check(given::sgd_momentum, sgd{.lr = 0.05, .momentum = 0.9, .weight_decay = 0.01});
  check(given::sgd_nesterov, sgd{.lr = 0.05, .momentum = 0.9, .nesterov = true});
  check(given::adam, adam{.lr = 0.02});
  check(given::adam_decay, adam{.lr = 0.02, .beta1 = 0.8, .beta2 = 0.99, .eps = 1e-3, .weight_decay = 0.1});
  check(given::adamw, adamw{.lr = 0.02, .weight_decay = 0.1});
  check(given::rmsprop, rmsprop{.lr = 0.01});
  check(given::rmsprop_momentum, rmsprop{.lr = 0.01, .alpha = 0.9, .eps = 1e-3, .momentum = 0.8, .weight_decay = 0.1});
  check(given::rmsprop_centered, rmsprop{.lr = 0.01, .alpha = 0.9, .momentum = 0.5, .centered = true});
}

TEST_CASE("clipping, against PyTorch") {
  const sgd o{.lr = 0.05, .momentum = 0.9, .weight_decay = 0.01};
  check(given::clip_norm, o, {.clip_norm = 3});
  check(given::clip_value, o, {.clip_value = 0.6});
}

TEST_CASE("the norm of the gradients, and one that is no number") {
  given_gradients<float, sgd> t(sgd{.lr = 1}, {.clip_norm = 1});
  auto g = std::vector<float>(37, 0.f);
  g[0] = 3, g[36] = -4;
  t.step(x = g);
  CHECK(t.gradient_norm() == Approx(5));
  CHECK(t.parameter_values()[0] == Approx(-0.6f));
  g[1] = std::nanf("");
  t.step(x = g);
  CHECK(std::isnan(t.gradient_norm()));
  CHECK(std::isnan(t.parameter_values()[0]));
  given_gradients<float, sgd> u(sgd{.lr = 1}, {.clip_value = 1});
  u.step(x = g);
  CHECK(u.parameter_values()[0] == -1);
  CHECK(std::isnan(u.parameter_values()[1]));
}

TEST_CASE("averaged weights follow the weights from where they began") {
  given_gradients<double, sgd> t(sgd{.lr = 0.1}, {.ema_decay = 0.75});
  model<decltype([](auto v) { return sum(p * v); }), x> m;
  double weight = 2, average = 2;
  t.parameter_values()[5] = weight;
  CHECK(t.ema().parameter_table()[0].data[5] == 2);
  for (int k = 0; k < 6; ++k) {
    const auto g = wave<double>(0.37, k);
    t.step(x = g);
    weight -= 0.1 * g[5];
    average = 0.75 * average + 0.25 * weight;
  }
  CHECK(t.parameter_table()[0].data[5] == Approx(weight));
  CHECK(t.ema().parameter_table()[0].data[5] == Approx(average));
  copy_parameters(t.ema(), m);
  CHECK(m.parameter_values()[5] == Approx(average));
  m.copy_parameters(t);
  CHECK(m.parameter_values()[5] == Approx(weight));
  m.copy_parameters(t.ema());
  CHECK(m.parameter_values()[5] == Approx(average));
}

TEST_CASE("schedules, against PyTorch") {
  const auto check_rates = [](auto schedule, const std::vector<double>& expected) {
    for (std::size_t n = 0; n < expected.size(); ++n) {
      INFO("step " << n);
      CHECK(schedule(static_cast<std::int64_t>(n)) == Approx(expected[n]).epsilon(1e-9));
    }
  };
  check_rates(schedule::step{.lr = 0.5, .every = 4, .factor = 0.3}, given::schedule_step);
  check_rates(schedule::cosine{.lr = 0.5, .steps = 12, .last = 0.05}, given::schedule_cosine);
  check_rates(schedule::warm_up{5, schedule::constant{0.5}, 0.25}, given::schedule_warm_up);
  check_rates(schedule::one_cycle{.lr = 0.5, .steps = 12}, given::schedule_one_cycle);
  CHECK(schedule::warm_up{5, schedule::cosine{1, 8}}(9) == Approx(0.5));
  CHECK(schedule::cosine{1, 8, 0.25}(100) == 0.25);
  CHECK(schedule::one_cycle{1, 10}(100) == schedule::one_cycle{1, 10}(9));

  given_gradients<float, sgd> t(sgd{}, {.schedule = schedule::step{.lr = 1, .every = 2, .factor = 0.5}});
  const std::vector<float> ones(37, 1.f);
  for (int k = 0; k < 5; ++k) t.step(x = ones);
  CHECK(t.parameter_values()[0] == -(1 + 1 + 0.5f + 0.5f + 0.25f));
  CHECK(t.optimiser.lr == 0.25);
}
