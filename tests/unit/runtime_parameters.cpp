// Paths, initial values and sharing of parameters.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <algorithm>
#include <cmath>
#include <set>
#include <vector>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xview.hpp>

using namespace volute;

namespace {

template <int C>
struct block {
  nn::named<"conv1", nn::conv3d<C, C, nn::kernel<3>, nn::padding<1>>> conv1;
  nn::named<"conv2", nn::conv3d<C, C, nn::kernel<3>, nn::padding<1>, nn::no_bias>> conv2;
  constexpr auto operator()(expression auto v) const { return v + conv2(relu(conv1(v))); }
};
struct stem {
  nn::named<"body", nn::sequential<block<2>, nn::relu, nn::named<"tail", nn::residual<nn::identity, nn::conv3d<2, 2, nn::kernel<1>>>>>> body;
  nn::named<"head", nn::adaptive_conv3d_mod<2>> head;
  constexpr auto operator()(expression auto v, expression auto m) const { return head(body(v), m); }
};
struct tied {
  nn::shared<"core", nn::linear<3, 3>> core;
  constexpr auto operator()(expression auto v) const { return core(tanh(core(v))); }
};
template <bool First>
struct reader {
  nn::shared<"core", nn::linear<3, 3>> core;
  constexpr auto operator()(expression auto v) const {
    if constexpr (First)
      return matmul(v, parameter<"core.weight", 3, 3>) + core(v);
    else
      return core(v) + matmul(v, parameter<"core.weight", 3, 3>);
  }
};
constexpr auto volume = input<"v", 1, 2, 4, 4, 4>;
constexpr auto x = input<"x", 2, 3>;

template <class L>
std::vector<float> initial(std::uint64_t seed) {
  model<L, x> m;
  m.initialize(seed);
  const auto p = m.parameter_table()[0];
  return {p.data, p.data + p.shape.size()};
}

}  // namespace

TEST_CASE("paths are those of PyTorch's state_dict") {
  model<stem, volume, input<"m", 1, 2>> m;
  std::vector<std::string> paths;
  for (const auto& p : m.parameter_table()) paths.emplace_back(p.path);
  CHECK(paths == std::vector<std::string>{"body.0.conv1.weight", "body.0.conv1.bias", "body.0.conv2.weight", "body.tail.1.weight", "body.tail.1.bias", "head.weights"});
}

TEST_CASE("initial values come from seed and path alone") {
  using one = nn::linear<3, 50>;
  const auto first = initial<one>(1);
  CHECK(first == initial<one>(1));
  CHECK(first != initial<one>(2));
  CHECK(first != initial<nn::named<"a", one>>(1));
  CHECK(initial<nn::named<"a", one>>(1) != initial<nn::named<"b", one>>(1));
  CHECK(std::set<float>(first.begin(), first.end()).size() > 140);
  model<one, x> m;  // seed 0
  CHECK(initial<one>(0) == std::vector<float>(m.parameter_values().begin(), m.parameter_values().begin() + 150));
  CHECK(initial<nn::sequential<one, nn::relu>>(1) == initial<nn::sequential<one, nn::tanh, nn::linear<50, 2>>>(1));  // whatever else there is
}

TEST_CASE("uniform initial values") {
  model<nn::conv3d<4, 32, nn::kernel<3>, nn::groups<2>>, input<"v", 1, 4, 3, 3, 3>> m;
  const double bound = 1 / std::sqrt(2 * 27.0);
  double sum = 0, squares = 0, largest = 0;
  const auto p = m.parameter_table()[0];
  for (int i = 0; i < 32 * 54; ++i) sum += p.data[i], squares += p.data[i] * p.data[i], largest = std::fmax(largest, std::abs(p.data[i]));
  CHECK(largest <= bound);
  CHECK(largest > 0.99 * bound);
  CHECK(std::abs(sum / 1728) < 4 * bound / std::sqrt(3.0 * 1728));
  CHECK(squares / 1728 == Approx(bound * bound / 3).epsilon(0.1));
  for (int i = 0; i < 32; ++i) CHECK(std::abs(m.parameter_table()[1].data[i]) <= bound);
}

