// Optimisers, clipping, averages and schedules against PyTorch's numbers (training_expected.py): 20 steps under given gradients.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <utility>

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

TEMPLATE_TEST_CASE("norms whose squares overflow or underflow", "", float, double) {
  using T = TestType;
  constexpr bool f = sizeof(T) == 4;
  const auto check_step = [](T a, T b, double limit, double norm, std::vector<double> expected, int accumulate = 1) {
    given_gradients<T, sgd> t(sgd{.lr = 1}, {.clip_norm = limit, .accumulate = accumulate});
    auto g = std::vector<T>(37, T(0));
    g[0] = a, g[36] = b;
    for (int k = 0; k < accumulate; ++k) t.step(x = g);
    CAPTURE(a, b, limit);
    CHECK(t.gradient_norm() == Approx(norm).epsilon(1e-6).margin(0));
    CHECK(static_cast<double>(t.parameter_values()[0]) == Approx(expected[0]).epsilon(1e-6).margin(0));
    CHECK(static_cast<double>(t.parameter_values()[36]) == Approx(expected[1]).epsilon(1e-6).margin(0));
    CHECK(t.parameter_values()[1] == 0);
  };
  const double huge = f ? 1e19 : 1e200, tiny = f ? 1e-30 : 1e-200;
  check_step(T(3 * huge), T(4 * huge), 1, 5 * huge, {-0.6, -0.8});
  check_step(T(-3 * huge), T(4 * huge), 1e-10, 5 * huge, {0.6e-10, -0.8e-10}, 3);
  check_step(T(3 * tiny), T(4 * tiny), 1, 5 * tiny, {-3 * tiny, -4 * tiny});
  check_step(T(0), T(0), 1, 0, {0, 0});
  constexpr T most = std::numeric_limits<T>::max();
  const double both = static_cast<double>(most) * std::sqrt(2.0);  // beyond double as well
  check_step(most, -most, 1, both, {-std::sqrt(0.5), std::sqrt(0.5)});
  check_step(T(3), T(4), 1e-300, 5,
             f ? std::vector<double>{0, 0} : std::vector<double>{-0.6e-300 / (1 + 0.2e-6), -0.8e-300 / (1 + 0.2e-6)});
}

TEST_CASE("a norm counts every element of a long block") {
  static constexpr auto longer = input<"longer", 9000>;
  basic_trainer_of<float, sgd, parameter_set<>, decltype(sum(parameter<"q", 9000> * longer))> t(sgd{.lr = 1}, {.clip_norm = 1});
  auto g = std::vector<float>(9000, 0.f);
  g[8999] = 12, g[4096] = 3, g[5] = 4;
  t.step(longer = g);
  CHECK(t.gradient_norm() == Approx(13));
  g[8999] = 12e20f, g[4096] = 3e20f, g[5] = 4e20f;
  t.step(longer = g);
  CHECK(t.gradient_norm() == Approx(13e20));
}

