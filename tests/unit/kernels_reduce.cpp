// Reductions against plain loops in double, and the accuracy of long sums.
#include "kernels_support.hpp"

#include <volute/kernels/reduce.hpp>

#include <catch2/catch.hpp>

using namespace kernels_test;
using volute::ops::fn;
using volute::ops::lane;
using volute::ops::lanes;
using volute::ops::loop_nest;
using volute::ops::reduction;
using volute::ops::scalar_program;

namespace {

constexpr scalar_program value{1, 0, 0, {}, {}};
constexpr scalar_program product{2, 0, 1, {}, {{fn::multiply, 0, 1}}};
// log(x) - y: lanes beyond a tail would be -inf
constexpr scalar_program log_minus{2, 0, 2, {}, {{fn::log, 0}, {fn::subtract, 2, 1}}};

constexpr lane C = lane::contiguous, B = lane::broadcast, S = lane::strided;

/// A kernel beside the definition: what does not depend on the program and its lanes is compiled once and not for each of them.
template <class T>
void compare(const loop_nest& nest, bool sum, double (*f)(double, double), void (*kernel)(const loop_nest&, const T* const*, T*)) {
  numbers rnd(11);
  const auto a = rnd.vector<T>(span(nest, 0), 0.1, 2), b = rnd.vector<T>(span(nest, 1));
  std::int64_t kept = 1;
  for (int i = 0; i < nest.kept; ++i) kept *= nest.extent[i];
  std::vector<double> want(static_cast<std::size_t>(kept), sum ? 0 : -std::numeric_limits<double>::infinity());
  std::vector<double> size(want.size(), 0);
  for_each_position(nest, [&](std::int64_t, const std::int64_t* index) {
    std::int64_t k = 0;
    for (int i = 0; i < nest.kept; ++i) k = k * nest.extent[i] + index[i];
    const double v =
        f(double(a[static_cast<std::size_t>(offset(nest, 0, index))]), double(b[static_cast<std::size_t>(offset(nest, 1, index))]));
    double& w = want[static_cast<std::size_t>(k)];
    w = sum ? w + v : std::fmax(w, v);
    size[static_cast<std::size_t>(k)] += std::abs(v);
  });
  std::vector<T> out(want.size() + 2, T(77));
  const T* in[] = {a.data(), b.data()};
  kernel(nest, in, out.data() + 1);
  int wrong = 0;
  for (std::size_t k = 0; k < want.size(); ++k)
    if (!(std::abs(double(out[k + 1]) - want[k]) <= tolerance<T>() * (1 + (sum ? size[k] : std::abs(want[k]))))) ++wrong;
  CHECK(wrong == 0);
  CHECK(out.front() == T(77));
  CHECK(out.back() == T(77));
}

template <class T, scalar_program P, reduction R, bool Inner, lane A0, lane A1>
void check(const loop_nest& nest, double (*f)(double, double)) {
  compare<T>(nest, R == reduction::sum, f, [](const loop_nest& n, const T* const* in, T* out) {
    volute::kernels::reduce<T, P, lanes{{A0, A1}}, R, Inner>(n, in, out);
  });
}

double times(double a, double b) { return a * b; }
double log_less(double a, double b) { return std::log(a) - b; }

}  // namespace

TEMPLATE_TEST_CASE("reduce: inner axis, every tail", "[kernels][reduce]", float, double) {
  using T = TestType;
  for (std::int64_t n = 1; n <= 150; ++n) {
    check<T, product, reduction::sum, true, C, C>(make_nest({n}, 0, {{1}, {1}}), times);
    check<T, log_minus, reduction::sum, true, C, B>(make_nest({3, n}, 1, {{n, 1}, {1, 0}}), log_less);
    check<T, log_minus, reduction::maximum, true, C, B>(make_nest({3, n}, 1, {{n, 1}, {1, 0}}), log_less);
  }
}

TEMPLATE_TEST_CASE("reduce: many short rows, every tail", "[kernels][reduce]", float, double) {
  using T = TestType;
  for (std::int64_t results : {1, 5, 8, 15, 16, 17, 40})
    for (std::int64_t n = 1; n <= 70; ++n) {
      check<T, log_minus, reduction::sum, true, C, B>(make_nest({results, n}, 1, {{n, 1}, {1, 0}}), log_less);
      check<T, log_minus, reduction::maximum, true, C, C>(make_nest({3, results, n}, 2, {{results * n, n, 1}, {0, n, 1}}), log_less);
    }
}

