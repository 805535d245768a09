// What is not chosen has no influence, neither on a value nor on a gradient of any order: branches of select and what is built on it,
// operands that are no maximum, ignored labels, other classes. And small losses are not lost beside large numbers.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <xtensor/xadapt.hpp>

namespace {

using namespace volute;

template <class T>
using numbers = std::vector<T>;

constexpr double inf = std::numeric_limits<double>::infinity();

void check(const auto& found, const std::vector<double>& expected, double tolerance = 1e-6) {
  REQUIRE(found.size() == expected.size());
  std::size_t k = 0;
  for (const auto f : found) {
    INFO("element " << k << ": " << f << ", expected " << expected[k]);
    if (std::isinf(expected[k]))
      CHECK(static_cast<double>(f) == expected[k]);
    else
      CHECK(static_cast<double>(f) == Approx(expected[k]).epsilon(tolerance).margin(0));
    ++k;
  }
}

/// The first and the second derivative of sum(y), elementwise in v.
template <class T, expression Y, expression X>
void check_derivatives(Y, X v, const std::vector<double>& at, const std::vector<double>& first, const std::vector<double>& second) {
  static constexpr auto g = gradient(sum(Y{}), X{});
  static constexpr auto list = outputs(g, gradient(sum(g), X{}));
  const auto [f, s] = evaluate(list, v = numbers<T>(at.begin(), at.end()));
  check(f, first);
  check(s, second);
}

}  // namespace

TEMPLATE_TEST_CASE("the branch that is not taken has no part in derivatives", "", float, double) {
  using T = TestType;
  static constexpr auto x = input<"x", 3>;
  const double e = std::exp(-1);
  check_derivatives<T>(select(x <= 0_c, exp(x), 1_c + x), x, {-1, 0, 1000}, {e, 1, 1}, {e, 1, 0});
  check_derivatives<T>(select(0_c < x, log(x), x), x, {0, -1, 2}, {1, 1, 0.5}, {0, 0, -0.25});
  check_derivatives<T>(select(0_c < x, x * sqrt(x * x * x), square(x)), x, {0, -1, 1}, {0, -2, 2.5}, {2, 2, 3.75});
  check_derivatives<T>(select(equal(x, 0_c), 1_c, sin(x) / x), x, {0, 1, 0}, {0, std::cos(1) - std::sin(1), 0},
                       {0, 2 * std::sin(1) - 2 * std::cos(1) - std::sin(1), 0});
  check_derivatives<T>(select(0_c < x, power(x, constant<-1.5>), abs(x)), x, {0, -2, 1}, {0, -1, -1.5}, {0, 0, 3.75});
  check_derivatives<T>(select(x, reciprocal(x), rsqrt(x)) * x + x, x, {1, 2, 4}, {1, 1, 1},
                       {0, 0, 0});  // a condition that is no comparison
  check_derivatives<T>(elu(x) + silu(select(x < 5_c, exp(x), 0_c)) * 0_c, x, {1, 1000, -1}, {1, 1, e}, {0, 0, e});
  check_derivatives<T>(clamp(exp(x), 0_c, 1_c) + at_least(log(x), -2_c), x, {0, 1000, 1e-3}, {1, 0.001, 0}, {1, -1e-6, 0});
  check_derivatives<T>(relu(log(x)) + relu(-log1p(-x)) + x, x, {0, 1, 0.5}, {1, inf, 3}, {0, inf, 4});
  check_derivatives<T>(maximum(log(x), axes<0>), x, {0, 0, 2}, {0, 0, 0.5}, {0, 0, -0.25});
  check_derivatives<T>(maximum(log(x), -1_c) + minimum(exp(x * 100_c), 2_c), x, {0, 0, 50}, {100, 100, 0.02}, {1e4, 1e4, -4e-4});
}

