// Values and derivatives at infinities, NaN and 0, for float and double: the table of docs/semantics.md. The numbers are those of PyTorch.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <xtensor/xadapt.hpp>

namespace {

using namespace volute;

template <class T>
using numbers = std::vector<T>;

constexpr double inf = std::numeric_limits<double>::infinity(), nan_ = std::numeric_limits<double>::quiet_NaN(), any = 12345;

/// Equal, NaN to NaN, and rounded within 1e-6; `any` is not compared.
void check(const char* what, const auto& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  std::size_t k = 0;
  for (const auto f : found) {
    const double v = static_cast<double>(f), e = expected[k++];
    INFO(what << ", element " << k - 1 << ": " << v << ", expected " << e);
    if (e == any) continue;
    if (std::isnan(e))
      CHECK(std::isnan(v));
    else if (std::isinf(e))
      CHECK(v == e);
    else
      CHECK(v == Approx(e).epsilon(1e-6).margin(1e-12));
  }
}

/// At -inf, -1, 0, inf, NaN.
struct row {
  const char* name;
  std::vector<double> value, slope;
};
constexpr auto x = input<"x", 5>;
template <class T, expression... F>
void check_rows(std::tuple<F...>, const std::vector<row>& rows) {
  static constexpr auto list = outputs(F{}..., gradient(sum(F{}), x)...);
  const auto found = evaluate(list, x = numbers<T>{-static_cast<T>(inf), -1, 0, static_cast<T>(inf), static_cast<T>(nan_)});
  REQUIRE(rows.size() == sizeof...(F));
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    constexpr std::size_t count = sizeof...(F);
    ((check(rows[I].name, std::get<I>(found), rows[I].value), check(rows[I].name, std::get<count + I>(found), rows[I].slope)), ...);
  }
  (std::index_sequence_for<F...>{});
}

}  // namespace

TEMPLATE_TEST_CASE("functions of one number at infinities, 0 and NaN", "", float, double) {
  const double e = std::exp(1), ln2 = std::log(2);
  check_rows<TestType>(std::tuple{abs(x), sign(x), square(x), reciprocal(x), sqrt(x), rsqrt(x), exp(x), expm1(x)},
                       {{"abs", {inf, 1, 0, inf, nan_}, {-1, -1, 0, 1, 0}},
                        {"sign", {-1, -1, 0, 1, 0}, {0, 0, 0, 0, 0}},
                        {"square", {inf, 1, 0, inf, nan_}, {-inf, -2, 0, inf, nan_}},
                        {"reciprocal", {0, -1, inf, 0, nan_}, {0, -1, -inf, 0, nan_}},
                        {"sqrt", {nan_, nan_, 0, inf, nan_}, {nan_, nan_, inf, 0, nan_}},
                        {"rsqrt", {nan_, nan_, inf, 0, nan_}, {nan_, nan_, -inf, 0, nan_}},
                        {"exp", {0, 1 / e, 1, inf, nan_}, {0, 1 / e, 1, inf, nan_}},
                        {"expm1", {-1, 1 / e - 1, 0, inf, nan_}, {0, 1 / e, 1, inf, nan_}}});
  check_rows<TestType>(std::tuple{log(x), log1p(x), sin(x), cos(x), tanh(x), sigmoid(x), softplus(x), erf(x)},
                       {{"log", {nan_, nan_, -inf, inf, nan_}, {0, -1, inf, 0, nan_}},
                        {"log1p", {nan_, -inf, 0, inf, nan_}, {0, inf, 1, 0, nan_}},
                        {"sin", {nan_, -std::sin(1), 0, nan_, nan_}, {nan_, std::cos(1), 1, nan_, nan_}},
                        {"cos", {nan_, std::cos(1), 1, nan_, nan_}, {nan_, std::sin(1), 0, nan_, nan_}},
                        {"tanh", {-1, -std::tanh(1), 0, 1, nan_}, {0, 1 - std::tanh(1) * std::tanh(1), 1, 0, nan_}},
                        {"sigmoid", {0, 1 / (1 + e), 0.5, 1, nan_}, {0, e / ((1 + e) * (1 + e)), 0.25, 0, nan_}},
                        {"softplus", {0, std::log1p(1 / e), ln2, inf, nan_}, {0, 1 / (1 + e), 0.5, 1, nan_}},
                        {"erf", {-1, std::erf(-1), 0, 1, nan_}, {0, 2 / std::sqrt(M_PI) / e, 2 / std::sqrt(M_PI), 0, nan_}}});
  check_rows<TestType>(
      std::tuple{relu(x), leaky_relu<0.1>(x), elu(x), silu(x), gelu(x), clamp(x, -1_c, 1_c), clamp(x, 2_c, -2_c), at_least(x, 0_c)},
      {{"relu", {0, 0, 0, inf, nan_}, {0, 0, 0, 1, 1}},
       {"leaky_relu", {-inf, -0.1, 0, inf, nan_}, {0.1, 0.1, 0.1, 1, 0.1}},
       {"elu", {-1, 1 / e - 1, 0, inf, nan_}, {0, 1 / e, 1, 1, nan_}},
       {"silu", {nan_, -1 / (1 + e), 0, inf, nan_}, {nan_, any, 0.5, nan_, nan_}},
       {"gelu", {nan_, -0.15865525393, 0, inf, nan_}, {nan_, any, 0.5, nan_, nan_}},
       {"clamp", {-1, -1, 0, 1, nan_}, {0, 1, 1, 0, 1}},
       {"clamp with low > high", {-2, -2, -2, -2, nan_}, {0, 0, 0, 0, any}},
       {"at_least", {0, 0, 0, inf, nan_}, {0, 0, 1, 1, 1}}});
}

