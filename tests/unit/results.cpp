// Results as users use them: several in one expression, reduced, indexed, printed; and fed back as the inputs of the next run.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <sstream>
#include <vector>
#include <xtensor/xfixed.hpp>
#ifndef __clang__  // xtensor 0.24 does not compile its printing with clang 19
#include <xtensor/xio.hpp>
#endif
#include <xtensor/xmath.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xview.hpp>

using namespace volute;

namespace {

using vector = xt::xtensor<float, 1>;
using matrix = xt::xtensor<float, 2>;
using volume = xt::xtensor<float, 5>;

struct head : nn::sequential<nn::linear<3, 2>> {};
using small_model = model<head, input<"x", 2, 3>>;

struct mix {
  constexpr auto operator()(expression auto p, expression auto q) const { return p * 2_c - q; }
};

const matrix a{{1, 2, 3}, {4, 5, 6}}, b{{0, 1, 0}, {-1, 1, 2}};

/// Every element, row-major.
template <class E>
std::vector<float> list(const E& e) {
  return {e.begin(), e.end()};
}

}  // namespace

TEST_CASE("two results of one model in one expression") {
  small_model m;
  const matrix ya = m(a), yb = m(b);
  const matrix sum = m(a) + m(b), difference = m(a) - m(b), mean = 0.5f * (m(a) + m(xt::flip(a, 1)));
  CHECK(list(sum) == list(matrix(ya + yb)));
  CHECK(list(difference) == list(matrix(ya - yb)));
  const matrix flipped = xt::flip(a, 1), yf = m(flipped);
  CHECK(list(mean) == list(matrix(0.5f * (ya + yf))));
  const matrix back = 0.5f * (m(a) + xt::flip(m(xt::flip(a, 1)), 1));  // a segmentation's result is turned back
  CHECK(list(back) == list(matrix(0.5f * (ya + xt::flip(yf, 1)))));
  auto first = m(a), second = m(b);
  CHECK(list(matrix(first - second)) == list(difference));
  matrix total = m(a);
  total += m(b);
  total -= m(a);
  CHECK(total(1, 1) == Approx(yb(1, 1)));
  matrix own = m(a);
  xt::noalias(own) = own + m(b);
  CHECK(list(own) == list(sum));
}

TEST_CASE("results of evaluate in one expression") {
  constexpr auto x = input<"x", 2, 3>;
  const matrix difference = evaluate(square(x), x = a) - evaluate(square(x), x = b);
  CHECK(list(difference) == list(matrix(a * a - b * b)));
}

TEST_CASE("a lazy result is reduced, indexed, viewed, compared, concatenated and printed") {
  small_model m;
  const matrix y = m(a);
  CHECK(list(vector(xt::sum(m(a), {1}))) == list(vector(xt::sum(y, {1}))));
  CHECK(list(vector(xt::amax(m(a), {0}))) == list(vector(xt::amax(y, {0}))));
  CHECK(float(xt::sum(m(a))()) == float(xt::sum(y)()));
  CHECK(list(vector(xt::mean(m(a), {0}))) == list(vector(xt::mean(y, {0}))));
  CHECK(m(a)(0, 1) == y(0, 1));
  CHECK(m(a).at(1, 0) == y(1, 0));
  CHECK(m(a)[{1, 1}] == y(1, 1));
  CHECK(list(vector(xt::view(m(a), 0))) == list(vector(xt::view(y, 0))));
  CHECK(list(vector(xt::row(m(a), 1))) == list(vector(xt::row(y, 1))));
  const xt::xtensor<std::size_t, 1> classes = xt::argmax(m(a), 1);
  CHECK(classes(0) == (y(0, 1) > y(0, 0) ? 1u : 0u));
  CHECK(list(matrix(xt::concatenate(xt::xtuple(m(a), m(b)), 0)))[2] == y(1, 0));
  CHECK(list(matrix(xt::transpose(m(a))))[1] == y(1, 0));
  CHECK((m(a) == y));
  CHECK(xt::all(xt::isfinite(m(a))));
  float total = 0;
  for (const float v : m(a)) total += v;
  CHECK(total == Approx(xt::sum(y)()));
  CHECK(m(a).shape(1) == 2);
  matrix wide = xt::zeros<float>({4, 2});
  xt::view(wide, xt::range(1, 3), xt::all()) = m(a);
  CHECK(wide(2, 1) == y(1, 1));
#ifndef __clang__
  std::ostringstream lazily, plainly;
  lazily << m(a), plainly << y;
  CHECK(lazily.str() == plainly.str());
#endif
}

TEST_CASE("a lazy result used in expressions is computed once; assigned, each time") {
  small_model m;
  auto y = m(a);
  const auto runs = [&] { return m.random().run; };
  const auto before = runs();
  const matrix twice = y + y, square = y * y;
  CHECK(runs() == before + 1);
  CHECK(list(matrix(y)) == list(matrix(twice / 2)));
  CHECK(runs() == before + 1);
  auto z = m(a);
  matrix to = z, again = z;
  CHECK(runs() == before + 3);
}

TEST_CASE("a model of its own result") {
  struct turn : nn::sequential<nn::linear<3, 3>> {};
  model<turn, input<"x", 2, 3>> m;
  const matrix once = m(a), expected = m(once), nested = m(m(a));
  CHECK(list(nested) == list(expected));

  model<mix, input<"p", 2, 3>, input<"q", 2, 3>> two;
  const xt::xtensor<double, 2> converted = a;  // copied to the workspace before the second input runs the same program there
  const matrix inner = two(a, b), right = two(converted, inner);
  CHECK(list(matrix(two(converted, two(a, b)))) == list(right));
  CHECK(list(matrix(two(converted, two(a, b) + 0.f))) == list(right));
}

