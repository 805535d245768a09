// Modules whose body or row is long: names stay short, nothing recurses along them, and the order of parameters is that of the text.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <cmath>

using namespace volute;
namespace nn = volute::nn;

namespace {

template <int N>
constexpr auto residuals(auto x) {
  if constexpr (N == 0)
    return x;
  else
    return residuals<N - 1>(x + relu(x));
}
template <int N>
struct flat {
  constexpr auto operator()(expression auto x) const { return residuals<N>(x); }
};

template <class T>
constexpr std::size_t length_of_name() {
  return std::string_view(__PRETTY_FUNCTION__).size();
}

template <int I, class V>
constexpr auto scaled(V v) {
  constexpr line name = line("w") << I;
  return v * parameter_node<to_text<name>(), extents{}, initializer{initializer::constant, 1}>{};
}
/// A U of so many levels in one body: what goes down stays in use until it is added on the way up.
template <int Levels, int I = 0>
constexpr auto level(auto x) {
  if constexpr (I == Levels)
    return x;
  else
    return scaled<2 * I + 1>(x + level<Levels, I + 1>(scaled<2 * I>(x)));
}
struct u_shaped {
  constexpr auto operator()(expression auto x) const { return level<40>(x); }
};

template <int... I>
auto row_of(std::integer_sequence<int, I...>) -> nn::sequential<nn::named<"a", nn::linear<1, 1>>, nn::celu<I + 1>...>;

constexpr auto x = input<"x", 2>;

}  // namespace

TEST_CASE("a body of 300 residual additions") {
  static_assert(length_of_name<body_t<flat<300>, make_extents(2)>>() < 3000);
  static_assert(model<flat<300>, x>::facts::graph.size.nodes == 601);
}

TEST_CASE("values and gradients of a long body") {
  constexpr auto y = nn::named<"flat", flat<100>>{}(x);
  auto [value, slope] = evaluate(outputs(y, gradient(sum(y), x)), x = std::vector<double>{1, -1});
  CHECK((value(0) == std::ldexp(1, 100) && value(1) == -1 && slope(0) == std::ldexp(1, 100) && slope(1) == 1));
}

TEST_CASE("parameters are claimed in the order of the text") {
  model<u_shaped, x> m;
  const auto table = m.parameter_table();
  REQUIRE(table.size() == 80);
  for (std::size_t i = 0; i < 40; ++i) CHECK(table[i].path == "w" + std::to_string(2 * i));
  for (std::size_t i = 0; i < 40; ++i) CHECK(table[40 + i].path == "w" + std::to_string(79 - 2 * i));
  const xt::xtensor<float, 1> ones = xt::ones<float>({2});
  const xt::xtensor<float, 1> result = m(ones);
  CHECK(result(1) == 41);
}

TEST_CASE("a row of 150 layers") {
  using row = decltype(row_of(std::make_integer_sequence<int, 150>{}));
  static_assert(model<row, input<"v", 1, 1>>::facts::parameters == 2);
}