TEST_CASE("normal initial values") {
  model<nn::adaptive_conv3d_mod<16>, input<"v", 1, 16, 3, 3, 3>> m;
  const double deviation = 0.75 / std::sqrt(16 * 27.0);
  const auto p = m.parameter_table()[0];
  const int n = 16 * 16 * 27;
  double sum = 0, squares = 0, fourth = 0;
  for (int i = 0; i < n; ++i) sum += p.data[i], squares += std::pow(p.data[i] / deviation, 2), fourth += std::pow(p.data[i] / deviation, 4);
  CHECK(std::abs(sum / n) < 4 * deviation / std::sqrt(double(n)));
  CHECK(squares / n == Approx(1).epsilon(0.05));
  CHECK(fourth / n == Approx(2.9).epsilon(0.1));  // of twelve uniform numbers: 3 - 6 / (5 * 12)
}

// Every machine agrees on these.
TEST_CASE("golden initial values") {
  basic_model<double, nn::sequential<nn::linear<3, 2>>, x> m;
  m.initialize(42);
  const double uniform[]{0x1.047f97dbb59b5p-3, 0x1.5a2ed10df526fp-2, -0x1.b201f8279f964p-3, -0x1.10bac163ddf22p-1, 0x1.b0f546ac12bcdp-5, -0x1.145de3f4bae67p-1};
  for (int i = 0; i < 6; ++i) CHECK(m.parameter_table()[0].data[i] == uniform[i]);
  basic_model<double, nn::adaptive_conv3d_mod<2>, volume> a;
  a.initialize(42);
  const double normal[]{-0x1.6128ac5a780bcp-5, 0x1.01338896b6968p-4, -0x1.f9f30a983f43ep-7, -0x1.cea1f6425c4a1p-3};
  for (int i = 0; i < 4; ++i) CHECK(a.parameter_table()[0].data[i] == normal[i]);
}

TEST_CASE("shared layers have one set of parameters") {
  using twice = nn::sequential<nn::shared<"same", nn::linear<3, 3>>, nn::shared<"same", nn::linear<3, 3>>>;
  model<twice, x> sequence;  // both stand under their name: same.weight, same.bias
  CHECK(sequence.parameter_table().size() == 2);

  model<tied, x> m;
  const auto table = m.parameter_table();
  REQUIRE(table.size() == 2);
  CHECK(table[0].path == "core.weight");
  xt::xtensor<float, 2> in{{1, 2, 3}, {4, 5, 6}};
  const xt::xtensor<float, 2> result = m(in);
  const auto core = [&](const std::vector<double>& v) {
    std::vector<double> r(3);
    for (std::size_t o = 0; o < 3; ++o) {
      r[o] = table[1].data[o];
      for (std::size_t i = 0; i < 3; ++i) r[o] += table[0].data[3 * o + i] * v[i];
    }
    return r;
  };
  for (std::size_t n = 0; n < 2; ++n) {
    auto h = core({in(n, 0), in(n, 1), in(n, 2)});
    for (double& v : h) v = std::tanh(v);
    const auto want = core(h);
    for (std::size_t o = 0; o < 3; ++o) CHECK(result(n, o) == Approx(want[o]).epsilon(1e-5));
  }
}

TEST_CASE("a module reads the weights of a shared layer of its own, before the layer or after it") {
  const auto check = [](auto&& m) {
    m.initialize(3);
    const auto table = m.parameter_table();
    REQUIRE(table.size() == 2);
    const auto weight = std::find_if(table.begin(), table.end(), [](const auto& p) { return p.path == "core.weight"; });
    const auto bias = std::find_if(table.begin(), table.end(), [](const auto& p) { return p.path == "core.bias"; });
    CHECK(weight->data[0] != 0);  // the layer's initial values
    const xt::xtensor<float, 2> in{{1, 2, 3}, {4, 5, 6}};
    const xt::xtensor<float, 2> got = m(in);
    for (std::size_t n = 0; n < 2; ++n)
      for (std::size_t o = 0; o < 3; ++o) {
        double want = bias->data[o];
        for (std::size_t i = 0; i < 3; ++i) want += double(in(n, i)) * (weight->data[3 * o + i] + weight->data[3 * i + o]);
        CHECK(got(n, o) == Approx(want).epsilon(1e-5));
      }
  };
  check(model<reader<true>, x>());
  check(model<reader<false>, x>());
}