TEMPLATE_TEST_CASE("functions of two numbers at singular places", "", float, double) {
  using T = TestType;
  constexpr T i = std::numeric_limits<T>::infinity(), n = std::numeric_limits<T>::quiet_NaN();
  static constexpr auto a = input<"a", 8>;
  static constexpr auto b = input<"b", 8>;
  const auto all = [](auto y) { return outputs(y, gradient(sum(y), a), gradient(sum(y), b)); };
  {
    static constexpr auto list = all(a / b);
    const auto [y, da, db] = evaluate(list, a = numbers<T>{1, 0, -1, 1, i, 0, n, 2}, b = numbers<T>{0, 0, 0, i, i, 4, 1, 4});
    check("a / b", y, {inf, nan_, -inf, 0, nan_, 0, nan_, 0.5});
    check("a / b by a", da, {inf, inf, inf, 0, 0, 0.25, 1, 0.25});
    check("a / b by b", db, {-inf, nan_, inf, 0, nan_, 0, nan_, -0.125});
  }
  {
    static constexpr auto list = all(maximum(a, b));
    const auto [y, da, db] = evaluate(list, a = numbers<T>{1, 2, i, -i, n, 1, n, 3}, b = numbers<T>{1, 3, i, 0, 1, n, n, -i});
    check("maximum", y, {1, 3, inf, 0, nan_, nan_, nan_, 3});
    check("maximum by a", da, {0.5, 0, 0.5, 0, 1, 1, 1, 1});
    check("maximum by b", db, {0.5, 1, 0.5, 1, 1, 1, 1, 0});
  }
  {
    static constexpr auto list = all(minimum(a, b));
    const auto [y, da, db] = evaluate(list, a = numbers<T>{1, 2, i, -i, n, 1, n, 3}, b = numbers<T>{1, 3, i, 0, 1, n, n, -i});
    check("minimum", y, {1, 2, inf, -inf, nan_, nan_, nan_, -inf});
    check("minimum by a", da, {0.5, 1, 0.5, 1, 1, 1, 1, 0});
    check("minimum by b", db, {0.5, 0, 0.5, 0, 1, 1, 1, 1});
  }
  {
    // As torch.pow: by the base 0 where the exponent is 0, by the exponent 0 where the base is 0 and the exponent not negative.
    static constexpr auto list = all(power(a, b));
    const auto [y, da, db] = evaluate(list, a = numbers<T>{0, 0, 0, 0, 0, -2, n, i}, b = numbers<T>{0, 1, 2, T(0.5), -1, 3, 0, 0});
    check("power", y, {1, 0, 0, 0, inf, -8, 1, 1});
    check("power by the base", da, {0, 1, 0, inf, -inf, 12, 0, 0});
    check("power by the exponent", db, {0, 0, 0, 0, -inf, nan_, nan_, inf});
  }
}

TEMPLATE_TEST_CASE("powers at 0, of exponents given at run time, to the third order", "", float, double) {
  using T = TestType;
  static constexpr auto a = input<"a", 5>;
  static constexpr auto b = input<"b", 5>;
  static constexpr auto first = gradient(sum(power(a, b)), a);
  static constexpr auto second = gradient(sum(first), a);
  static constexpr auto mixed = gradient(sum(first), b);
  static constexpr auto by_exponent = gradient(sum(gradient(sum(power(a, b)), b)), b);
  const auto [g, h, k, m, e] = evaluate(outputs(first, second, gradient(sum(second), a), mixed, by_exponent), a = numbers<T>{0, 0, 0, 0, 2},
                                        b = numbers<T>{0, 1, 2, 3, 3});
  check("first", g, {0, 1, 0, 0, 12});
  check("second", h, {0, 0, 2, 0, 12});
  check("third", k, {0, 0, 0, 6, 6});
  check("by both", m, {any, any, 0, 0, 4 + 12 * std::log(2.0)});
  check("twice by the exponent", e, {0, 0, 0, 0, 8 * std::log(2.0) * std::log(2.0)});
}