TEST_CASE("that holds through shapes, sums and broadcasts") {
  using T = float;
  constexpr T n = std::numeric_limits<T>::quiet_NaN(), i = std::numeric_limits<T>::infinity();
  static constexpr auto x = input<"x", 2, 3>;
  static constexpr auto c = input<"c", 2, 3>;
  static constexpr auto r = input<"r", 3>;
  const numbers<T> off{1, 0, 0, 5, 0, 0};
  // log x of columns 1 and 2 is not taken, nor is that row of r
  static constexpr auto moved = transpose(reshape(concat(axis<0>, log(x), log(x)), shape<4, 3>), axes<1, 0>);
  static constexpr auto y =
      select(c, reshape(transpose(slice(moved, axis<1>, range<0, 2>), axes<1, 0>), shape<2, 3>) * broadcast_to(sqrt(r), shape<2, 3>), 0_c);
  static constexpr auto list = outputs(gradient(sum(y), x), gradient(sum(y), r));
  const auto [gx, gr] = evaluate(list, x = numbers<T>{2, 0, n, 4, 0, i}, c = off, r = numbers<T>{4, 0, n});
  check(gx, {1, 0, 0, 0.5, 0, 0});
  check(gr, {(std::log(2) + std::log(4)) / 4, 0, 0});

  // a sum, a mean and a maximum over what is not taken
  static constexpr auto s = input<"s", 2>;
  static constexpr auto z = select(s, sum(exp(x), axes<1>) + maximum(x * x, axes<1>) + mean(tanh(x), axes<1>), 0_c);
  const xt::xtensor<T, 2> gz = evaluate(gradient(sum(z), x), x = numbers<T>{0, 0, 1, n, i, 1000}, s = numbers<T>{1, 0});
  const double t = 1 - std::tanh(1) * std::tanh(1);
  check(gz, {1 + 1 / 3., 1 + 1 / 3., std::exp(1) + 2 + t / 3, 0, 0, 0});

  // two selects of one value, of which none takes it in the last column; and with padding
  static constexpr auto root = sqrt(pad(x, shape<0, 1>, shape<0, 0>));
  static constexpr auto two =
      slice(select(pad(c, shape<0, 1>, shape<0, 0>), root, 0_c), axis<1>, range<1, 4>) + select(c < 2_c, 0_c, sqrt(x));
  const xt::xtensor<T, 2> gt = evaluate(gradient(sum(two), x), x = numbers<T>{4, 0, 0, 4, n, -1}, c = off);
  check(gt, {0.25, 0, 0, 0.5, 0, 0});
}

TEST_CASE("and through pools") {
  static constexpr auto x = input<"x", 1, 1, 1, 1, 4>;
  static constexpr auto c = input<"c", 1, 1, 1, 1, 2>;
  static constexpr auto y = select(c, max_pool3d(log(x), kernel<1, 1, 2>) + avg_pool3d(log(x), kernel<1, 1, 2>), 0_c);
  const xt::xtensor<float, 5> g = evaluate(gradient(sum(y), x), x = numbers<float>{2, 1, 0, 0}, c = numbers<float>{1, 0});
  check(g, {0.75, 0.5, 0, 0});
}

TEST_CASE("and through indices") {
  static constexpr auto x = input<"x", 4>;
  static constexpr auto c = input<"c", 5>;
  static constexpr auto i = input<"i", 5>;
  static constexpr auto y =
      select(c, take(log(x), axis<0>, i) + gather(sqrt(concat(axis<0>, x, slice(x, axis<0>, range<0, 1>))), axis<0>, i), 0_c);
  static constexpr auto g = gradient(sum(y), x);
  const auto [first, second] = evaluate(outputs(g, gradient(sum(g), x)), x = numbers<double>{1, 0, -1, 4},
                                        c = numbers<double>{1, 0, 0, 1, 1}, i = numbers<double>{0, 1, 2, 3, 3});
  check(first, {1.5, 0, 0, 1});
  check(second, {-1.25, 0, 0, -0.1875});
}

TEST_CASE("a gradient that happens to be 0 still has a derivative") {
  static constexpr auto x = input<"x", 2>;
  static constexpr auto v = input<"v", 2>;
  static constexpr auto back = gradient(select(0_c < x, log(x), x), x, cotangent(v));
  const xt::xtensor<double, 1> jacobian = evaluate(gradient(sum(back), v), x = numbers<double>{4, 0}, v = numbers<double>{0, 0});
  check(jacobian, {0.25, 1});
}

