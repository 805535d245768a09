// Means and variances in one pass: against two passes in double, in blocks and NCDHW; constants, large means, infinities, threads.
#include "kernels_support.hpp"

#include <volute/core/executor.hpp>
#include <volute/kernels/moments.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace kernels_test;
using volute::ops::volume_layout;

namespace {

/// zeros: around each plane. block 0: NCDHW.
volume_layout layout(std::int64_t batch, std::int64_t channels, std::int64_t d, std::int64_t h, std::int64_t w, std::int64_t block,
                     std::int64_t zeros) {
  if (block == 0) zeros = 0;
  return {block, batch, channels, d, h, w, zeros, h + 2 * zeros, zeros, w + 2 * zeros};
}
/// Where element i of a channel of a sample lies.
std::size_t place(const volume_layout& l, std::int64_t s, std::int64_t c, std::int64_t i) {
  const std::int64_t w = i % l.columns, h = i / l.columns % l.rows, d = i / l.columns / l.rows;
  const std::int64_t first = l.blocked() ? s * (l.channels / l.block) + c / l.block : s * l.channels + c;
  const std::int64_t block = l.blocked() ? l.block : 1;
  return static_cast<std::size_t>(
      (((first * l.planes + d) * l.all_rows + l.rows_before + h) * l.all_columns + l.columns_before + w) * block + c % block);
}

template <class T>
struct result {
  std::vector<T> mean, variance;
};
template <class T, bool KeepsSamples>
result<T> run(const volume_layout& l, const std::vector<T>& x, const volute::kernels::team<T>& workers = {}) {
  using namespace volute::kernels;
  const std::size_t results = static_cast<std::size_t>((KeepsSamples ? l.batch : 1) * l.channels);
  result<T> r{std::vector<T>(results, T(-9)), std::vector<T>(results, T(-9))};
  const auto with = [&](auto lanes) {
    moments_of<T, decltype(lanes)::value, KeepsSamples>(l, x.data(), r.mean.data(), r.variance.data(), workers);
  };
  if (!l.blocked())
    with(std::integral_constant<int, 1>{});
  else if (block_lanes<T>(l.block) == block_lanes<T>(1))
    with(std::integral_constant<int, block_lanes<T>(1)>{});
  else
    with(std::integral_constant<int, volute::simd::width<T>>{});
  return r;
}

/// number(sample, channel, i) against two passes in double; what is around a plane must not count.
template <class T, bool KeepsSamples, class F>
void check(const volume_layout& l, double tolerance, F number) {
  const std::int64_t volume = l.planes * l.rows * l.columns, samples = KeepsSamples ? 1 : l.batch;
  std::vector<T> x(static_cast<std::size_t>(l.batch * l.channels * l.planes * l.all_rows * l.all_columns), T(77));
  for (std::int64_t s = 0; s < l.batch; ++s)
    for (std::int64_t c = 0; c < l.channels; ++c)
      for (std::int64_t i = 0; i < volume; ++i) x[place(l, s, c, i)] = static_cast<T>(number(s, c, i));
  const result<T> got = run<T, KeepsSamples>(l, x);
  double worst_mean = 0, worst_variance = 0;
  for (std::size_t k = 0; k < got.mean.size(); ++k) {
    const std::int64_t c = static_cast<std::int64_t>(k) % l.channels, first = static_cast<std::int64_t>(k) / l.channels;
    const auto over = [&](auto term) {
      double sum = 0;
      for (std::int64_t s = first; s < first + samples; ++s)
        for (std::int64_t i = 0; i < volume; ++i) sum += term(static_cast<double>(x[place(l, s, c, i)]));
      return sum / static_cast<double>(samples * volume);
    };
    const double mean = over([](double v) { return v; }), variance = over([&](double v) { return (v - mean) * (v - mean); });
    const double scale = std::max(std::fabs(mean), std::sqrt(variance));
    worst_mean = std::max(worst_mean, std::fabs(static_cast<double>(got.mean[k]) - mean) / scale);
    worst_variance = std::max(worst_variance, std::fabs(static_cast<double>(got.variance[k]) - variance) / (variance > 0 ? variance : 1));
  }
  INFO("block " << l.block << ", rows " << l.rows << ", columns " << l.columns << ", zeros " << l.rows_before);
  CHECK(worst_mean < tolerance);
  CHECK(worst_variance < 2 * tolerance);
}
template <class T, bool KeepsSamples, class F>
void check_layouts(double tolerance, F number) {
  for (const std::int64_t block : {0, 4, 8, 12, 24})
    for (const std::int64_t zeros : {0, 2}) {
      check<T, KeepsSamples>(layout(2, 24, 3, 5, 7, block, zeros), tolerance, number);
      check<T, KeepsSamples>(layout(1, 24, 1, 1, 1, block, zeros), tolerance, number);
      check<T, KeepsSamples>(layout(2, 24, 2, 70, 67, block, zeros), tolerance, number);  // several parts
    }
}

}  // namespace