TEST_CASE("parameters move from a step to a model") {
  struct net : nn::sequential<nn::linear<3, 3>, nn::relu, nn::linear<3, 1>> {};
  constexpr auto loss = mean(square(net{}(x)));
  program<outputs(loss, gradient(loss, parameters)), double> step;
  step.initialize(9);
  model<net, x> m;
  m.copy_parameters(step);
  for (std::size_t i = 0; i < 4; ++i)
    for (int k = 0; k < step.parameter_table()[i].shape.size(); ++k) CHECK(m.parameter_table()[i].data[k] == float(step.parameter_table()[i].data[k]));
  struct other : nn::sequential<nn::identity, nn::linear<3, 3>, nn::relu, nn::linear<3, 1>> {};
  model<other, x> stranger;
  CHECK_THROWS_AS(m.copy_parameters(stranger), shape_error);
}

TEST_CASE("a value that is bound to a parameter is what it was before the run") {
  constexpr auto rows = input<"rows", 3, 4>;
  constexpr auto a = parameter<"a", 4, 4>;
  constexpr auto b = parameter<"b", 4, 4>;
  constexpr auto scale = parameter<"scale">;
  program<outputs(scale * matmul(rows, a), sum(b))> p;
  const auto number_them = [&] {
    for (int i = 0; i < 16; ++i) p.parameter<"a">().data()[i] = float(i), p.parameter<"b">().data()[i] = float(100 + i);
    p.parameter<"scale">()() = 1;
  };
  const auto is = [&](auto view, auto value) {
    for (int i = 0; i < 4; ++i)
      for (int k = 0; k < 4; ++k) CHECK(view(i, k) == value(i, k));
  };
  const xt::xtensor<float, 2> some = xt::ones<float>({3, 4}), eye = xt::eye<float>(4);
  const auto of_a = [](int i, int k) { return float(4 * i + k); };
  number_them();
  SECTION("made of itself") {
    p(rows = some, a = xt::transpose(p.parameter<"a">()));
    is(p.parameter<"a">(), [&](int i, int k) { return of_a(k, i); });
    p(rows = some, a = p.parameter<"a">());
    is(p.parameter<"a">(), [&](int i, int k) { return of_a(k, i); });
  }
  SECTION("two that change places") {
    p(rows = some, a = p.parameter<"b">(), b = p.parameter<"a">());
    is(p.parameter<"a">(), [&](int i, int k) { return 100 + of_a(i, k); });
    is(p.parameter<"b">(), of_a);
  }
  SECTION("an input that lies in a parameter") {
    const auto [y, total] = p(rows = xt::view(p.parameter<"a">(), xt::range(0, 3)), a = eye, scale = 2);
    for (int i = 0; i < 3; ++i)
      for (int k = 0; k < 4; ++k) CHECK(y(i, k) == 2 * of_a(i, k));
    CHECK(total == 16 * 100 + 120);
  }
  SECTION("what does not fit changes none of them") {
    CHECK_THROWS_AS(p(rows = xt::xtensor<float, 2>(xt::ones<float>({4, 3})), a = eye), shape_error);
    CHECK_THROWS_AS(p(rows = some, a = eye, b = some), shape_error);
    CHECK_THROWS_AS(p(rows = some, scale = 3, a = std::vector<float>(15)), shape_error);
    is(p.parameter<"a">(), of_a);
    CHECK(p.parameter<"scale">()() == 1);
  }
}
TEST_CASE("an evaluation of long double is one in double") {
  const double total = evaluate(sum(input<"v", 12>), input<"v", 12> = std::vector<long double>(12, 0.1L));
  CHECK(std::abs(total - 1.2) < 1e-14);
}
