// What depends on parameters alone is kept between runs, and made again when they change.
#include <volute/volute.hpp>

#include "kernels_support.hpp"

#include <catch2/catch.hpp>

using namespace volute;

namespace {

constexpr auto x = input<"x", 2, 3, 4, 4, 4>;
constexpr auto mod = input<"mod", 2, 3>;
constexpr auto w = parameter<"w", 3, 3, 3, 3, 3>;
constexpr auto y = conv3d(x, demodulate(modulate(w, mod)), same);
using forward = program<outputs(y)>;
static_assert(forward::facts::plan::size.prologue >= 2 && forward::facts::prologue_bytes > 0);  // packed filters, sums of squares

struct data {
  kernels_test::numbers random{7};
  std::vector<float> x = random.vector<float>(2 * 3 * 64), mod = random.vector<float>(6), w = random.vector<float>(3 * 81), other = random.vector<float>(3 * 81);
};
auto of(std::vector<float>& v, std::initializer_list<std::size_t> shape) { return xt::adapt(v, std::vector<std::size_t>(shape)); }

std::vector<float> once(data& d, std::vector<float>& weights) {
  xt::xtensor<float, 5> r = evaluate(y, ::x = of(d.x, {2, 3, 4, 4, 4}), ::mod = of(d.mod, {2, 3}), w = of(weights, {3, 3, 3, 3, 3}));
  return {r.begin(), r.end()};
}
template <class P>
std::vector<float> run(P& p, data& d) {
  auto [r] = p(::x = of(d.x, {2, 3, 4, 4, 4}), ::mod = of(d.mod, {2, 3}));
  return {r.begin(), r.end()};
}

}  // namespace

TEST_CASE("kept values follow the parameters") {
  data d;
  const auto first = once(d, d.w), second = once(d, d.other);
  REQUIRE(first != second);
  forward p;
  const auto set = [&](const std::vector<float>& v) { std::copy(v.begin(), v.end(), p.parameter_table()[0].data); };
  set(d.w);
  CHECK(run(p, d) == first);
  CHECK(run(p, d) == first);
  set(d.other);
  CHECK(run(p, d) == second);
  std::copy(d.w.begin(), d.w.end(), p.parameter_values().begin());
  CHECK(run(p, d) == first);
  p.parameter<"w">() = of(d.other, {3, 3, 3, 3, 3});
  CHECK(run(p, d) == second);

  auto table = p.parameter_table();  // written through later: has to be said
  run(p, d);
  std::copy(d.w.begin(), d.w.end(), table[0].data);
  p.parameters_changed();
  CHECK(run(p, d) == first);

  p.initialize(4);  // `parameter` begins at zero
  CHECK(run(p, d) == std::vector<float>(2 * 3 * 64));
}

TEST_CASE("parameters bound at the call") {
  data d;
  const auto first = once(d, d.w), second = once(d, d.other);
  forward p;
  const auto with = [&](std::vector<float>& v) {
    auto [r] = p(::x = of(d.x, {2, 3, 4, 4, 4}), ::mod = of(d.mod, {2, 3}), w = of(v, {3, 3, 3, 3, 3}));
    return std::vector<float>(r.begin(), r.end());
  };
  CHECK(with(d.w) == first);
  CHECK(with(d.other) == second);
  CHECK(with(d.w) == first);
  CHECK(run(p, d) == first);  // stays bound
}

TEST_CASE("a result that depends on parameters alone") {
  program<outputs(sum(square(w)), w)> p;
  auto values = p.parameter_values();
  std::fill(values.begin(), values.begin() + 243, 2.0f);
  auto [q, same_w] = p();
  CHECK(q == 4 * 243);
  CHECK(same_w(0, 0, 0, 0, 0) == 2);
  p.parameter_values()[0] = 0;
  auto [r, changed] = p();
  CHECK(r == 4 * 242);
  CHECK(changed(0, 0, 0, 0, 0) == 0);
  CHECK(changed(2, 2, 2, 2, 2) == 2);
}

namespace {
/// A linear layer whose weight is kept transposed where few rows meet it, and as it is where many do.
template <std::int64_t Rows, std::int64_t Out = 40>
struct rows_of {
  static constexpr auto rows = input<"rows", Rows, 33>;
  static constexpr auto layer = parameter<"layer", Out, 33>;
  static constexpr auto result = linear(rows, layer);
  using type = program<outputs(result)>;
  static std::vector<float> run(const std::vector<float>& numbers, const std::vector<float>& weights) {
    type p;
    std::copy(weights.begin(), weights.end(), p.parameter_values().begin());
    auto [r] = p(rows = xt::adapt(numbers.data(), std::vector<std::size_t>{static_cast<std::size_t>(Rows), 33}));
    return {r.begin(), r.end()};
  }
};
constexpr std::int64_t bytes_of(std::int64_t out) { return (out * 33 * 4 + 63) / 64 * 64; }
static_assert(rows_of<1>::type::facts::prologue_bytes == bytes_of(40) && rows_of<8>::type::facts::prologue_bytes == bytes_of(40));
static_assert(rows_of<9>::type::facts::prologue_bytes == 0);     // the product turns its panels
static_assert(rows_of<1, 8>::type::facts::prologue_bytes == 0);  // dot products
}  // namespace

TEST_CASE("a row of a linear layer has the same bits whether its weight is kept transposed or not") {
  kernels_test::numbers random{9};
  const auto check = [&]<std::int64_t Out>() {
    const auto numbers = random.vector<float>(17 * 33), weights = random.vector<float>(Out * 33);
    const auto many = rows_of<17, Out>::run(numbers, weights), few = rows_of<8, Out>::run(numbers, weights),
               one = rows_of<1, Out>::run(numbers, weights);
    CHECK(std::equal(few.begin(), few.end(), many.begin()));
    CHECK(std::equal(one.begin(), one.end(), many.begin()));
    double want = 0;
    for (std::size_t k = 0; k < 33; ++k) want += double(numbers[k]) * double(weights[(Out - 1) * 33 + k]);
    CHECK(std::abs(one.back() - want) < 1e-5);
  };
  check.operator()<40>();
  check.operator()<8>();
  check.operator()<3>();
}
