// Matrix products against a plain loop in double: all four transpositions, all tails, vectors, broadcast batches, deep k.
#include "kernels_support.hpp"

#include <volute/kernels/matmul.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <utility>

using namespace kernels_test;

namespace {

template <class T, bool TA, bool TB>
void check(std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t k, bool share_a = false, bool share_b = false) {
  numbers rnd(static_cast<std::uint64_t>(m * 10007 + n * 101 + k));
  const auto a = rnd.vector<T>((share_a ? 1 : batch) * m * k), b = rnd.vector<T>((share_b ? 1 : batch) * k * n);
  std::vector<T> c(static_cast<std::size_t>(batch * m * n) + 2, T(77));
  volute::kernels::matmul<T, TA, TB>(batch, m, n, k, a.data(), share_a ? 0 : m * k, b.data(), share_b ? 0 : k * n, c.data() + 1);
  int wrong = 0;
  const double allowed = (sizeof(T) == 4 ? 2e-7 : 4e-16) * (8 + 0.3 * double(k));
  for (std::int64_t s = 0; s < batch; ++s)
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        const T* as = a.data() + (share_a ? 0 : s * m * k);
        const T* bs = b.data() + (share_b ? 0 : s * k * n);
        double want = 0;
        for (std::int64_t p = 0; p < k; ++p) want += double(as[TA ? p * m + i : i * k + p]) * double(bs[TB ? j * k + p : p * n + j]);
        if (!(std::abs(double(c[static_cast<std::size_t>((s * m + i) * n + j) + 1]) - want) <= allowed)) ++wrong;
      }
  CAPTURE(batch, m, n, k, TA, TB);
  CHECK(wrong == 0);
  CHECK(c.front() == T(77));
  CHECK(c.back() == T(77));
}

template <class T>
void check_all(std::int64_t m, std::int64_t n, std::int64_t k) {
  check<T, false, false>(1, m, n, k);
  check<T, false, true>(1, m, n, k);
  check<T, true, false>(1, m, n, k);
  check<T, true, true>(1, m, n, k);
}

}  // namespace

TEMPLATE_TEST_CASE("matmul: every tail of rows and columns", "[kernels][matmul]", float, double) {
  for (std::int64_t m = 1; m <= 20; ++m)
    for (std::int64_t n = 1; n <= 100; n += m % 3 + 1) check_all<TestType>(m, n, 1 + (m + n) % 9);
}

TEMPLATE_TEST_CASE("matmul: every tail of k", "[kernels][matmul]", float, double) {
  for (std::int64_t k = 1; k <= 140; ++k) {
    check_all<TestType>(1, 1, k);
    check_all<TestType>(5, 1, k);
    check_all<TestType>(1, 6, k);
    check_all<TestType>(9, 7, k);
    check_all<TestType>(3, 35, k);
  }
}

TEMPLATE_TEST_CASE("matmul: vectors", "[kernels][matmul]", float, double) {
  for (std::int64_t n = 1; n <= 80; ++n) {
    check_all<TestType>(1, n, 37);
    check_all<TestType>(n, 1, 40);
  }
}

TEMPLATE_TEST_CASE("matmul: several panels and parts of k", "[kernels][matmul]", float, double) {
  check_all<TestType>(64, 64, 64);
  check_all<TestType>(33, 101, 300);
  check_all<TestType>(32, 10, 1024);
  check_all<TestType>(17, 50, 1031);
  check_all<TestType>(2, 2, 5000);
}

TEST_CASE("matmul: long sums in float are accurate", "[kernels][matmul]") {
  constexpr std::int64_t k = 500'003;
  numbers rnd(3);
  std::vector<float> a(5 * k), b(5 * k);
  for (auto* v : {&a, &b})
    for (float& e : *v) e = static_cast<float>(rnd.uniform(0, 1));
  const auto worst = [&]<bool TA, bool TB>(std::int64_t m, std::int64_t n) {
    std::vector<float> c(static_cast<std::size_t>(m * n));
    volute::kernels::matmul<float, TA, TB>(1, m, n, k, a.data(), 0, b.data(), 0, c.data());
    double error = 0;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double want = 0;
        for (std::int64_t p = 0; p < k; ++p)
          want += double(a[static_cast<std::size_t>(TA ? p * m + i : i * k + p)]) *
                  double(b[static_cast<std::size_t>(TB ? j * k + p : p * n + j)]);
        error = std::max(error, std::abs(double(c[static_cast<std::size_t>(i * n + j)]) / want - 1));
      }
    return error;
  };
  for (const auto& [m, n] : {std::pair<std::int64_t, std::int64_t>{1, 5}, {5, 1}, {1, 1}, {3, 5}}) {
    CHECK(worst.operator()<false, false>(m, n) < 4e-6);  // in one chain, 4e-5
    CHECK(worst.operator()<false, true>(m, n) < 4e-6);
    CHECK(worst.operator()<true, false>(m, n) < 4e-6);
    CHECK(worst.operator()<true, true>(m, n) < 4e-6);
  }
}

TEMPLATE_TEST_CASE("matmul: batches, with either operand shared", "[kernels][matmul]", float, double) {
  for (int share = 0; share < 4; ++share) {
    check<TestType, false, false>(3, 5, 17, 9, share & 1, share & 2);
    check<TestType, false, true>(3, 5, 17, 70, share & 1, share & 2);
    check<TestType, true, false>(3, 1, 17, 9, share & 1, share & 2);
    check<TestType, true, true>(3, 18, 1, 9, share & 1, share & 2);
  }
}

TEMPLATE_TEST_CASE("a row of the product does not depend on how many rows there are", "", float, double) {
  using T = TestType;
  for (const std::int64_t n : {1, 5, 10, 33, 64})
    for (const std::int64_t k : {3, 17, 64, 300, 1024}) {
      constexpr std::int64_t m = 13;
      std::vector<T> a(static_cast<std::size_t>(m * k)), b(static_cast<std::size_t>(n * k)), all(static_cast<std::size_t>(m * n)),
          one(static_cast<std::size_t>(n));
      for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(std::sin(static_cast<double>(i)));
      for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(std::cos(static_cast<double>(3 * i)));
      const auto check = [&](auto product) {
        product(m, a.data(), all.data());
        for (std::int64_t i = 0; i < m; ++i) {
          product(std::int64_t{1}, a.data() + i * k, one.data());
          REQUIRE(std::equal(one.begin(), one.end(), all.begin() + i * n));
        }
      };
      check([&](std::int64_t rows, const T* from, T* to) {
        volute::kernels::matmul<T, false, true>(1, rows, n, k, from, 0, b.data(), 0, to);
      });
      check([&](std::int64_t rows, const T* from, T* to) {
        volute::kernels::matmul<T, false, false>(1, rows, n, k, from, 0, b.data(), 0, to);
      });
    }
}