TEST_CASE("AdamW's decay is not lost in rounding") {
  const auto decayed = [](auto number, double each, int steps) {
    using T = decltype(number);
    given_gradients<T, adamw> t(adamw{.lr = each, .weight_decay = 1});
    t.parameter_values()[0] = number;
    for (int k = 0; k < steps; ++k) t.step(x = std::vector<T>(37, T(0)));
    return static_cast<double>(t.parameter_values()[0]);
  };
  // within two units of the last place for few steps, and right to a hundredth for many
  for (const float from : {1.f, 1.0001f, 1.5f, -1.99f, 3e-20f, 1e10f})
    for (const double each : {1e-9, 1e-8, 1e-7, 3e-6}) {
      CAPTURE(from, each);
      const double unit = std::abs(static_cast<double>(std::nextafter(from, 2 * from) - from)), weight = static_cast<double>(from);
      CHECK(std::abs(decayed(from, each, 1000) - weight * std::pow(1 - each, 1000)) < 3 * unit);
      CHECK(1 - decayed(from, each, 20'000) / weight ==
            Approx(1 - std::pow(1 - each, 20'000)).epsilon(0.01).margin(3 * unit / std::abs(weight)));
    }
  CHECK(1 - decayed(1.0, 1e-9, 1000) == Approx(1e-6).epsilon(1e-5));
  CHECK(2 - decayed(2.0, 1e-15, 10'000) == Approx(2e-11).epsilon(1e-2));
  CHECK(decayed(1.f, 0, 100) == 1);
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
  // Up in all steps (pct_start=1): the last is the top. It was 0 / 0.
  check_rates(schedule::one_cycle{.lr = 0.1, .steps = 5, .rise = 1}, {0.004, 0.018058874503, 0.052, 0.085941125497, 0.1});
  CHECK_THROWS_WITH((schedule::step{.lr = 1, .every = 0}(3)), "schedule::step: every: expected at least 1, found 0");

  given_gradients<float, sgd> t(sgd{}, {.schedule = schedule::step{.lr = 1, .every = 2, .factor = 0.5}});
  const std::vector<float> ones(37, 1.f);
  for (int k = 0; k < 5; ++k) t.step(x = ones);
  CHECK(t.parameter_values()[0] == -(1 + 1 + 0.5f + 0.5f + 0.25f));
  CHECK(t.optimiser.lr == 0.25);
}

TEST_CASE("numbers that mean nothing are refused before anything happens") {
  const std::vector<float> ones(37, 1.f);
  const auto refuses = [&](auto o, training_settings s, const char* what) {
    given_gradients<float, decltype(o)> t(o, std::move(s));
    CHECK_THROWS_WITH(t.step(x = ones), what);
    CHECK(t.progress.steps == 0);
    CHECK(t.parameter_values()[0] == 0);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  refuses(sgd{.momentum = -0.9}, {}, "sgd: momentum: expected at least 0, found -0.9");
  refuses(sgd{.weight_decay = -1}, {}, "sgd: weight_decay: expected at least 0, found -1");
  refuses(sgd{.nesterov = true}, {}, "sgd: momentum: expected more than 0 with nesterov, found 0");
  refuses(adam{.beta1 = 1}, {}, "adam: beta1: expected 0 or more, and less than 1, found 1");
  refuses(adamw{.beta2 = 1}, {}, "adamw: beta2: expected 0 or more, and less than 1, found 1");
  refuses(adam{.eps = -1e-8}, {}, "adam: eps: expected at least 0, found -1e-08");
  refuses(rmsprop{.alpha = 1.5}, {}, "rmsprop: alpha: expected 0 to 1, found 1.5");
  refuses(sgd{.lr = nan}, {}, "learning rate: expected a finite number, found nan");
  refuses(sgd{}, {.schedule = [nan](std::int64_t) { return nan; }}, "learning rate: expected a finite number, found nan");
  refuses(sgd{}, {.clip_norm = -1}, "settings.clip_norm: expected at least 0, found -1");
  refuses(sgd{}, {.clip_value = nan}, "settings.clip_value: expected at least 0, found nan");
  refuses(sgd{}, {.ema_decay = 1.5}, "settings.ema_decay: expected 0 to 1, found 1.5");
  refuses(sgd{}, {.accumulate = 0}, "settings.accumulate: expected at least 1, found 0");
  refuses(sgd{}, {.groups = {{.where = paths("*"), .rate = nan}}}, "rate of a group of parameters: expected a finite number, found nan");
  refuses(sgd{}, {.groups = {{.where = paths("*"), .weight_decay = -1}}},
          "weight_decay of a group of parameters: expected at least 0, found -1");

  given_gradients<float, sgd> measured(sgd{.lr = 1}, {.clip_norm = std::numeric_limits<double>::infinity()});  // only to know the norm
  measured.step(x = ones);
  CHECK(measured.gradient_norm() == Approx(std::sqrt(37.0)));
  CHECK(measured.parameter_values()[0] == -1);
}

TEST_CASE("a rate of 0 keeps parameters whose gradients are no numbers") {
  std::vector<float> gradients(37, 1.f);
  gradients[3] = std::numeric_limits<float>::infinity(), gradients[20] = std::numeric_limits<float>::quiet_NaN();
  const auto keeps = [&](auto o) {
    given_gradients<float, decltype(o)> t(o, {.ema_decay = 0.5, .groups = {{.where = paths("p"), .rate = 0}}});
    for (int k = 0; k < 3; ++k) t.step(x = gradients);
    for (float v : t.parameter_values()) CHECK(v == 0);
    const auto blocks = t.state_blocks();  // the average is the last
    REQUIRE(blocks.back().name == "ema");
    for (float v : blocks.back().values) CHECK(v == 0);
  };
  keeps(sgd{.momentum = 0.9}), keeps(adam{}), keeps(adamw{}), keeps(rmsprop{.momentum = 0.5});
}