TEST_CASE("cross-entropy of infinite logits") {
  using T = float;
  constexpr T i = std::numeric_limits<T>::infinity(), n = std::numeric_limits<T>::quiet_NaN();
  static constexpr auto z = input<"z", 2, 4>;
  static constexpr auto t = input<"t", 2>;
  static constexpr auto w = input<"w", 4>;
  static constexpr auto plain = cross_entropy(z, t);
  static constexpr auto ignoring = cross_entropy(z, t, ignore_label<-1>);
  static constexpr auto weighted = cross_entropy(z, t, w, ignore_label<3>);
  static constexpr auto smooth = cross_entropy(z, t, ignore_label<3>, label_smoothing<0.5>);
  static constexpr auto lists = [](auto... l) { return outputs(l..., gradient(l, z)...); };
  const double p = 1 / (1 + std::exp(1)), loss = std::log1p(std::exp(-1));
  const numbers<T> other{-i, 0, 1, -i, 0, 1, -i, -i};
  {
    static constexpr auto list = lists(plain, ignoring);
    const auto [a, b, ga, gb] = evaluate(list, z = other, t = numbers<T>{2, 0});
    CHECK(a == Approx((loss + 1 + loss) / 2));
    CHECK(b == Approx((loss + 1 + loss) / 2));
    check(ga, {0, p / 2, -p / 2, 0, (p - 1) / 2, (1 - p) / 2, 0, 0});
    check(gb, {0, p / 2, -p / 2, 0, (p - 1) / 2, (1 - p) / 2, 0, 0});
    const auto [c, d, gc, gd] = evaluate(list, z = other, t = numbers<T>{2, 3});  // the label itself
    CHECK(c == static_cast<T>(inf));
    CHECK(d == static_cast<T>(inf));
    check(gc, {0, p / 2, -p / 2, 0, p / 2, (1 - p) / 2, 0, -0.5});
    check(gd, {0, p / 2, -p / 2, 0, p / 2, (1 - p) / 2, 0, -0.5});
  }
  const numbers<T> ignored{-i, 0, 1, -i, i, n, -i, 5};
  {
    static constexpr auto list = lists(ignoring);
    const auto [b, gb] = evaluate(list, z = ignored, t = numbers<T>{2, -1});
    CHECK(b == Approx(loss));
    check(gb, {0, p, -p, 0, 0, 0, 0, 0});
  }
  {
    static constexpr auto list = outputs(weighted, gradient(weighted, z), gradient(weighted, w), smooth, gradient(smooth, z));
    const auto [a, ga, gw, s, gs] = evaluate(list, z = ignored, t = numbers<T>{2, 3}, w = numbers<T>{1, 2, 3, 4});
    CHECK(a == Approx(loss));
    check(ga, {0, p, -p, 0, 0, 0, 0, 0});
    for (T g : gw) CHECK(std::abs(g) < 1e-7);
    CHECK(s == static_cast<T>(inf));  // the target of each class is not 0
    check(gs, {-0.125, p - 0.125, 1 - p - 0.625, -0.125, 0, 0, 0, 0});
  }
}