TEMPLATE_TEST_CASE("reduce: inner axis, several reduced axes and short rows", "[kernels][reduce]", float, double) {
  using T = TestType;
  for (std::int64_t n : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 64, 100}) {
    // bias gradient: keep the channel of (5, 3, 4, n)
    check<T, product, reduction::sum, true, C, S>(make_nest({3, 5, 4, n}, 1, {{4 * n, 12 * n, n, 1}, {1, 3, 0, 2}}), times);
    check<T, log_minus, reduction::sum, true, S, C>(make_nest({2, 150, n}, 1, {{1, 2, 300}, {150 * n, n, 1}}), log_less);
    check<T, log_minus, reduction::maximum, true, C, C>(make_nest({2, 150, n}, 1, {{150 * n, n, 1}, {0, 0, 1}}), log_less);
    check<T, product, reduction::sum, true, C, C>(make_nest({9, 30, n}, 0, {{30 * n, n, 1}, {30 * n, n, 1}}), times);
  }
}

TEMPLATE_TEST_CASE("reduce: outer axes, every tail", "[kernels][reduce]", float, double) {
  using T = TestType;
  for (std::int64_t n = 1; n <= 90; ++n) {
    check<T, log_minus, reduction::sum, false, C, B>(make_nest({n, 5}, 1, {{1, n}, {0, 1}}), log_less);
    check<T, log_minus, reduction::maximum, false, C, S>(make_nest({n, 70}, 1, {{1, n}, {2, 1}}), log_less);
    check<T, product, reduction::sum, false, C, C>(make_nest({2, n, 3, 130}, 2, {{390 * n, 1, 130 * n, n}, {0, 1, n, 0}}), times);
  }
}

TEMPLATE_TEST_CASE("reduce: nothing kept, nothing reduced", "[kernels][reduce]", float, double) {
  using T = TestType;
  check<T, product, reduction::sum, false, B, B>(make_nest({50, 3}, 0, {{3, 1}, {1, 2}}), times);
  check<T, product, reduction::sum, false, C, C>(make_nest({50}, 1, {{1}, {1}}), times);
  check<T, product, reduction::sum, true, C, C>(make_nest({50}, 1, {{1}, {1}}), times);
  check<T, product, reduction::sum, true, C, C>(make_nest({}, 0, {{}, {}}), times);
}

TEMPLATE_TEST_CASE("reduce: maximum of NaN is NaN, sums of infinities are infinite", "[kernels][reduce]", float, double) {
  using T = TestType;
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  for (std::size_t n : {1u, 5u, 16u, 63u, 64u, 500u})
    for (std::size_t at = 0; at < n; ++at) {
      std::vector<T> x(n, T(-1));
      const T* in[] = {x.data()};
      const loop_nest inner = make_nest({static_cast<std::int64_t>(n)}, 0, {{1}});
      T out = 0;
      x[at] = nan;
      volute::kernels::reduce<T, value, lanes{{C}}, reduction::maximum, true>(inner, in, &out);
      REQUIRE(std::isnan(out));
      volute::kernels::reduce<T, value, lanes{{B}}, reduction::maximum, false>(inner, in, &out);
      REQUIRE(std::isnan(out));
      x[at] = -inf;
      volute::kernels::reduce<T, value, lanes{{C}}, reduction::sum, true>(inner, in, &out);
      REQUIRE(out == -inf);
      volute::kernels::reduce<T, value, lanes{{B}}, reduction::sum, false>(inner, in, &out);
      REQUIRE(out == -inf);
      volute::kernels::reduce<T, value, lanes{{C}}, reduction::maximum, true>(inner, in, &out);
      REQUIRE(out == (n == 1 ? -inf : T(-1)));
    }
}

TEST_CASE("reduce: long sums in float are accurate", "[kernels][reduce]") {
  constexpr std::int64_t n = 10'000'000;
  numbers rnd(1);
  std::vector<float> x(n);
  double want = 0;
  for (float& v : x) want += double(v = static_cast<float>(rnd.uniform(0, 1)));
  const float* in[] = {x.data()};
  float out = 0;
  volute::kernels::reduce<float, value, lanes{{C}}, reduction::sum, true>(make_nest({n}, 0, {{1}}), in, &out);
  CHECK(std::abs(double(out) / want - 1) < 2e-7);
  volute::kernels::reduce<float, value, lanes{{B}}, reduction::sum, false>(make_nest({n}, 0, {{1}}), in, &out);
  CHECK(std::abs(double(out) / want - 1) < 2e-7);
  std::vector<float> columns(16);  // (n / 16, 16) over the rows
  volute::kernels::reduce<float, value, lanes{{C}}, reduction::sum, false>(make_nest({16, n / 16}, 1, {{1, 16}}), in, columns.data());
  double all = 0;
  for (float c : columns) all += double(c);
  CHECK(std::abs(all / want - 1) < 2e-7);
  volute::kernels::reduce<float, value, lanes{{C}}, reduction::sum, true>(make_nest({n / 4, 4}, 0, {{4, 1}}), in, &out);  // short rows
  CHECK(std::abs(double(out) / want - 1) < 2e-7);
  x.assign(n, 1.0f);
  const float* ones[] = {x.data()};
  volute::kernels::reduce<float, value, lanes{{C}}, reduction::sum, true>(make_nest({n}, 0, {{1}}), ones, &out);
  CHECK(out == float(n));
  volute::kernels::reduce<float, value, lanes{{B}}, reduction::sum, false>(make_nest({n}, 0, {{1}}), ones, &out);
  CHECK(out == float(n));
}

