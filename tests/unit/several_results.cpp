// Modules that take and return several tensors.
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

using namespace volute;
namespace nn = volute::nn;

namespace {

constexpr auto x = input<"x", 1, 2, 4, 4, 4>;
const xt::xtensor<float, 5> numbers = [] {
  xt::xtensor<float, 5> v({1, 2, 4, 4, 4});
  for (std::size_t i = 0; i < v.size(); ++i) v.data()[i] = float(i % 7) - 3;
  return v;
}();

/// Returns its skip and what goes down.
template <int In, int Out>
struct down : nn::layer<down<In, Out>> {
  nn::named<"conv", nn::conv3d<In, Out, nn::kernel<3>, nn::same>> conv;
  constexpr auto operator()(expression auto v) const {
    const auto y = relu(conv(v));
    return std::tuple{y, max_pool3d(y, kernel<2>)};
  }
};
/// Takes both as a tuple.
struct up {
  constexpr auto operator()(auto skip_and_low) const {
    const auto [skip, low] = skip_and_low;
    return concat(axis<1>, skip, upsample(low, scale_factor<2>));
  }
};
struct net {
  nn::named<"down_layers.0", down<2, 4>> first;
  nn::named<"down_layers.1", down<4, 4>> second;
  nn::named<"up", up> join;
  constexpr auto operator()(expression auto v) const {
    const auto [a, b] = first(v);
    const auto [c, d] = second(b);
    return outputs(named_result<"mask">(join(std::pair{a, c})), named_result<"deep">(d));
  }
};
/// The same in one body, without results that are shared.
struct plain {
  nn::named<"down_layers.0.conv", nn::conv3d<2, 4, nn::kernel<3>, nn::same>> first;
  nn::named<"down_layers.1.conv", nn::conv3d<4, 4, nn::kernel<3>, nn::same>> second;
  constexpr auto operator()(expression auto v) const {
    const auto a = relu(first(v));
    const auto c = relu(second(max_pool3d(a, kernel<2>)));
    return sum(square(concat(axis<1>, a, upsample(c, scale_factor<2>)))) + sum(max_pool3d(c, kernel<2>));
  }
};
struct nested {
  constexpr auto operator()(auto pair_of_pairs, expression auto factor) const {
    const auto [ab, c] = pair_of_pairs;
    const auto [a, b] = ab;
    return std::tuple{std::pair{b * factor, a}, c};
  }
};

struct dropping {
  nn::named<"drop", nn::dropout<0.5>> drop;
  constexpr auto operator()(expression auto v) const { return std::tuple{drop(v), v}; }
};

}  // namespace

TEST_CASE("a model gives several results in their structure, and by name and place") {
  model<net, x> m;
  auto [mask, deep] = m(numbers);
  CHECK((mask.shape(1) == 8 && mask.shape(4) == 4 && deep.shape(1) == 4 && deep.shape(4) == 1));
  CHECK(m.result<"mask">().data() == mask.data());
  CHECK(m.result<"deep">().data() == deep.data());
  CHECK(m.result<1>().data() == deep.data());
  CHECK(m.parameter_table()[2].path == "down_layers.1.conv.weight");
  workspace w = workspace::of<decltype(m)>();
  auto [again, below] = std::as_const(m)(w, numbers);
  CHECK(bool(again == mask && below == deep));
  std::vector<float> a(512), b(4);
  const float* const in[]{numbers.data()};
  float* const out[]{a.data(), b.data()};
  m.run(in, out);
  CHECK((std::equal(a.begin(), a.end(), mask.data()) && std::equal(b.begin(), b.end(), deep.data())));
}

TEST_CASE("several results are computed once, and differentiated as if they stood in one body") {
  constexpr auto both = net{}(x);
  constexpr auto y = [](auto results) {
    return std::apply([](auto a, auto b) { return sum(square(a)) + sum(b); }, detail::map_structure(results, [](auto e) { return e; }));
  }(both);
  program<outputs(y, gradient(y, x), gradient(y, parameters)), double> structured_program;
  program<outputs(plain{}(x), gradient(plain{}(x), x), gradient(plain{}(x), parameters)), double> plain_program;
  static_assert(decltype(structured_program)::facts::graph.size.nodes == decltype(plain_program)::facts::graph.size.nodes);
  auto [a, da, pa] = structured_program(x = numbers);
  auto [b, db, pb] = plain_program(x = numbers);
  CHECK(a == b);
  CHECK(std::equal(da.begin(), da.end(), db.begin()));
  for (std::size_t i = 0; i < pa.size(); ++i)
    CHECK((pa[i].path == pb[i].path && std::equal(pa[i].data, pa[i].data + pa[i].shape.size(), pb[i].data)));
}

TEST_CASE("structures in structures, into a named module and out of it") {
  constexpr nn::named<"inner", nested> module;
  constexpr auto a = input<"a", 2>;
  constexpr auto b = input<"b", 3>;
  constexpr auto c = input<"c", 4>;
  constexpr auto all = module(std::tuple{std::tuple{a, b}, c}, 2_c);
  program<outputs(all, std::pair{a, b})> p;
  auto [ba, aa, cc, a2, b2] = p(a = std::vector<float>{1, 2}, b = std::vector<float>{3, 4, 5}, c = std::vector<float>{6, 7, 8, 9});
  CHECK((ba(2) == 10 && aa(1) == 2 && cc(3) == 9 && a2(0) == 1 && b2(0) == 3));
  static_assert(decltype(p)::facts::graph.size.outputs == 5);
  const auto [scaled_and_a, same_c] = module(std::tuple{std::tuple{a, b}, c}, 2_c);
  static_assert(decltype(same_c)::shape() == shape<4> &&
                std::tuple_element_t<0, std::remove_const_t<decltype(scaled_and_a)>>::shape() == shape<3>);
}

TEST_CASE("modes reach the parts of a structure") {
  constexpr auto both = training(dropping{}(x));
  program<outputs(both)> p;
  auto [d, k] = p(x = numbers);
  CHECK(!std::equal(d.begin(), d.end(), numbers.begin()));
  CHECK(std::equal(k.begin(), k.end(), numbers.begin()));
}

TEST_CASE("names with dots and numbers are those of a file") {
  model<net, x> from, to;
  from.initialize(3);
  std::vector<std::byte> bytes;
  save(from, bytes);
  const auto report = load(to, bytes);
  CHECK(report.loaded.size() == 4);
  CHECK(std::count(report.loaded.begin(), report.loaded.end(), "down_layers.1.conv.bias") == 1);
  CHECK(to.parameter<"down_layers.1.conv.bias">()(2) == from.parameter<"down_layers.1.conv.bias">()(2));
}
