// The layout pass: where values lie between convolutions changes no result. What is a result of the program lies NCDHW, so the same
// formulas with their intermediate values as further results are the reference. Data are small integers: every sum is exact.
#include "layouts_support.hpp"

#include <volute/runtime/report.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>

using namespace volute;
using namespace layouts;

namespace {

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
constexpr auto third = parameter<"third", 32, 32, 1, 3, 3>;
constexpr auto bias = parameter<"bias", 32>;

/// The first two's kernels have `Depth` planes. Where they have one, every instruction set's families write and read blocks.
template <std::int64_t Depth>
struct chain {
  static constexpr auto first = parameter<"first", 32, 16, Depth, 3, 3>;
  static constexpr auto second = parameter<"second", 32, 32, Depth, 3, 3>;
  static constexpr auto a = relu(conv3d(x, first, bias, padding<Depth / 2, 1, 1>));
  static constexpr auto b = relu(conv3d(a, second, padding<Depth / 2, 1, 1>) * per_channel(bias)) + a;
  static constexpr auto c = conv3d(b, third, padding<0, 1, 1>);
};

/// A chain to be trained: the backward pass reads each value four times. Its rows are wide, so that zeros stand around its planes. With a
/// stride of two, every instruction set's families write what lies between the first two in blocks, and read it.
template <std::int64_t Stride>
struct trained {
  static constexpr std::int64_t depth = 2 / Stride, rows = 8 / Stride, columns = 32 / Stride;
  static constexpr auto wide = input<"wide", 2, 16, 2 * Stride, 8 * Stride, 32 * Stride>;
  static constexpr auto u = relu(conv3d(wide, parameter<"first", 32, 16, 3, 3, 3>, bias, stride<Stride>, padding<1>));
  static constexpr auto v = relu(conv3d(u, parameter<"second", 32, 32, 3, 3, 3>, parameter<"more", 32>, stride<Stride>, padding<1>));
  static constexpr auto seed = input<"seed", 2, 32, depth, rows, columns>;
  static constexpr auto loss = sum(conv3d(v, third, padding<0, 1, 1>) * seed);
};

}  // namespace

TEMPLATE_TEST_CASE_SIG("convolutions that follow each other agree on a layout", "", ((std::int64_t Depth), Depth), 1, 3) {
  using of = chain<Depth>;
  program<outputs(of::c), double> p;
  program<outputs(of::c, of::a, of::b), double> plain;
  constexpr int wanted_blocks = wishes<decltype(p)>();
  STATIC_REQUIRE((Depth == 3 || wanted_blocks == 2));
  STATIC_REQUIRE(blocked_values<decltype(p)>() == (wanted_blocks == 2 ? 2 : 0));  // one is added to the other: they lie alike
  STATIC_REQUIRE(blocked_values<decltype(plain)>() == 0);
  STATIC_REQUIRE(decltype(p)::facts::arena_bytes <= decltype(p)::facts::live_bytes * 105 / 100);
  fill(p), fill(plain);
  const auto data = numbers<2, 16, 5, 6, 7>();
  const xt::xtensor<double, 5> made = std::get<0>(p(x = data));
  const auto [wanted, of_a, of_b] = plain(x = data);
  CHECK(made == wanted);
  CHECK((launches(p).find("blocks of") != std::string::npos) == (wanted_blocks == 2));
  CHECK(launches(p).find("; rows: target channels in the lanes, a copy channels last") != std::string::npos);
  spinning_pool pool(3);
  p.use(pool);
  const xt::xtensor<double, 5> shared = std::get<0>(p(x = data));
  CHECK(shared == wanted);
}

TEMPLATE_TEST_CASE_SIG("a training step keeps blocked what the backward pass reads", "", ((std::int64_t Stride), Stride), 1, 2) {
  using of = trained<Stride>;
  program<outputs(of::loss, gradient(of::loss, parameters)), double> p;
  program<outputs(of::loss, gradient(of::loss, parameters), of::u, of::v, gradient(of::loss, of::u), gradient(of::loss, of::v)), double>
      plain;
  constexpr int wanted_blocks = wishes<decltype(p)>(), blocked = blocked_values<decltype(p)>();
  STATIC_REQUIRE((Stride == 1 || wanted_blocks >= 2));
  STATIC_REQUIRE((wanted_blocks == 0 ? blocked == 0 : blocked >= std::min(wanted_blocks, Stride == 1 ? 3 : 2)));
  STATIC_REQUIRE(blocked_values<decltype(plain)>() == 0);
  fill(p), fill(plain);
  const auto data = numbers<2, 16, 2 * Stride, 8 * Stride, 32 * Stride>();
  const auto g = numbers<2, 32, of::depth, of::rows, of::columns>();
  const auto got = p(of::wide = data, of::seed = g);
  const auto wanted = plain(of::wide = data, of::seed = g);
  CHECK(std::get<0>(got) == std::get<0>(wanted));
  const auto ours = p.gradient_values(), theirs = plain.gradient_values();
  REQUIRE(ours.size() == theirs.size());
  CHECK(std::equal(ours.begin(), ours.end(), theirs.begin()));
}
