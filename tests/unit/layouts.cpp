// The layout pass: where values lie between convolutions changes no result. What is a result of the program lies NCDHW, so the same
// formulas with their intermediate values as further results are the reference. Data are small integers: every sum is exact.
#include <volute/runtime/report.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

using namespace volute;

namespace {

/// Kernels that read, or write, a blocked tensor.
template <class Program>
constexpr int blocked_kernels(bool source) {
  int n = 0;
  for (int i = 0; i < Program::facts::plan::size.kernels; ++i) {
    const graph::kernel_spec& k = Program::facts::plan::tables.kernels[i];
    n += (source ? k.source : k.target) >= 0;
  }
  return n;
}
template <class Program>
constexpr int blocked_values() {
  int n = 0;
  for (int i = 0; i < Program::facts::plan::size.launches; ++i) {
    const graph::kernel_spec& k = Program::facts::plan::tables.kernels[Program::facts::plan::tables.launches[i].kernel];
    n += graph::convolves(k.kind) && k.target >= 0;
  }
  return n;
}

/// The same small integers in the parameters of every program that has the same ones.
template <class Program>
void fill(Program& p) {
  int i = 5;
  for (double& e : p.parameter_values()) e = (i = (i * 41 + 7) % 103) % 3 - 1;
}
template <std::size_t... Extent>
auto numbers() {
  xt::xtensor<double, sizeof...(Extent)> v({Extent...});
  int i = 3;
  for (double& e : v) e = (i = (i * 37 + 11) % 101) % 5 - 2;
  return v;
}

constexpr auto x = input<"x", 2, 16, 5, 6, 7>;
constexpr auto first = parameter<"first", 32, 16, 3, 3, 3>;
constexpr auto second = parameter<"second", 32, 32, 3, 3, 3>;
constexpr auto third = parameter<"third", 32, 32, 1, 3, 3>;
constexpr auto bias = parameter<"bias", 32>;
constexpr auto a = relu(conv3d(x, first, bias, padding<1>));
constexpr auto b = relu(conv3d(a, second, padding<1>) * per_channel(bias)) + a;
constexpr auto c = conv3d(b, third, padding<0, 1, 1>);

// A chain to be trained: the backward pass reads each value four times. Its rows are wide, so that zeros stand around its planes.
constexpr auto wide = input<"wide", 2, 16, 2, 8, 32>;
constexpr auto u = relu(conv3d(wide, first, bias, padding<1>));
constexpr auto v = relu(conv3d(u, second, parameter<"more", 32>, padding<1>));
constexpr auto seed = input<"seed", 2, 32, 2, 8, 32>;
constexpr auto loss = sum(conv3d(v, third, padding<0, 1, 1>) * seed);

}  // namespace

TEST_CASE("convolutions that follow each other agree on a layout") {
  program<outputs(c), double> p;
  program<outputs(c, a, b), double> plain;
  STATIC_REQUIRE(blocked_values<decltype(p)>() == 2);
  STATIC_REQUIRE(blocked_values<decltype(plain)>() == 0);
  STATIC_REQUIRE(decltype(p)::facts::arena_bytes <= decltype(p)::facts::live_bytes * 105 / 100);
  fill(p), fill(plain);
  const auto data = numbers<2, 16, 5, 6, 7>();
  const xt::xtensor<double, 5> made = std::get<0>(p(x = data));
  const auto [wanted, of_a, of_b] = plain(x = data);
  CHECK(made == wanted);
  CHECK(launches(p).find("blocks of") != std::string::npos);
  CHECK(launches(p).find("; rows: target channels in the lanes, a copy channels last") != std::string::npos);
  spinning_pool pool(3);
  p.use(pool);
  const xt::xtensor<double, 5> shared = std::get<0>(p(x = data));
  CHECK(shared == wanted);
}

TEST_CASE("a training step keeps blocked what the backward pass reads") {
  program<outputs(loss, gradient(loss, parameters)), double> p;
  program<outputs(loss, gradient(loss, parameters), u, v, gradient(loss, u), gradient(loss, v)), double> plain;
  STATIC_REQUIRE(blocked_values<decltype(p)>() >= 3);
  STATIC_REQUIRE(blocked_values<decltype(plain)>() < blocked_values<decltype(p)>());
  fill(p), fill(plain);
  const auto data = numbers<2, 16, 2, 8, 32>();
  const auto g = numbers<2, 32, 2, 8, 32>();
  const auto got = p(wide = data, seed = g);
  const auto wanted = plain(wide = data, seed = g);
  CHECK(std::get<0>(got) == std::get<0>(wanted));
  const auto ours = p.gradient_values(), theirs = plain.gradient_values();
  REQUIRE(ours.size() == theirs.size());
  CHECK(std::equal(ours.begin(), ours.end(), theirs.begin()));
}
