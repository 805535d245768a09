// Elementwise kernels against plain loops in double: every tail, every form of access, short rows, in-place.
#include "kernels_support.hpp"

#include <volute/kernels/elementwise.hpp>

#include <catch2/catch.hpp>

using namespace kernels_test;
using volute::ops::fn;
using volute::ops::lane;
using volute::ops::lanes;
using volute::ops::loop_nest;
using volute::ops::scalar_program;

namespace {

// relu(a * x + b)
constexpr scalar_program affine_relu{3, 0, 3, {}, {{fn::multiply, 0, 1}, {fn::add, 3, 2}, {fn::relu, 4}}};
double affine_relu_of(double a, double x, double b) { return std::fmax(a * x + b, 0.0); }
// x * 2.5 - 1, with two constants
constexpr scalar_program scale{1, 2, 2, {2.5, 1}, {{fn::multiply, 0, 1}, {fn::subtract, 3, 2}}};
constexpr scalar_program copy{1, 0, 0, {}, {}};
constexpr scalar_program choose{3, 0, 1, {}, {{fn::select, 0, 1, 2}}};

constexpr lane C = lane::contiguous, B = lane::broadcast, S = lane::strided;

template <class T, lane A0, lane A1, lane A2>
void check_affine(const loop_nest& nest) {
  numbers rnd(7);
  const auto a = rnd.vector<T>(span(nest, 0)), x = rnd.vector<T>(span(nest, 1)), b = rnd.vector<T>(span(nest, 2));
  std::int64_t size = 1;
  for (int i = 0; i < nest.rank; ++i) size *= nest.extent[i];
  std::vector<T> out(static_cast<std::size_t>(size) + 2, T(77));
  const T* in[] = {a.data(), x.data(), b.data()};
  volute::kernels::elementwise<T, affine_relu, lanes{{A0, A1, A2}}>(nest, in, out.data() + 1);
  int wrong = 0;
  for_each_position(nest, [&](std::int64_t p, const std::int64_t* index) {
    const double want = affine_relu_of(double(in[0][offset(nest, 0, index)]), double(in[1][offset(nest, 1, index)]),
                                       double(in[2][offset(nest, 2, index)]));
    if (!near(double(out[static_cast<std::size_t>(p) + 1]), want, tolerance<T>())) ++wrong;
  });
  CHECK(wrong == 0);
  CHECK(out.front() == T(77));  // nothing before and nothing behind
  CHECK(out.back() == T(77));
}

}  // namespace

TEMPLATE_TEST_CASE("elementwise: every tail of one contiguous axis", "[kernels][elementwise]", float, double) {
  for (std::int64_t n = 1; n <= 70; ++n) check_affine<TestType, C, C, C>(make_nest({n}, 1, {{1}, {1}, {1}}));
}

TEMPLATE_TEST_CASE("elementwise: a scalar", "[kernels][elementwise]", float, double) {
  check_affine<TestType, C, C, C>(make_nest({}, 0, {{}, {}, {}}));
}

TEMPLATE_TEST_CASE("elementwise: broadcasts and strides at every inner extent", "[kernels][elementwise]", float, double) {
  for (std::int64_t n = 1; n <= 40; ++n) {
    // per-channel scale and bias over (2, 3, n)
    check_affine<TestType, B, C, B>(make_nest({2, 3, n}, 3, {{0, 1, 0}, {3 * n, n, 1}, {0, 1, 0}}));
    // a row for all, a column for all, a strided input
    check_affine<TestType, C, B, S>(make_nest({5, n}, 2, {{0, 1}, {1, 0}, {3 * n, 3}}));
    // transposed and reversed inputs
    check_affine<TestType, S, S, C>(make_nest({4, 7, n}, 3, {{1, 4, 28}, {7 * n, 1, 7}, {7 * n, n, 1}}));
    check_affine<TestType, S, S, S>(make_nest({300, n}, 2, {{1, 300}, {0, 0}, {n, 1}}));
  }
}

TEMPLATE_TEST_CASE("elementwise: rank 8", "[kernels][elementwise]", float, double) {
  check_affine<TestType, C, B, C>(make_nest({2, 1, 3, 2, 1, 2, 3, 5}, 8,
                                            {{180, 180, 60, 30, 30, 15, 5, 1}, {0, 0, 1, 0, 0, 3, 0, 0}, {0, 0, 0, 30, 30, 15, 5, 1}}));
}

TEMPLATE_TEST_CASE("elementwise: in place", "[kernels][elementwise]", float, double) {
  using T = TestType;
  for (std::int64_t n : {1, 2, 3, 5, 8, 15, 16, 17, 100, 1000}) {
    const loop_nest nest = make_nest({37, n}, 2, {{n, 1}, {1, 0}, {0, 1}});
    numbers rnd(3);
    std::vector<T> a = rnd.vector<T>(37 * n), x = rnd.vector<T>(37), b = rnd.vector<T>(n);
    const std::vector<T> before = a;
    const T* in[] = {a.data(), x.data(), b.data()};
    volute::kernels::elementwise<T, affine_relu, lanes{{C, B, C}}>(nest, in, a.data());
    int wrong = 0;
    for (std::int64_t i = 0; i < 37; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        const auto p = static_cast<std::size_t>(i * n + j);
        const double want = affine_relu_of(double(before[p]), double(x[static_cast<std::size_t>(i)]), double(b[static_cast<std::size_t>(j)]));
        if (!near(double(a[p]), want, tolerance<T>())) ++wrong;
      }
    CHECK(wrong == 0);
  }
}

TEMPLATE_TEST_CASE("elementwise: constants, no instruction, select", "[kernels][elementwise]", float, double) {
  using T = TestType;
  numbers rnd(5);
  for (std::int64_t n : {1, 15, 33}) {
    const std::vector<T> x = rnd.vector<T>(n), y = rnd.vector<T>(n);
    std::vector<T> out(static_cast<std::size_t>(n));
    const T* in[] = {x.data()};
    volute::kernels::elementwise<T, scale, lanes{{C}}>(make_nest({n}, 1, {{1}}), in, out.data());
    for (std::size_t i = 0; i < out.size(); ++i) CHECK(near(double(out[i]), double(x[i]) * 2.5 - 1, tolerance<T>()));
    volute::kernels::elementwise<T, copy, lanes{{C}}>(make_nest({n}, 1, {{1}}), in, out.data());
    CHECK(out == x);
    std::vector<T> mask(static_cast<std::size_t>(n)), nan(static_cast<std::size_t>(n), std::numeric_limits<T>::quiet_NaN());
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = T(i % 3 == 0);
    const T* in3[] = {mask.data(), x.data(), nan.data()};
    volute::kernels::elementwise<T, choose, lanes{{C, C, C}}>(make_nest({n}, 1, {{1}, {1}, {1}}), in3, out.data());
    for (std::size_t i = 0; i < out.size(); ++i) CHECK(near(double(out[i]), i % 3 == 0 ? double(x[i]) : std::nan(""), 0));
  }
}
