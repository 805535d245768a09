// The trainer: what a step does, parts of a program, going on with a saved training, and threads.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <xtensor/xadapt.hpp>
#include <xtensor/xview.hpp>

#include "kernels_support.hpp"

namespace {

using namespace volute;
namespace nn = volute::nn;

/// Twice as loud in training, and counts its runs.
struct loud : nn::layer<loud> {
  static constexpr auto forward(expression auto x) {
    constexpr auto runs = state<"runs", 1>;
    return by_mode(updating(x * 2_c, runs, runs + 1_c), x);
  }
};
struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::relu, loud, nn::flatten, nn::linear<32, 3>> {};

template <int N>
constexpr auto volume = input<"x", N, 1, 2, 2, 2>;
template <int N>
constexpr auto labels = input<"labels", N>;

const std::vector<float> batch = kernels_test::numbers(5).vector<float>(4 * 8);
const std::vector<int> classes{0, 2, 1, 2};

std::vector<float> copy(std::span<const float> s) { return {s.begin(), s.end()}; }
bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace

TEST_CASE("a step is the loss in training mode, its gradients and the update") {
  trainer<net, nn::cross_entropy<>, sgd, volume<4>, labels<4>> t(sgd{.lr = 0.125});
  static constexpr auto loss = training(cross_entropy(net{}(volume<4>), labels<4>));
  program<outputs(loss, gradient(loss, parameters))> p;
  t.initialize(3);
  p.initialize(3);
  for (int k = 0; k < 3; ++k) {
    const float found = t.step(batch, classes);
    const auto [value, gradients] = p(volume<4> = batch, labels<4> = classes);
    CHECK(found == value);
    CHECK(t.output<0>() == value);
    const auto w = p.parameter_values();
    const auto g = p.gradient_values();
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = std::fma(-0.125f, g[i], w[i]);
    CHECK(same_bits(t.parameter_values(), w));
  }
  CHECK(t.progress.steps == 3);
  CHECK(t.parameter<"2.runs">()(0) == 3);

  model<net, volume<4>> m;  // without training mode, and without the count of runs
  copy_parameters(t, m);
  CHECK(m.parameter<"4.weight">()(2, 31) == t.parameter<"4.weight">()(2, 31));
  const xt::xtensor<float, 2> logits = m(batch);
  program<outputs(training(net{}(volume<4>)))> loud_one;
  copy_parameters(t, loud_one);
  const auto [louder] = loud_one(volume<4> = batch);
  CHECK(logits != louder);

  const float* in[2]{};
  const std::vector<float> numbers(classes.begin(), classes.end());
  const bool first = decltype(t)::facts::graph.inputs[0].name.view() == "x";
  in[first ? 0 : 1] = batch.data(), in[first ? 1 : 0] = numbers.data();
  const auto [value, gradients] = p(volume<4> = batch, labels<4> = classes);
  CHECK(t.step(in) == value);
  CHECK_THROWS_WITH(t.step(std::vector<float>(3), classes), "input 'x': expected (4,1,2,2,2), found 3 elements");
  t.initialize(3);
  CHECK(t.progress.steps == 0);
  CHECK(t.parameter<"2.runs">()(0) == 0);
}

TEST_CASE("a schedule that throws leaves the training as it was") {
  trainer<net, nn::cross_entropy<>, sgd, volume<4>, labels<4>> t(sgd{.lr = 0.125}), other(sgd{.lr = 0.125});
  t.initialize(3), other.initialize(3);
  bool broken = false;
  const auto quarter = [](std::int64_t) { return 0.25; };
  t.settings.schedule = [&](std::int64_t n) { return broken ? throw std::runtime_error("no rate") : quarter(n); };
  other.settings.schedule = quarter;
  t.step(batch, classes), other.step(batch, classes);
  broken = true;
  CHECK_THROWS_WITH(t.step(batch, classes), "no rate");
  const std::vector<float> wanted(classes.begin(), classes.end());
  const float* const inputs[] = {batch.data(), wanted.data()};
  CHECK_THROWS_WITH(t.step(inputs), "no rate");
  CHECK(t.progress.steps == 1);
  CHECK(t.optimiser.lr == 0.25);
  CHECK(same_bits(t.state_values(), other.state_values()));
  CHECK(same_bits(t.parameter_values(), other.parameter_values()));
  broken = false;
  CHECK(t.step(inputs) == other.step(inputs));
  CHECK(same_bits(t.parameter_values(), other.parameter_values()));

  t.settings.accumulate = 2;  // a run without an update asks for no rate
  broken = true;
  t.step(batch, classes);
  CHECK_THROWS_WITH(t.step(batch, classes), "no rate");
  CHECK(t.progress.waiting == 1);
}

TEST_CASE("accumulated gradients are those of the larger batch") {
  trainer<net, nn::cross_entropy<>, adam, volume<4>, labels<4>> whole(adam{.lr = 1e-2}, {.clip_norm = 0.5});
  trainer<net, nn::cross_entropy<>, adam, volume<2>, labels<2>> parts(adam{.lr = 1e-2}, {.clip_norm = 0.5, .accumulate = 2});
  const auto x = xt::adapt(batch, {4, 1, 2, 2, 2});
  const auto y = xt::adapt(classes, {4});
  for (int k = 0; k < 4; ++k) {
    const float loss = whole.step(x, y);
    const float first = parts.step(xt::view(x, xt::range(0, 2)), xt::view(y, xt::range(0, 2)));
    CHECK(parts.progress.waiting == 1);
    CHECK(parts.progress.steps == k);
    const float second = parts.step(xt::view(x, xt::range(2, 4)), xt::view(y, xt::range(2, 4)));
    CHECK((first + second) / 2 == Approx(loss).epsilon(1e-5));
    CHECK(parts.gradient_norm() == Approx(whole.gradient_norm()).epsilon(1e-5));
    CHECK(parts.progress.steps == k + 1);
  }
  for (std::size_t i = 0; i < whole.parameter_values().size(); ++i)
    CHECK(parts.parameter_values()[i] == Approx(whole.parameter_values()[i]).margin(1e-6));
}

TEST_CASE("a training goes on as if it had never stopped") {
  using type = trainer<net, nn::cross_entropy<nn::label_smoothing<0.1>>, rmsprop, volume<4>, labels<4>>;
  const rmsprop o{.lr = 1e-3, .momentum = 0.5, .centered = true};
  const training_settings s{.schedule = schedule::cosine{1e-2, 10}, .ema_decay = 0.5, .accumulate = 3};
  type whole(o, s);
  for (int k = 0; k < 7; ++k) whole.step(batch, classes);

  std::vector<std::vector<float>> kept;
  for (const auto& b : whole.state_blocks()) kept.push_back(copy(b.values));
  CHECK(kept.size() == 5);
  CHECK(whole.state_blocks()[3].name == "ema");
  CHECK(whole.state_blocks()[4].name == "accumulated");
  const auto table = whole.state_table(whole.state_blocks()[0].values);
  REQUIRE(table.size() == 4);
  CHECK(table[2].path == "4.weight");
  CHECK(table[2].shape == shape<3, 32>);
  CHECK(table[2].data == whole.state_blocks()[0].values.data() + 112 + 16);
  const training_progress progress = whole.progress;
  CHECK((progress.steps == 2 && progress.waiting == 1 && progress.averages));

  type other(o, s);
  copy_parameters(whole, other);
  other.progress = progress;
  other.set_random(whole.random());
  const auto blocks = other.state_blocks();
  for (std::size_t k = 0; k < kept.size(); ++k) std::copy(kept[k].begin(), kept[k].end(), blocks[k].values.begin());
  for (int k = 0; k < 8; ++k) CHECK(whole.step(batch, classes) == other.step(batch, classes));
  CHECK(same_bits(whole.parameter_values(), other.parameter_values()));
  for (std::size_t k = 0; k < kept.size(); ++k) CHECK(same_bits(whole.state_blocks()[k].values, other.state_blocks()[k].values));
}

namespace {

struct generator : nn::sequential<nn::linear<2, 5>, nn::tanh> {};
struct critic : nn::sequential<nn::linear<5, 3>, nn::tanh, nn::linear<3, 1>> {};
constexpr nn::named<"G", generator> make{};
constexpr nn::shared<"D", critic> judge{};
constexpr auto latents = input<"z", 4, 2>;
constexpr auto real = input<"real", 4, 5>;
constexpr auto fake_logits = judge(make(latents));
constexpr auto generator_loss = mean(softplus(-fake_logits));
constexpr auto critic_loss = mean(softplus(judge(stop_gradient(make(latents))))) + mean(softplus(-judge(real))) + r1_penalty(judge(real), real);

/// How far a prediction is outside of two bounds.
struct between {
  static constexpr int targets = 2;
  constexpr auto operator()(expression auto y, expression auto low, expression auto high) const { return mean(relu(low - y) + relu(y - high)); }
};

}  // namespace

TEST_CASE("two trainers of two parts of one program") {
  trainer_of<outputs(generator_loss, fake_logits), sgd, "G"> g(sgd{.lr = 0.1, .weight_decay = 0.5});
  trainer_of<outputs(critic_loss), adam, "D"> d(adam{.lr = 0.02});
  g.initialize(1), d.initialize(1);
  const auto before = copy(g.parameter_values());
  const std::vector<float> z = kernels_test::numbers(1).vector<float>(8), x = kernels_test::numbers(2).vector<float>(20);

  program<outputs(generator_loss, gradient(generator_loss, parameters))> all;
  program<outputs(generator_loss, gradient(generator_loss, parameters_under<"D.2", "G.0.bias">))> some;
  all.initialize(1), some.initialize(1);
  const auto [value, by_all] = all(latents = z);
  const auto [again, by_some] = some(latents = z);
  CHECK(again == value);
  REQUIRE(by_some.size() == 3);
  CHECK((by_some[0].path == "G.0.bias" && by_some[1].path == "D.2.weight"));
  for (const auto& e : by_some)
    for (const auto& f : by_all)
      if (e.path == f.path) CHECK(same_bits({e.data, static_cast<std::size_t>(e.shape.size())}, {f.data, static_cast<std::size_t>(f.shape.size())}));
  CHECK(some.gradient_values().size() == 48);
  CHECK(some.gradient<"D.2.weight">()(0, 2) == all.gradient<"D.2.weight">()(0, 2));
  CHECK(gradient_map(some)[key<"D.2.bias">](0) == all.gradient<"D.2.bias">()(0));

  CHECK(g.step(latents = z) == value);
  CHECK(g.output<1>()(3, 0) == Approx(g.output<1>()(3, 0)));
  std::size_t at = 0;
  for (const auto& p : g.parameter_table()) {
    const std::size_t size = static_cast<std::size_t>(p.shape.size());
    INFO(p.path);
    const bool trained = p.path.starts_with("G");
    CHECK(same_bits({p.data, size}, {before.data() + at, size}) != trained);
    for (std::size_t i = 0; trained && i < size; ++i) {
      const auto& f = *std::find_if(by_all.begin(), by_all.end(), [&](const auto& e) { return e.path == p.path; });
      CHECK(p.data[i] == Approx(before[at + i] - 0.1f * (f.data[i] + 0.5f * before[at + i])));
    }
    at += (size + 15) / 16 * 16;
  }

  copy_parameters(g, d, "G");
  CHECK(d.parameter<"G.0.weight">()(1, 1) == g.parameter<"G.0.weight">()(1, 1));
  const float first = d.step(latents = z, real = x);
  for (int k = 0; k < 200; ++k) d.step(latents = z, real = x);
  CHECK(d.step(latents = z, real = x) < 0.9f * first);
  CHECK(d.parameter<"G.0.weight">()(1, 1) == g.parameter<"G.0.weight">()(1, 1));
  copy_parameters(d, g, "D");
  CHECK(d.parameter<"D.0.weight">()(1, 1) == g.parameter<"D.0.weight">()(1, 1));

  model<decltype(make), latents> m;
  copy_parameters(g, m);
  CHECK(m.parameter<"G.0.bias">()(1) == g.parameter<"G.0.bias">()(1));
  const std::vector<float> kept(g.parameter_values().begin(), g.parameter_values().end());
  for (float& v : m.parameter_values()) v += 1;
  CHECK_THROWS_WITH(copy_parameters(m, g), "parameter 'D.0.weight': not in the program it is to be copied from");
  CHECK(same_bits(g.parameter_values(), kept));  // nor were those copied that are there
  CHECK_THROWS_WITH(copy_parameters(g, m, "E"), "no parameter under 'E'");
}

TEST_CASE("losses with two operands, and a user's own") {
  trainer<nn::linear<5, 3>, nn::cross_entropy<nn::class_weights>, sgd, real, labels<4>, input<"weights", 3>> weighted;
  trainer<nn::linear<5, 1>, between, adam, real, input<"low">, input<"high">> t(adam{.lr = 0.05});
  const std::vector<float> x = kernels_test::numbers(2).vector<float>(20);
  const std::vector<float> only_first{1, 0, 0};
  model<nn::linear<5, 3>, real> m;  // with these weights only the first sample has a part
  const xt::xtensor<float, 2> y = m(x);
  const float expected = std::log(std::exp(y(0, 0)) + std::exp(y(0, 1)) + std::exp(y(0, 2))) - y(0, 0);
  CHECK(weighted.step(x, std::vector<int>{0, 1, 2, 1}, only_first) == Approx(expected));
  for (int k = 0; k < 200; ++k) t.step(x, 0.4, 0.6);
  CHECK(t.step(x, 0.4, 0.6) < 0.02f);
}

TEST_CASE("an update has the same bits for any number of threads") {
  constexpr auto p = parameter<"p", 7, 100001>;
  constexpr auto x = input<"x", 7, 100001>;
  using type = basic_trainer_of<float, adamw, parameter_set<>, decltype(sum(p * x) + sum(square(p)))>;
  const auto run = [&](executor* e) {
    type t(adamw{.lr = 1e-2}, {.clip_norm = 1, .clip_value = 1e-3, .ema_decay = 0.9, .accumulate = 2});
    if (e != nullptr) t.use(*e);
    const auto g = kernels_test::numbers(9).vector<float>(7 * 100001);
    for (int k = 0; k < 6; ++k) t.step(x = g);
    auto all = copy(t.parameter_values());
    for (const auto& b : t.state_blocks()) all.insert(all.end(), b.values.begin(), b.values.end());
    all.push_back(static_cast<float>(t.gradient_norm()));
    return all;
  };
  const auto expected = run(nullptr);
  for (int n : {1, 2, 3, 7}) {
    INFO(n << " threads");
    spinning_pool pool(n);
    CHECK(same_bits(run(&pool), expected));
  }
}
