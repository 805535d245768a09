// What a synchronised batch norm computes: a training of one batch, spread over runs; its derivatives by differences; alone an ordinary
// one.
#include <volute/distributed/data_parallel.hpp>
#include <volute/distributed/in_process.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <cmath>

using namespace volute;

namespace {

struct net : nn::sequential<nn::conv3d<2, 3, nn::kernel<3>, nn::same>, nn::batch_norm3d<3>, nn::tanh, nn::conv3d<3, 2, nn::kernel<2>>,
                            nn::batch_norm3d<2, nn::affine<false>>, nn::tanh> {};
using synchronised = nn::convert_sync_batchnorm<net>;
template <class Net, std::int64_t N>
using learner = basic_trainer<double, Net, nn::mse, sgd, input<"x", N, 2, 3, 3, 4>, input<"y", N, 2, 2, 2, 3>>;

double number(std::int64_t sample, std::size_t k, double phase) {
  return std::sin(phase * static_cast<double>(k) + static_cast<double>(sample)) * (1 + 0.3 * static_cast<double>(sample));
}
template <std::size_t N>
xt::xtensor<double, 5> samples(std::int64_t first, std::array<std::size_t, 4> shape, double phase) {
  xt::xtensor<double, 5> x({N, shape[0], shape[1], shape[2], shape[3]});
  const std::size_t each = x.size() / N;
  for (std::size_t k = 0; k < x.size(); ++k) x.data()[k] = number(first + static_cast<std::int64_t>(k / each), k % each, phase);
  return x;
}
template <std::size_t N, class Run>
void bind(std::int64_t first, Run run) {
  run(samples<N>(first, {2, 3, 3, 4}, 1.3), samples<N>(first, {2, 2, 2, 3}, 0.7));
}
template <class Trainer>
Trainer begin() {
  Trainer t(sgd{.lr = 0.5});
  t.initialize(3);
  for (auto& p : t.parameter_table())  // scales and shifts that matter
    for (std::int64_t k = 0; k < p.shape.size(); ++k) p.data[k] += 0.1 * std::cos(static_cast<double>(k));
  return t;
}
template <class Trainer>
std::vector<double> values(Trainer& t) {
  std::vector<double> all;
  for (const auto& p : t.parameter_table()) all.insert(all.end(), p.data, p.data + p.shape.size());
  return all;
}
double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t k = 0; k < a.size(); ++k) most = std::max(most, std::abs(a[k] - b[k]));
  return most;
}
template <class Step>
double take(Step& step) {
  return step.step([](std::int64_t i, auto run) { bind<1>(i, run); });
}

}  // namespace

TEST_CASE("runs whose batch norms are synchronised make the step of one batch") {
  using one = learner<synchronised, 1>;
  using all = learner<net, 6>;
  all batch = begin<all>();
  std::vector<double> expected;
  for (int s = 0; s < 3; ++s) bind<6>(0, [&](const auto&... v) { expected.push_back(batch.step(v...)); });
  const std::vector<double> end = values(batch);
  for (int ranks : {1, 2, 4})
    distributed::in_process::run(ranks, [&](auto& world) {
      one t = begin<one>();
      distributed::data_parallel step(t, world, {.runs = 6});
      // The number of runs once, and for each norm mean and variance, forward and backward.
      static_assert(step.meetings.count == 1 + 2 * 4);
      double most = 0;
      for (double loss : expected) most = std::max(most, std::abs(take(step) - loss));
      if (world.rank() != 0) return;
      CHECK(most < 1e-14);
      CHECK(largest_difference(values(t), end) < 1e-13);  // running statistics are among them
    });
  // Not synchronised, it is another training.
  learner<net, 1> apart = begin<learner<net, 1>>();
  distributed::alone world;
  distributed::data_parallel step(apart, world, {.runs = 6});
  CHECK(std::abs(take(step) - expected[0]) > 1e-3);
}

TEST_CASE("the gradients through all runs' statistics, by differences") {
  using one = learner<synchronised, 1>;
  distributed::alone world;
  one t = begin<one>();
  t.optimiser.lr = 1;
  const std::vector<double> before = values(t);
  {
    distributed::data_parallel step(t, world, {.runs = 3});
    take(step);
  }
  const std::vector<double> after = values(t);
  one at = begin<one>();
  at.optimiser.lr = 0;
  distributed::data_parallel step(at, world, {.runs = 3});
  std::size_t k = 0;
  for (auto& p : at.parameter_table())
    for (std::int64_t i = 0; i < p.shape.size(); ++i, ++k) {
      if (!p.learned) continue;
      const double h = 1e-5, x = p.data[i];
      p.data[i] = x + h;
      const double up = take(step);
      p.data[i] = x - h;
      const double down = take(step);
      p.data[i] = x;
      INFO(p.path << " " << i);
      CHECK(before[k] - after[k] == Approx((up - down) / (2 * h)).margin(1e-9).epsilon(1e-6));
    }
  CHECK(k > 100);
}

TEST_CASE("a checkpointed module says nothing twice") {
  using kept = learner<nn::convert_sync_batchnorm<nn::checkpoint<net>>, 1>;
  static_assert(distributed::meetings_of<kept::facts::plan>.count == 1 + 2 * 4);
  distributed::alone world;
  kept a = begin<kept>();
  learner<synchronised, 1> b = begin<learner<synchronised, 1>>();
  distributed::data_parallel step_a(a, world, {.runs = 3});
  distributed::data_parallel step_b(b, world, {.runs = 3});
  for (int s = 0; s < 2; ++s) CHECK(take(step_a) == take(step_b));
  CHECK(values(a) == values(b));
}

TEST_CASE("a run by itself is an ordinary one") {
  learner<synchronised, 2> a = begin<learner<synchronised, 2>>();
  learner<net, 2> b = begin<learner<net, 2>>();
  for (int s = 0; s < 3; ++s) bind<2>(s, [&](const auto&... v) { CHECK(a.step(v...) == Approx(b.step(v...)).epsilon(1e-14)); });
  CHECK(largest_difference(values(a), values(b)) < 1e-15);
  // And in inference there is nothing to wait for.
  using inference = model<synchronised, input<"x", 1, 2, 3, 3, 4>>::facts::plan;
  static_assert(distributed::meetings_of<inference>.count == 0);
}
