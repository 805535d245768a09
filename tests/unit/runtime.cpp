// How tensors get in and out of programs and models, and what parameters begin with.
#include <volute/volute.hpp>

#include "kernels_support.hpp"

#include <catch2/catch.hpp>
#include <xtensor/xfixed.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xview.hpp>

using namespace volute;

namespace {

constexpr auto x = input<"x", 2, 3>;
constexpr auto y = input<"y", 3>;
constexpr auto w = parameter<"w", 3>;
using matrix = xt::xtensor<float, 2>;
using vector = xt::xtensor<float, 1>;

matrix numbers() { return {{1, 2, 3}, {4, 5, 6}}; }

std::string error_of(auto f) {
  try {
    f();
  } catch (const shape_error& e) {
    return e.what();
  }
  return "no error";
}

struct net : nn::sequential<nn::linear<3, 4>, nn::tanh, nn::linear<4, 2>> {};

}  // namespace

TEST_CASE("a wrong shape is named, and nothing is written") {
  matrix wide = xt::ones<float>({2, 4}), out = xt::ones<float>({2, 3}) * 7;
  vector flat = xt::ones<float>({6});
  CHECK(error_of([&] { out = evaluate(x + x, x = wide); }) == "input 'x': expected (2,3), found (2,4)");
  CHECK(error_of([&] { out = evaluate(x + x, x = flat); }) == "input 'x': expected (2,3), found (6)");
  CHECK(error_of([&] { out = evaluate(x * w, x = numbers(), w = flat); }) == "parameter 'w': expected (3), found (6)");
  CHECK(error_of([&] { out = evaluate(x + x, x = 3.0f); }) == "input 'x': expected (2,3), found a number");
  CHECK(error_of([&] { out = evaluate(x + x, x = std::vector<float>(5)); }) == "input 'x': expected (2,3), found 5 elements");
  CHECK((out == xt::ones<float>({2, 3}) * 7));

  model<net, x> m;
  xt::xtensor_fixed<float, xt::xshape<2, 2>> result;
  result.fill(5);
  CHECK(error_of([&] { result = m(wide); }) == "input 'x': expected (2,3), found (2,4)");
  CHECK(result(0, 0) == 5);
  CHECK(result(1, 1) == 5);
  program<outputs(sum(x), x * 2_c)> p;
  CHECK(error_of([&] { p(x = flat); }) == "input 'x': expected (2,3), found (6)");
  auto narrow = xt::view(out, xt::all(), xt::range(0, 2));
  CHECK(error_of([&] { evaluate(x + x, x = numbers()).assign_to(narrow); }) == "destination 'result': expected (2,3), found (2,2)");
  CHECK((out == xt::ones<float>({2, 3}) * 7));
}

TEST_CASE("anything that xtensor can iterate goes in") {
  const matrix expected = numbers() * 2;
  const auto twice = [](const auto& value) -> matrix { return evaluate(x * 2_c, x = value); };
  CHECK((twice(numbers()) == expected));
  CHECK((twice(xt::xtensor<int, 2>(numbers())) == expected));
  CHECK((twice(xt::xtensor<float, 2, xt::layout_type::column_major>(numbers())) == expected));
#ifndef __clang__  // xtensor 0.24 does not compile its xarray with clang 19
  CHECK((twice(xt::xarray<float>(numbers())) == expected));
  CHECK((twice(xt::xarray<float, xt::layout_type::column_major>(numbers())) == expected));
#endif
  CHECK((twice(xt::xtensor_fixed<float, xt::xshape<2, 3>>(numbers())) == expected));
  const matrix n = numbers();
  CHECK((twice(n + 0.5f * (n + n) - n) == expected));  // a lazy function
  xt::xtensor<float, 3> deep = xt::zeros<float>({2, 3, 4});
  xt::view(deep, xt::all(), xt::all(), 2) = n;
  CHECK((twice(xt::view(deep, xt::all(), xt::all(), 2)) == expected));
  xt::xtensor<float, 3> stacked = xt::zeros<float>({2, 2, 3});
  xt::view(stacked, 1) = n;
  CHECK((twice(xt::view(stacked, 1, xt::all(), xt::all())) == expected));  // dense, but not from the beginning
  CHECK((twice(std::vector<float>{1, 2, 3, 4, 5, 6}) == expected));
  const float raw[]{1, 2, 3, 4, 5, 6};
  CHECK((twice(std::span<const float>(raw)) == expected));
  const float s = evaluate(input<"s"> * 2_c, input<"s"> = 4.0f);
  CHECK(s == 8);
  const float whole = evaluate(input<"s"> * 2_c, input<"s"> = 4);
  CHECK(whole == 8);
}

TEST_CASE("labels are whole numbers") {
  xt::xtensor<int, 1> labels{2, 0};
  const float loss = evaluate(cross_entropy(x, input<"t", 2>), x = numbers(), input<"t", 2> = labels);
  CHECK(loss == Approx(0.5 * (0.407606 + 2.407606)).epsilon(1e-5));
}