TEMPLATE_TEST_CASE("a maximum over axes shares between equals", "", float, double) {
  using T = TestType;
  constexpr T i = std::numeric_limits<T>::infinity();
  static constexpr auto v = input<"v", 3, 4>;
  static constexpr auto y = maximum(v, axes<1>);
  const auto [top, g] = evaluate(outputs(y, gradient(sum(y), v)), v = numbers<T>{0, 0, 0, -1, i, 1, i, 2, -i, -i, -i, -i});
  check("maximum", top, {0, inf, -inf});
  check("its gradient", g, {1 / 3., 1 / 3., 1 / 3., 0, 0.5, 0, 0.5, 0, 0.25, 0.25, 0.25, 0.25});
}

TEST_CASE("a constant keeps the terms of a sum within range") {
  static constexpr auto v = input<"v", 100>;
  const auto all = [](float number) { return numbers<float>(100, number); };
  const float small = evaluate(mean(square(v * constant<1e-10>)), v = all(1e25f)),
              large = evaluate(mean(square(v * constant<1e10>)), v = all(1e-25f)),
              total = evaluate(sum(v * constant<1e-5>), v = all(1e37f)), product = evaluate(sum(v * constant<1e-30> * v), v = all(1e25f)),
              length = evaluate(norm(v * constant<1e-20>), v = all(1e25f));
  CHECK(small == Approx(1e30f));
  CHECK(large == Approx(1e-30f).margin(0));
  CHECK(total == Approx(1e34f));
  CHECK(product == Approx(1e22f));
  CHECK(length == Approx(1e6f));
}

TEST_CASE("softmax and its logarithm of infinite scores") {
  static constexpr auto v = input<"v", 3, 3>;
  static constexpr auto c = input<"c", 3, 3>;
  static constexpr auto p = softmax(v, axis<1>);
  static constexpr auto l = log_softmax(v, axis<1>);
  const double half = 1 / (1 + std::exp(1)), slope = half * (1 - half);
  const numbers<float> scores{-INFINITY, 0, 1, -INFINITY, -INFINITY, -INFINITY, INFINITY, 0, 0}, second{0, 1, 0, 0, 0, 0, 0, 0, 0};
  const auto [value, log_value, dp, dl] =
      evaluate(outputs(p, l, gradient(sum(p * c), v), gradient(sum(select(c, l, 0_c)), v)), v = scores, c = second);
  check("softmax", value, {0, half, 1 - half, nan_, nan_, nan_, nan_, nan_, nan_});
  check("log_softmax", log_value, {-inf, std::log(half), std::log(1 - half), nan_, nan_, nan_, nan_, nan_, nan_});
  check("softmax's gradient", dp, {0, slope, -slope, nan_, nan_, nan_, nan_, any, any});
  check("log_softmax's gradient", dl, {0, 1 - half, half - 1, any, any, any, any, any, any});
}

TEST_CASE("losses of two tensors at their borders") {
  static constexpr auto a = input<"a", 4>;
  static constexpr auto b = input<"b", 4>;
  const auto both = [](auto y) { return outputs(y, gradient(y, a)); };
  const numbers<double> zero(4, 0.), d{0, 0.5, -0.5, inf};
  {
    static constexpr auto list = both(huber<0.5>(a, b));
    const auto [v, g] = evaluate(list, a = d, b = zero);
    CHECK(v == inf);
    check("huber", g, {0, 0.125, -0.125, 0.125});
  }
  {
    static constexpr auto list = both(smooth_l1<0.5>(a, b));
    const auto [v, g] = evaluate(list, a = d, b = zero);
    check("smooth_l1", g, {0, 0.25, -0.25, 0.25});
  }
  {
    static constexpr auto list = both(l1(a, b));
    const auto [v, g] = evaluate(list, a = d, b = zero);
    check("l1", g, {0, 0.25, -0.25, 0.25});
  }
  {
    static constexpr auto list = both(kl_div(a, b));
    const auto [v, g] = evaluate(list, a = numbers<double>{-inf, 0, -inf, 1}, b = numbers<double>{0, 1, 0, 0});
    CHECK(v == 0);
    check("kl_div", g, {0, -0.25, 0, 0});
  }
}
