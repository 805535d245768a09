// nn::checkpoint: less memory, the same bits.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <xtensor/xtensor.hpp>

using namespace volute;

namespace {

/// Drops elements and counts its runs: what a second computation must not do differently, or again.
struct noisy : nn::layer<noisy> {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr auto runs = nn::detail::kept<"runs", make_extents(1), initializer{}>;
    return updating(select(noise_node<text("keep"), 0, X::shape()>{} < 0.8_c, x, 0_c) * 1.25_c, runs, runs + 1_c);
  }
};
struct block : nn::residual<nn::conv3d<4, 4, nn::kernel<3>, nn::padding<1>>, nn::silu, noisy, nn::conv3d<4, 4, nn::kernel<1>>, nn::tanh> {};
using first = nn::conv3d<1, 4, nn::kernel<3>, nn::padding<1>>;
struct plain : nn::sequential<first, block, block, block, block> {};
struct lean : nn::sequential<first, nn::checkpoint<block>, nn::checkpoint<block>, nn::checkpoint<block>, nn::checkpoint<block>> {};
struct paired : nn::sequential<first, nn::checkpoint<block, block>, nn::checkpoint<block, block>> {};

constexpr auto x = input<"x", 1, 1, 9, 10, 11>;
template <class Net>
constexpr auto loss = mean(square(Net{}(x)));
template <class Net>
using step = program<outputs(loss<Net>, gradient(loss<Net>, x), gradient(loss<Net>, parameters))>;

xt::xtensor<float, 5> volume() {
  xt::xtensor<float, 5> v = xt::zeros<float>({1, 1, 9, 10, 11});
  for (std::size_t i = 0; i < v.size(); ++i) v.data()[i] = static_cast<float>(i * 7 % 23) * 0.1f - 1;
  return v;
}

}  // namespace

TEST_CASE("a checkpoint computes again what it does not keep, to the same bits", "[checkpoint]") {
  step<plain> p;
  step<lean> q;
  STATIC_REQUIRE(decltype(q)::facts::arena_bytes < 85 * decltype(p)::facts::arena_bytes / 100);
  STATIC_REQUIRE(decltype(q)::facts::flops > 1.2 * decltype(p)::facts::flops);
  for (std::size_t i = 0; i < p.parameter_table().size(); ++i) CHECK(p.parameter_table()[i].path == q.parameter_table()[i].path);
  for (int run = 0; run < 2; ++run) {
    auto [a, ga, wa] = p(x = volume());
    auto [b, gb, wb] = q(x = volume());
    CHECK(a == b);
    CHECK(std::equal(ga.begin(), ga.end(), gb.begin()));
    CHECK(std::equal(p.gradient_values().begin(), p.gradient_values().end(), q.gradient_values().begin()));
    CHECK(q.parameter<"2.2.runs">()(0) == static_cast<float>(run + 1));  // the second computation moves no state
  }
}

TEST_CASE("several layers under one checkpoint are numbered as in a sequential", "[checkpoint]") {
  step<paired> q;
  CHECK(q.parameter_table()[2].path == "1.0.0.weight");
  CHECK(q.parameter_table()[6].path == "1.1.0.weight");
  step<plain> p;
  std::copy(p.parameter_values().begin(), p.parameter_values().end(), q.parameter_values().begin());
  auto [b, gb, wb] = q(x = volume());
  CHECK(std::isfinite(b));
  STATIC_REQUIRE(decltype(q)::facts::arena_bytes < decltype(p)::facts::arena_bytes);
}

TEST_CASE("second derivatives through a checkpoint", "[checkpoint]") {
  struct smooth : nn::sequential<first, nn::tanh, nn::conv3d<4, 2, nn::kernel<3>>, nn::sigmoid> {};
  constexpr auto penalty = []<class Net>(Net net) { return sum(square(gradient(sum(net(x)), x))); };
  constexpr auto a = penalty(smooth{});
  constexpr auto b = penalty(nn::checkpoint<smooth>{});
  program<outputs(a, gradient(a, parameters)), double> p;
  program<outputs(b, gradient(b, parameters)), double> q;
  auto [va, ga] = p(x = volume());
  auto [vb, gb] = q(x = volume());
  CHECK(va == vb);
  REQUIRE(p.gradient_values().size() == q.gradient_values().size());
  CHECK(std::equal(p.gradient_values().begin(), p.gradient_values().end(), q.gradient_values().begin()));
}
