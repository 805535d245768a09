// minimal_filtering() as a mode of the language: what it holds for and what it leaves alone, its derivatives, training, threads, weights.
#include <volute/runtime/report.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <string>

using namespace volute;

namespace {

template <std::size_t... Extent>
auto random(unsigned state) {
  xt::xtensor<float, sizeof...(Extent)> v({Extent...});
  for (float& e : v) {
    state = state * 1664525u + 1013904223u;
    e = static_cast<float>(state >> 8) / 16777216.0f - 0.5f;
  }
  return v;
}
/// The largest difference, in units of the largest value.
template <class A, class B>
double difference(const A& a, const B& b) {
  double worst = 0, largest = 0;
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    if (!(d <= worst)) worst = d;
    largest = std::max(largest, std::fabs(static_cast<double>(b.data()[i])));
  }
  return worst / largest;
}
template <class Program>
void fill(Program& p) {
  unsigned state = 5;
  for (float& e : p.parameter_values()) state = state * 1664525u + 1013904223u, e = static_cast<float>(state >> 8) / 1e8f - 0.08f;
}

constexpr auto x = input<"x", 1, 16, 16, 16, 16>;
constexpr auto first = parameter<"first", 32, 16, 3, 3, 3>;
constexpr auto second = parameter<"second", 16, 32, 3, 3, 3>;
constexpr auto bias = parameter<"bias", 32>;
constexpr auto y = conv3d(relu(conv3d(x, first, bias, padding<1>)), second, padding<1>) + x;
constexpr auto loss = mean(square(y));

}  // namespace

TEST_CASE("minimal filtering holds for what it is asked for, and for its derivatives") {
  constexpr auto asked = minimal_filtering(loss);
  using direct = program<outputs(loss, gradient(loss, x), gradient(loss, first), gradient(loss, second), gradient(loss, bias))>;
  using minimal = program<outputs(asked, gradient(asked, x), gradient(asked, first), gradient(asked, second), gradient(asked, bias))>;
  STATIC_REQUIRE(direct::facts::minimal_launches == 0);
  STATIC_REQUIRE(minimal::facts::minimal_launches == 6);
  direct a;
  minimal b;
  fill(a), fill(b);
  const auto v = random<1, 16, 16, 16, 16>(1);
  const auto [value, dx, dfirst, dsecond, dbias] = a(x = v);
  const auto [value_m, dx_m, dfirst_m, dsecond_m, dbias_m] = b(x = v);
  CHECK(value_m == Approx(value).epsilon(1e-5));
  CHECK(difference(dx_m, dx) < 1e-5);
  CHECK(difference(dfirst_m, dfirst) < 1e-5);
  CHECK(difference(dsecond_m, dsecond) < 1e-5);
  CHECK(difference(dbias_m, dbias) < 1e-5);
  CHECK(launches(b).find("minimal filtering of 2x4x4 tiles") != std::string::npos);
  CHECK(launches(a).find("minimal") == std::string::npos);
  CHECK(summary(b).find("minimal filtering in 6 convolutions") != std::string::npos);
}

TEST_CASE("second derivatives are filtered too") {
  constexpr auto penalty = [](auto l) { return sum(square(gradient(l, x))); };
  constexpr auto plain = gradient(penalty(loss), second);
  constexpr auto asked = gradient(penalty(minimal_filtering(loss)), second);
  program<outputs(plain)> a;
  program<outputs(asked)> b;
  STATIC_REQUIRE(decltype(b)::facts::minimal_launches > 4);
  fill(a), fill(b);
  const auto v = random<1, 16, 16, 16, 16>(2);
  const auto [filtered] = b(x = v);
  const auto [right] = a(x = v);
  CHECK(difference(filtered, right) < 2e-5);
}

TEST_CASE("an expression is in one mode and outside it two") {
  using both = program<outputs(y, minimal_filtering(y), direct_filtering(y), minimal_filtering(direct_filtering(y)))>;
  STATIC_REQUIRE(both::facts::minimal_launches == 2);
  both p;
  fill(p);
  const auto [plain, minimal, direct, inner] = p(x = random<1, 16, 16, 16, 16>(3));
  CHECK(difference(minimal, plain) < 5e-6);
  CHECK(difference(minimal, plain) > 0);
  CHECK(difference(direct, plain) == 0);
  CHECK(difference(inner, plain) == 0);
  CHECK(minimal_filtering(y).shape() == y.shape());
}

TEST_CASE("where minimal filtering is not possible or does not pay, convolutions stay direct") {
  using doubles = program<outputs(minimal_filtering(y)), double>;
  STATIC_REQUIRE(doubles::facts::minimal_launches == 0);
  CHECK(launches(doubles{}).find("minimal filtering is not possible") != std::string::npos);
  constexpr auto few = minimal_filtering(conv3d(input<"a", 1, 1, 8, 8, 8>, parameter<"w", 4, 1, 3, 3, 3>, padding<1>));
  using small = program<outputs(few)>;
  STATIC_REQUIRE(small::facts::minimal_launches == 0);
  CHECK(launches(small{}).find("minimal filtering does not pay") != std::string::npos);
  constexpr auto strided = minimal_filtering(conv3d(x, first, stride<2>));
  STATIC_REQUIRE(program<outputs(strided)>::facts::minimal_launches == 0);
}

namespace {
using net = nn::sequential<nn::conv3d<16, 32, nn::kernel<3>, nn::padding<1>>, nn::instance_norm3d<32>, nn::relu,
                           nn::conv3d<32, 16, nn::kernel<3>, nn::padding<1>>>;
constexpr auto target = input<"target", 1, 16, 16, 16, 16>;
}  // namespace

TEST_CASE("a filtered layer has the parameters of the layer, and the same weights serve both") {
  model<net, x> a;
  model<nn::minimal_filtering<net>, x> b;
  STATIC_REQUIRE(decltype(b)::facts::minimal_launches == 2);
  const auto mine = a.parameter_table(), theirs = b.parameter_table();
  REQUIRE(mine.size() == theirs.size());
  for (std::size_t i = 0; i < mine.size(); ++i) CHECK(std::string(mine[i].path) == std::string(theirs[i].path));
  a.initialize(3);
  const auto v = random<1, 16, 16, 16, 16>(4);
  b.copy_parameters(a);
  const xt::xtensor<float, 5> of_a = a(v), of_b = b(v);
  CHECK(difference(of_b, of_a) < 5e-6);
}

TEST_CASE("a filtered training follows the direct one, and has the same bits on two threads") {
  const auto v = random<1, 16, 16, 16, 16>(5), t = random<1, 16, 16, 16, 16>(6);
  const auto train = [&](auto trained, executor* e) {
    if (e != nullptr) trained.use(*e);
    float last = 0;
    for (int i = 0; i < 20; ++i) last = trained.step(v, t);
    return last;
  };
  using direct = trainer<net, nn::mse, adam, x, target>;
  using minimal = trainer<nn::minimal_filtering<net>, nn::mse, adam, x, target>;
  STATIC_REQUIRE(minimal::facts::minimal_launches == 5);
  const adam settings{.lr = 1e-3};
  const float plain = train(direct(settings), nullptr), filtered = train(minimal(settings), nullptr);
  CHECK(filtered == Approx(plain).epsilon(1e-4));
  spinning_pool pool(2);
  CHECK(train(minimal(settings), &pool) == filtered);
}
