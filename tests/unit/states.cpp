// States, modes and random numbers: what a program keeps and makes besides its results.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <xtensor/xtensor.hpp>

using namespace volute;

namespace {

/// Centres by the batch's mean in training and keeps a moving mean, which it uses otherwise.
struct centre : nn::layer<centre> {
  static constexpr auto forward(expression auto x) {
    constexpr auto moving = nn::detail::kept<"moving", make_extents(2), initializer{initializer::constant, 1}>;
    constexpr auto gain = nn::detail::learned<"gain", make_extents(2), initializer{initializer::constant, 3}>;
    const auto m = mean(x, axes<0>);
    return by_mode(updating((x - m) * gain, moving, moving * 0.5_c + m * 0.5_c), (x - moving) * gain);
  }
};
struct twice : nn::sequential<centre, centre> {};

constexpr auto x = input<"x", 2, 2>;
xt::xtensor<double, 2> values() { return {{1.0, 2.0}, {3.0, 8.0}}; }

/// A shared layer that counts its uses.
struct counts : nn::layer<counts> {
  static constexpr auto forward(expression auto a) {
    constexpr auto n = nn::detail::kept<"n", make_extents(1), initializer{}>;
    return updating(a, n, n + 1_c);
  }
};
constexpr nn::shared<"both", counts> both;

}  // namespace

TEST_CASE("a layer in training mode moves its state once a run; in inference it reads it", "[states]") {
  program<outputs(sum(training(twice{}(x))), gradient(sum(training(twice{}(x))), parameters)), double> step;
  using facts = decltype(step)::facts;
  STATIC_REQUIRE(facts::parameters == 4);
  STATIC_REQUIRE(facts::states == 4);
  STATIC_REQUIRE(facts::learned == 2);
  const auto table = step.parameter_table();
  REQUIRE(table.size() == 4);
  CHECK(table[0].path == "0.gain");
  CHECK(table[1].path == "1.gain");
  CHECK(table[2].path == "0.moving");
  CHECK(table[3].path == "1.moving");
  CHECK(table[1].learned);
  CHECK(!table[2].learned);
  CHECK(step.gradient_table().size() == 2);
  CHECK(step.parameter_values().size() == step.gradient_values().size());

  step(x = values());
  CHECK(table[2].data[0] == 0.5 * 1 + 0.5 * 2);
  CHECK(table[2].data[1] == 0.5 * 1 + 0.5 * 5);
  CHECK(std::abs(table[3].data[0] - 0.5) < 1e-15);  // the first layer's result has mean 0
  step(x = values());
  CHECK(table[2].data[0] == 0.5 * 1.5 + 0.5 * 2);

  basic_model<double, twice, x> m;
  m.copy_parameters(step);
  xt::xtensor<double, 2> y = m(values());
  const double first = (1 - 1.75) * 3, second = (first - 0.25) * 3;
  CHECK(std::abs(y(0, 0) - second) < 1e-14);
  y = m(values());  // inference changes nothing
  CHECK(std::abs(y(0, 0) - second) < 1e-14);
}

TEST_CASE("inference inside training, and a gradient by an intermediate value, leave states alone", "[states]") {
  program<outputs(sum(training(inference(centre{}(x)))))> calm;
  calm(x = values());
  CHECK(calm.parameter_table()[1].data[0] == 1);

  constexpr auto inner = relu(x);
  constexpr auto y = sum(training(centre{}(inner)) * x);
  program<outputs(y, gradient(y, inner)), double> p;
  auto [value, g] = p(x = values());
  CHECK(p.parameter_table()[1].data[0] == 1.5);  // moved once
  // y = 3 sum (inner - mean) x: the derivative by inner is 3 (x - mean of x)
  CHECK(std::abs(g(0, 1) - 3 * (2 - 5)) < 1e-14);
}

TEST_CASE("several updates of a state follow each other", "[states]") {
  program<outputs(both(x) + both(x * 2_c))> p;
  p(x = values());
  CHECK(p.parameter<"both.n">()(0) == 2);
  p.parameter<"both.n">()(0) = 10;
  p(x = values());
  CHECK(p.parameter<"both.n">()(0) == 12);
}

TEST_CASE("a program that changes a state reads it anew in each run", "[states]") {
  constexpr auto memory = state<"memory", 2, 2>;
  program<outputs(updating(square(memory), memory, memory + x)), double> p;
  for (int run = 0; run < 4; ++run) {
    auto [y] = p(x = values());
    CHECK(y(1, 1) == std::pow(8.0 * run, 2));
  }
  p(x = values(), memory = xt::xtensor<double, 2>{{0.0, 0.0}, {0.0, 1.0}});
  CHECK(p.state_values()[3] == 9);
}

TEST_CASE("random numbers: new in each run, repeatable by seed and state, the same for any number of threads", "[random]") {
  constexpr std::int64_t n = 200'003;
  program<outputs(uniform_noise<"u", n>, normal_noise<"n", n>, uniform_noise<"u", n>, uniform_noise<"other", n>)> p;
  p.seed(7);
  auto [u, g, again, other] = p();
  double m = 0, v = 0, mg = 0, vg = 0, cross = 0;
  float least = 1, most = 0;
  int equal_neighbours = 0;
  for (std::size_t i = 0; i < n; ++i) {
    m += u(i), v += u(i) * u(i), mg += g(i), vg += g(i) * g(i), cross += (u(i) - 0.5) * (other(i) - 0.5);
    least = std::min(least, u(i)), most = std::max(most, u(i));
    equal_neighbours += i > 0 && u(i) == u(i - 1);
    if (u(i) != again(i)) FAIL("the same expression is the same tensor");
  }
  CHECK(std::abs(m / n - 0.5) < 4 * 0.289 / std::sqrt(n));
  CHECK(std::abs(v / n - 1.0 / 3) < 4 * 0.298 / std::sqrt(n));
  CHECK(std::abs(mg / n) < 4 / std::sqrt(n));
  CHECK(std::abs(vg / n - 1) < 4 * 1.42 / std::sqrt(n));
  CHECK(std::abs(cross / n) < 4 / 12.0 / std::sqrt(n));
  CHECK(least >= 0);
  CHECK(most < 1);
  CHECK(equal_neighbours < 5);

  const std::vector<float> first(u.begin(), u.end());
  const random_state second_run = p.random();
  CHECK(second_run == random_state{7, 1});
  p();
  const std::vector<float> second(u.begin(), u.end());
  CHECK(first != second);
  p.seed(8);
  p();
  CHECK(!std::equal(u.begin(), u.end(), first.begin()));

  spinning_pool three(3);
  p.use(three);
  p.set_random(second_run);
  p();
  CHECK(std::equal(u.begin(), u.end(), second.begin()));
  p.seed(7);
  p();
  CHECK(std::equal(u.begin(), u.end(), first.begin()));
}

TEST_CASE("random numbers in double have 52 bits", "[random]") {
  program<outputs(uniform_noise<"u", 1001>), double> p;
  auto [u] = p();
  double m = 0;
  int fine = 0;
  for (double e : u) {
    m += e;
    fine += e * 0x1p26 != std::floor(e * 0x1p26);
    REQUIRE((e >= 0 && e < 1));
  }
  CHECK(std::abs(m / 1001 - 0.5) < 4 * 0.289 / std::sqrt(1001));
  CHECK(fine > 990);
}