// 1/n is no element of the type, a running sum of n equal numbers rounds, and n times the number may be no element either.
TEMPLATE_TEST_CASE("reduce: the mean of equal numbers is that number", "[kernels][reduce]", float, double) {
  using T = TestType;
  for (const double number : {1000.3, 1 / 3.0, -7.7e30, 4e-42, 16777213.0}) {
    const T c = static_cast<T>(number);
    const std::vector<T> x(1 << 21, c);
    const T* in[] = {x.data()};
    std::vector<T> out(100);
    std::int64_t wrong = 0;
    const auto mean = [&]<reduction R, bool Inner, lane A>(const loop_nest& nest) {
      const auto terms = static_cast<double>(volute::kernels::positions(nest, nest.kept, nest.rank));
      const std::int64_t results = volute::kernels::positions(nest, 0, nest.kept);
      volute::kernels::reduce<T, value, lanes{{A}}, R, Inner>(nest, in, out.data(), {}, terms);
      for (std::int64_t k = 0; k < results; ++k) wrong += out[static_cast<std::size_t>(k)] != c;
    };
    const auto inner = [&](const loop_nest& nest) { mean.template operator()<reduction::mean, true, C>(nest); };
    const auto outer = [&](const loop_nest& nest) { mean.template operator()<reduction::mean, false, C>(nest); };
    for (std::int64_t n = 1; n <= 300; ++n) {
      inner(make_nest({n}, 0, {{1}}));
      inner(make_nest({40, n}, 1, {{n, 1}}));
      inner(make_nest({2, 7, n}, 1, {{n, 2 * n, 1}}));
      outer(make_nest({n % 90 + 1, n}, 1, {{1, 100}}));
      outer(make_nest({70, 3, n}, 1, {{1, 100, 300}}));
    }
    for (std::int64_t n : {1000, 4095, 4097, 32768, 46656, 100'001, 1'000'003, 1 << 21}) {
      inner(make_nest({n}, 0, {{1}}));
      inner(make_nest({n / 3, 3}, 0, {{3, 1}}));
      inner(make_nest({n / 20, 20}, 0, {{20, 1}}));
      outer(make_nest({17, n / 17}, 1, {{1, 17}}));
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("reduce: sums lose nothing that a float holds", "[kernels][reduce]") {
  const auto sums = [](const std::vector<float>& x, double want) {
    const auto n = static_cast<std::int64_t>(x.size());
    const float* in[] = {x.data()};
    float out[16]{};
    volute::kernels::reduce<float, value, lanes{{C}}, reduction::sum, true>(make_nest({n}, 0, {{1}}), in, out);
    CHECK(double(out[0]) == Approx(want).epsilon(1.2e-7));
    volute::kernels::reduce<float, value, lanes{{B}}, reduction::sum, false>(make_nest({n}, 0, {{1}}), in, out);
    CHECK(double(out[0]) == Approx(want).epsilon(1.2e-7));
    volute::kernels::reduce<float, value, lanes{{C}}, reduction::sum, false>(make_nest({16, n / 16}, 1, {{1, 16}}), in, out);
    double all = 0;
    for (float column : out) all += double(column);
    CHECK(all == Approx(want).epsilon(1.2e-7));
  };
  std::vector<float> x((1 << 24) + 16, 1.f);
  sums(x, double((1 << 24) + 16));
  x.assign(1 << 20, 0.25f);
  x[0] = 1e8f;
  sums(x, 1e8 + 0.25 * ((1 << 20) - 1));
  x[0] = 0.25f, x[777'777] = 1e8f;
  sums(x, 1e8 + 0.25 * ((1 << 20) - 1));
  numbers rnd(5);
  double want = 0;
  for (float& v : x) want += double(v = static_cast<float>(1e4 + rnd.uniform(-0.01, 0.01)));
  sums(x, want);
}