TEST_CASE("a program's result bound as its next input is read as it was") {
  SECTION("rotation") {
    constexpr auto v = input<"v", 8>;
    program<outputs(concat(axis<0>, slice(v, axis<0>, range<2, 8>), slice(v, axis<0>, range<0, 2>)))> p;
    const vector start{1, 2, 3, 4, 5, 6, 7, 8};
    auto [x] = p(v = start);
    CHECK(list(x) == std::vector<float>{3, 4, 5, 6, 7, 8, 1, 2});
    auto [y] = p(v = x);
    CHECK(list(y) == std::vector<float>{5, 6, 7, 8, 1, 2, 3, 4});
    auto [z] = p(v = y);
    CHECK(list(z) == std::vector<float>{7, 8, 1, 2, 3, 4, 5, 6});
  }
  SECTION("matmul") {
    constexpr auto v = input<"v", 3, 3>;
    constexpr auto w = input<"w", 3, 3>;
    const matrix one{{1, 2, 0}, {0, 1, 3}, {2, 0, 1}};
    program<outputs(matmul(v, w))> p, q;
    auto [x] = p(v = one, w = one);
    const matrix copied = x, expected = std::get<0>(q(v = copied, w = one)), square = std::get<0>(q(v = copied, w = copied));
    matrix found = std::get<0>(p(v = x, w = one));
    CHECK(list(found) == list(expected));
    std::get<0>(p(v = one, w = one));
    found = std::get<0>(p(v = x, w = x));
    CHECK(list(found) == list(square));
  }
  SECTION("convolution, and a part of the result") {
    constexpr auto v = input<"v", 1, 8, 6, 6, 6>;
    constexpr auto w = parameter<"w", 8, 8, 3, 3, 3>;
    constexpr auto part = input<"part", 1, 4, 6, 6, 6>;
    program<outputs(conv3d(v, w, padding<1>) + concat(axis<1>, part, part))> p, q;
    volume in = volume::from_shape({1, 8, 6, 6, 6}), half = volume::from_shape({1, 4, 6, 6, 6});
    float n = 0;
    for (float& e : in) e = n = n > 1 ? n - 2.03f : n + 0.7f;
    for (float& e : half) e = n = n > 1 ? n - 2.03f : n + 0.3f;
    int k = 0;
    for (float& e : p.parameter_values()) e = 0.01f * static_cast<float>(k++ % 11 - 5);
    std::copy(p.parameter_values().begin(), p.parameter_values().end(), q.parameter_values().begin());
    auto [x] = p(v = in, part = half);
    const volume copied = x, upper = xt::view(copied, xt::all(), xt::range(4, 8), xt::all(), xt::all(), xt::all());
    const volume expected = std::get<0>(q(v = copied, part = upper));
    const auto piece = xt::adapt(x.data() + upper.size(), upper.size(), xt::no_ownership(), upper.shape());
    auto [found] = p(v = x, part = piece);
    CHECK(list(found) == list(expected));
  }
  SECTION("pointers, in place") {
    constexpr auto v = input<"v", 8>;
    program<outputs(concat(axis<0>, slice(v, axis<0>, range<2, 8>), slice(v, axis<0>, range<0, 2>)), v * 2_c)> p;
    alignas(64) float in[16]{1, 2, 3, 4, 5, 6, 7, 8}, other[8];
    const float* inputs[]{in};
    float* outputs[]{in, other};
    p.run(inputs, outputs);
    CHECK(std::vector<float>(in, in + 8) == std::vector<float>{3, 4, 5, 6, 7, 8, 1, 2});
    CHECK(other[7] == 16);
    outputs[0] = other, outputs[1] = in + 4;  // overlaps a part
    p.run(inputs, outputs);
    CHECK(std::vector<float>(in + 4, in + 12) == std::vector<float>{6, 8, 10, 12, 14, 16, 2, 4});
    CHECK(other[5] == 2);
  }
  SECTION("element by element nothing is copied") {
    constexpr auto v = input<"v", 64>;
    using step = program<outputs(v * 2_c + 1_c)>;
    step p;
    vector start = xt::arange<float>(64);
    auto [x] = p(v = start);
    p.input_data(0)[0] = -7;  // a copy would be made here
    auto [y] = p(v = x);
    CHECK(y(5) == 23);
    CHECK(p.input_data(0)[0] == -7);
    xt::noalias(start) = start + 0.f;
    const float* inputs[]{start.data()};
    float* outputs[]{start.data()};
    p.run(inputs, outputs);
    CHECK(start(63) == 127);
  }
}

TEST_CASE("a model writes over its own input") {
  struct blur : nn::sequential<nn::conv3d<1, 1, nn::kernel<3>, nn::padding<1>>> {};
  model<blur, input<"x", 1, 1, 6, 6, 6>> m;
  volume x = volume::from_shape({1, 1, 6, 6, 6});
  float n = 0;
  for (float& e : x) e = n = n > 1 ? n - 2.03f : n + 0.7f;
  const volume start = x, expected = m(start);
  xt::noalias(x) = m(x);
  CHECK(list(x) == list(expected));
  x = start;
  x = m(x);
  CHECK(list(x) == list(expected));
  x = start;
  const float* inputs[]{x.data()};
  m.run(inputs, x.data());
  CHECK(list(x) == list(expected));
}