TEST_CASE("nothing is computed before it is assigned") {
  matrix in = numbers();
  auto doubled = evaluate(x * 2_c, x = in);
  in(0, 0) = 50;
  matrix first = doubled;
  CHECK(first(0, 0) == 100);
  in(0, 0) = 60;
  matrix second = doubled;
  CHECK(second(0, 0) == 120);

  model<net, x> m;
  auto later = m(in);
  m.parameter<"2.bias">()(0) += 1;
  matrix a = later;
  m.parameter<"2.bias">()(0) += 1;
  matrix b = later;
  CHECK(b(0, 0) == Approx(a(0, 0) + 1));
  CHECK(b(0, 1) == a(0, 1));

  auto wrong = evaluate(x * 2_c, x = vector{1, 2});  // not even looked at
  CHECK(wrong.dimension() == 2);
}

TEST_CASE("a result goes where it is assigned") {
  const matrix n = numbers(), expected = n * 2;
  xt::xtensor<float, 3> stack = xt::zeros<float>({2, 2, 3});
  auto dense = xt::view(stack, 1, xt::all(), xt::all());
  dense = evaluate(x * 2_c, x = n);
  CHECK((xt::view(stack, 1) == expected));
  CHECK(stack(0, 1, 2) == 0);
  xt::xtensor<float, 3> deep = xt::zeros<float>({2, 3, 2});
  auto strided = xt::view(deep, xt::all(), xt::all(), 1);
  strided = evaluate(x * 2_c, x = n);
  CHECK((strided == expected));
  strided.fill(0);
  evaluate(x * 2_c, x = n).assign_to(strided);
  CHECK((strided == expected));
  strided.fill(0);
  xt::noalias(strided) = evaluate(x * 2_c, x = n);
  CHECK((strided == expected));
  CHECK(deep(1, 2, 0) == 0);
  const matrix more = evaluate(x * 2_c, x = n) + n;  // as an operand of xtensor's own expressions
  CHECK((more == n * 3));
  matrix rows = xt::zeros<float>({2, 3});
  auto every = xt::view(rows, xt::all(), xt::all());
  every = xt::broadcast(evaluate(y * 2_c, y = vector{1, 2, 3}), {2, 3});
  CHECK((rows == matrix{{2, 4, 6}, {2, 4, 6}}));
  xt::xtensor<double, 2> wide = evaluate(x * 2_c, x = n);
  CHECK((wide == expected));
  xt::xtensor<float, 2, xt::layout_type::column_major> columns = evaluate(x * 2_c, x = n);
  CHECK((columns == expected));
#ifndef __clang__
  xt::xarray<float> dynamic = evaluate(x * 2_c, x = n);
  CHECK((dynamic == expected));
#endif
  matrix self = n;
  self = evaluate(transpose(reshape(x, shape<3, 2>), axes<1, 0>), x = self);  // through a temporary, as xtensor does
  CHECK((self == matrix{{1, 3, 5}, {2, 4, 6}}));
}

TEST_CASE("the element type is double if anything bound is") {
  const auto third = [](auto one) { return evaluate(input<"s"> / 3_c, input<"s"> = std::move(one)); };
  static_assert(std::is_same_v<decltype(third(1.0))::value_type, double> && std::is_same_v<decltype(third(1.0f))::value_type, float> &&
                std::is_same_v<decltype(third(1))::value_type, float>);
  CHECK(double(third(1.0)) == 1.0 / 3);
  auto [a, b] = evaluate(outputs(x * y, sum(y)), x = numbers(), y = xt::xtensor<double, 1>{1e-3, 1, 1});
  static_assert(std::is_same_v<decltype(a), xt::xtensor<double, 2>> && std::is_same_v<decltype(b), double>);
  CHECK(a(0, 0) == 1e-3);
}

TEST_CASE("gradients by anything") {
  const matrix n = numbers();
  constexpr auto inner = exp(x * 0.5_c);
  constexpr auto loss = sum(square(inner) * y);
  auto [by_inner, none, both] = evaluate(outputs(gradient(loss, inner), gradient(sum(y), x), std::get<1>(gradient(loss, inner, y))), x = n, y = vector{1, 2, 3});
  for (std::size_t i = 0; i < 2; ++i)
    for (std::size_t k = 0; k < 3; ++k) CHECK(by_inner(i, k) == Approx(2 * std::exp(0.5 * n(i, k)) * double(k + 1)));
  CHECK((none == xt::zeros<float>({2, 3})));
  CHECK(both(1) == Approx(std::exp(2.0) + std::exp(5.0)));
  auto [stopped, half] = evaluate(outputs(gradient(sum(stop_gradient(square(x))), x), gradient(sum(x * stop_gradient(x)), x)), x = n);
  CHECK((stopped == xt::zeros<float>({2, 3})));
  CHECK((half == n));
  const matrix weighted = evaluate(gradient(square(x), x, cotangent(x)), x = n);
  CHECK((weighted == 2 * n * n));
}

TEST_CASE("a program's results are its own memory") {
  program<outputs(x * 2_c, sum(x))> p;
  auto [a, s] = p(x = numbers());
  auto [b, t] = p(x = numbers() * 10.0f);
  CHECK(a.data() == b.data());
  CHECK(a(1, 2) == 120);
  CHECK(s == 21);
  CHECK(t == 210);
}