TEST_CASE("where every label is ignored the loss is 0 / 0 and the gradient 0") {
  using T = float;
  static constexpr auto z = input<"z", 2, 3, 2>;
  static constexpr auto t = input<"t", 2, 2>;
  static constexpr auto w = input<"w", 3>;
  const numbers<T> scores{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, none(4, T(-1)), weights{1, 2, 3}, zero(3, T(0));
  const std::vector<double> still(12, 0.);
  static constexpr auto lists = [](auto... l) { return outputs(l..., gradient(l, z)...); };
  static constexpr auto list =
      lists(cross_entropy(z, t, ignore_label<-1>), cross_entropy(z, t, w, ignore_label<-1>),
            cross_entropy(z, t, ignore_label<-1>, label_smoothing<0.1>), cross_entropy(z, t, w, ignore_label<-1>, label_smoothing<1>));
  const auto [a, b, c, d, ga, gb, gc, gd] = evaluate(list, z = scores, t = none, w = weights);
  for (T l : {T(a), T(b), T(c), T(d)}) CHECK(std::isnan(l));
  check(ga, still), check(gb, still), check(gc, still), check(gd, still);
  static constexpr auto heavy = cross_entropy(z, t, w);  // no label weighs anything
  const auto [e, ge, gw] = evaluate(outputs(heavy, gradient(heavy, z), gradient(heavy, w)), z = scores, t = numbers<T>(4, T(1)), w = zero);
  CHECK(std::isnan(e));
  check(ge, still), check(gw, {0, 0, 0});
}

TEST_CASE("a batch of ignored labels leaves the weights as they are") {
  trainer<nn::linear<2, 3>, nn::cross_entropy<nn::ignore_label<-1>>, sgd, input<"x", 2, 2>, input<"labels", 2>> t(sgd{.lr = 1});
  const std::vector<float> before(t.parameter_values().begin(), t.parameter_values().end()), batch{1, 2, 3, 4};
  CHECK(std::isnan(t.step(batch, std::vector<float>{-1, -1})));
  CHECK(std::equal(before.begin(), before.end(), t.parameter_values().begin()));
  CHECK(std::isfinite(t.step(batch, std::vector<float>{-1, 2})));
}

TEST_CASE("inference by running statistics needs no second value of a channel") {
  static constexpr auto x = input<"x", 1, 2, 1, 1, 1>;
  model<nn::batch_norm3d<2>, x> m;
  m.parameter_values()[0] = 3;
  const xt::xtensor<float, 5> v = xt::ones<float>({1, 2, 1, 1, 1}), y = m(v);
  CHECK(y(0, 0, 0, 0, 0) == Approx(3 / std::sqrt(1 + 1e-5)));
  CHECK(y(0, 1, 0, 0, 0) == Approx(1 / std::sqrt(1 + 1e-5)));
  static_assert(gradient(sum(nn::batch_norm3d<2>{}(x)), x).shape() == x.shape());
}

TEMPLATE_TEST_CASE("small losses and gradients beside large logits", "", float, double) {
  using T = TestType;
  static constexpr auto x = input<"x", 8>;
  static constexpr auto t = input<"t", 8>;
  static constexpr auto each = constant<1, 8>;
  static constexpr auto one = bce_with_logits(x, t);
  static constexpr auto three = bce_with_logits(x, t, 3_c * each);
  static constexpr auto list = outputs(gradient(one, t), one, gradient(one, x), three, gradient(three, x));
  for (const double v : {10., 15., 20., 40., 80.}) {
    const T a = static_cast<T>(v);
    const double loss = std::log1p(std::exp(-v)), p = 1 / (1 + std::exp(v));
    // right in both directions: target 1 of a large logit, target 0 of a very negative one
    const auto [by_target, l, g, lw, gw] =
        evaluate(list, x = numbers<T>{a, a, a, a, -a, -a, -a, -a}, t = numbers<T>{1, 1, 1, 1, 0, 0, 0, 0});
    CHECK(l == Approx(loss).epsilon(1e-6));
    check(g, {-p / 8, -p / 8, -p / 8, -p / 8, p / 8, p / 8, p / 8, p / 8});
    CHECK(lw == Approx(2 * loss).epsilon(1e-6));
    check(gw, {-3 * p / 8, -3 * p / 8, -3 * p / 8, -3 * p / 8, p / 8, p / 8, p / 8, p / 8});
    check(by_target, {-v / 8, -v / 8, -v / 8, -v / 8, v / 8, v / 8, v / 8, v / 8});
  }
  // softplus, log of a sigmoid and silu of both signs
  static constexpr auto functions = outputs(softplus(x), -softplus(-x), silu(x), gradient(sum(softplus(x)), x), gradient(sum(silu(x)), x));
  const std::vector<double> at{-80, -20, -1e-3, 0, 1e-3, 20, 80, -5};
  const auto [plus, log_p, s, dp, ds] = evaluate(functions, x = numbers<T>(at.begin(), at.end()));
  for (std::size_t k = 0; k < at.size(); ++k) {
    const double v = static_cast<double>(static_cast<T>(at[k])), p = 1 / (1 + std::exp(-v));
    CAPTURE(v);
    CHECK(static_cast<double>(plus[k]) == Approx(v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v))).epsilon(1e-6).margin(0));
    CHECK(static_cast<double>(log_p[k]) == Approx(v < 0 ? v - std::log1p(std::exp(v)) : -std::log1p(std::exp(-v))).epsilon(1e-6).margin(0));
    CHECK(static_cast<double>(s[k]) == Approx(v * p).epsilon(1e-6).margin(0));
    CHECK(static_cast<double>(dp[k]) == Approx(p).epsilon(1e-6).margin(0));
    CHECK(static_cast<double>(ds[k]) == Approx(p + v * p * (1 - p)).epsilon(1e-6).margin(1e-6 * p));
  }
}