TEMPLATE_TEST_CASE("means and variances in one pass", "[kernels][norm]", float, double) {
  using T = TestType;
  const double tolerance = std::is_same_v<T, float> ? 4e-7 : 2e-14;
  numbers random(3);
  const auto plain = [&](std::int64_t, std::int64_t c, std::int64_t) { return random.uniform(-1, 1) + static_cast<double>(c); };
  check_layouts<T, true>(tolerance, plain);
  check_layouts<T, false>(tolerance, plain);
  SECTION("a mean that is large beside the deviation, and grows along the volume") {
    check_layouts<T, true>(std::is_same_v<T, float> ? 4 * tolerance : 1e-11, [&](std::int64_t s, std::int64_t c, std::int64_t i) {
      return 3e4 * static_cast<double>(1 + s + c) + static_cast<double>(i % 64) / 4;
    });
  }
  SECTION("outliers in front") {
    check_layouts<T, true>(4 * tolerance,
                           [&](std::int64_t, std::int64_t, std::int64_t i) { return i == 0 ? 4096.0 : random.uniform(-1, 1); });
  }
}

TEMPLATE_TEST_CASE("a constant is its mean and has no variance", "[kernels][norm]", float, double) {
  using T = TestType;
  for (const std::int64_t block : {0, 8, 24}) {
    const volume_layout l = layout(2, 24, 3, 29, 31, block, 1);
    std::vector<T> x(static_cast<std::size_t>(l.batch * l.channels * l.planes * l.all_rows * l.all_columns), T(0.1));
    for (const result<T>& r : {run<T, true>(l, x), run<T, false>(l, x)})
      for (std::size_t k = 0; k < r.mean.size(); ++k) {
        CHECK(r.mean[k] == T(0.1));
        CHECK(r.variance[k] == T(0));
      }
  }
}

TEMPLATE_TEST_CASE("moments of infinities, NaN and numbers whose squares overflow", "[kernels][norm]", float, double) {
  using T = TestType;
  constexpr T infinity = std::numeric_limits<T>::infinity(), most = std::numeric_limits<T>::max();
  for (const std::int64_t block : {0, 8}) {
    const volume_layout l = layout(1, 8, 2, 9, 9, block, 1);
    std::vector<T> x(static_cast<std::size_t>(l.channels * l.planes * l.all_rows * l.all_columns), T(1));
    x[place(l, 0, 1, 100)] = infinity, x[place(l, 0, 2, 0)] = -infinity, x[place(l, 0, 3, 5)] = std::numeric_limits<T>::quiet_NaN();
    for (std::int64_t i = 0; i < 162; ++i) x[place(l, 0, 4, i)] = i % 2 ? most / 4 : -most / 4;
    const result<T> r = run<T, true>(l, x);
    CHECK(r.mean[0] == T(1));
    CHECK(r.mean[1] == infinity);
    CHECK(r.mean[2] == -infinity);
    CHECK(std::isnan(r.mean[3]));
    CHECK(std::fabs(r.mean[4]) < most / 1000);
    CHECK(r.variance[0] == T(0));
    for (const std::size_t k : {1u, 2u, 3u}) CHECK(std::isnan(r.variance[k]));
    CHECK(r.variance[4] == infinity);
    CHECK(r.mean[5] == T(1));
  }
}
