// Means and normalisations of what is constant, or nearly so: what a mean of rounded sums gets wrong.
#include <volute/volute.hpp>

#include "kernels_support.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

using namespace volute;
namespace nn = volute::nn;

namespace {

constexpr auto large = input<"x", 1, 2, 32, 32, 32>;
constexpr auto odd = input<"x", 3, 5, 3, 7, 1>;
constexpr auto three = input<"x", 3>;
constexpr auto s = input<"s", 2>;
constexpr auto voxels = axes<2, 3, 4>;

using plain = nn::affine<false>;
using flat_norm = nn::layer_norm<shape<32, 32, 32>, plain>;
constexpr auto means = outputs(mean(large), mean(large, voxels), mean(large, axes<0, 2>, keepdims), mean(large, axes<1>),
                               adaptive_avg_pool3d(large, output_size<1>), mean(-large) * -1_c);
constexpr auto odd_means = outputs(mean(odd), mean(odd, voxels), mean(odd, axes<0, 2, 3, 4>), mean(odd, axes<0>), mean(odd, axes<3, 4>),
                                   mean(odd, axes<1>), mean(mean(odd, axes<0>)), mean(reshape(odd, shape<45, 7>), axes<0>));
constexpr auto norms =
    outputs(nn::instance_norm3d<2>{}(large), nn::group_norm<1, 2, plain>{}(large), training(nn::batch_norm3d<2, plain>{}(large)),
            flat_norm{}(large), nn::layer_norm<32, plain>{}(large), large - mean(large));
constexpr auto odd_norms = outputs(nn::instance_norm3d<5>{}(odd), nn::group_norm<5, 5, plain>{}(odd),
                                   training(nn::batch_norm3d<5, plain>{}(odd)), nn::layer_norm<shape<7, 1>, plain>{}(odd));

/// The elements of a result, which may be a number.
template <class T, class R>
std::vector<T> values(const R& r) {
  if constexpr (std::is_arithmetic_v<R>)
    return {r};
  else
    return {r.data(), r.data() + r.size()};
}

template <class T, auto Outputs, class In>
void every_element_is(In in, std::initializer_list<double> numbers, bool zero) {
  program<Outputs, T> p;
  for (const double c : numbers) {
    const std::vector<T> x(static_cast<std::size_t>(In::shape().size()), static_cast<T>(c));
    std::apply(
        [&](const auto&... result) {
          const auto wrong = [&](const auto& r) {
            int n = 0;
            for (const T v : values<T>(r)) n += v != (zero ? T(0) : static_cast<T>(c));
            return n;
          };
          CHECK((wrong(result) + ...) == 0);
        },
        p(in = x));
  }
}
constexpr std::initializer_list<double> constants = {1000.3, 1 / 3.0, -7.7e20, 1e-30, 16777213.0, 0};

/// Mean and variance of the population, in double.
struct moments {
  double mean = 0, variance = 0;
  explicit moments(const std::vector<float>& x) {
    for (const float v : x) mean += double(v) / double(x.size());
    for (const float v : x) variance += (double(v) - mean) * (double(v) - mean) / double(x.size());
  }
};

}  // namespace

TEMPLATE_TEST_CASE("the mean of a constant is that constant, and its norm is 0", "[layers][norm]", float, double) {
  every_element_is<TestType, means>(large, constants, false);
  every_element_is<TestType, norms>(large, constants, true);
  every_element_is<TestType, odd_means>(odd, constants, false);
  every_element_is<TestType, odd_norms>(odd, constants, true);
}

TEST_CASE("means of squares, multiples and factors are as exact") {
  const std::vector<float> x(3, 1000.3f);
  const auto c = x[0];
  auto [squares, thrice, third] = evaluate(outputs(mean(square(three)), mean(three * 3_c), mean(three) * 3_c), three = x);
  CHECK(squares == c * c);
  CHECK(thrice == c * 3);
  CHECK(third == c * 3);
  const std::vector<float> volume(65536, c), factor = {2, 0.5f};
  const xt::xtensor<float, 2> scaled = evaluate(mean(large * per_channel(s), voxels), large = volume, s = factor);
  CHECK(scaled(0, 0) == 2 * c);
  CHECK(scaled(0, 1) == c / 2);
}

TEST_CASE("mean, variance and norm of a large mean and a small variance", "[layers][norm]") {
  kernels_test::numbers rnd(3);
  std::vector<float> x(65536);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(1e4 + (i < 32768 ? 0.1 : 2) * rnd.uniform(-1, 1));
  constexpr auto centred = large - mean(large, voxels, keepdims);
  program<outputs(mean(large, voxels), mean(square(centred), voxels), nn::instance_norm3d<2>{}(large))> p;
  auto [mean, variance, norm] = p(large = x);
  for (std::size_t c = 0; c < 2; ++c) {
    const std::vector<float> channel(x.begin() + static_cast<std::ptrdiff_t>(32768 * c),
                                     x.begin() + static_cast<std::ptrdiff_t>(32768 * (c + 1)));
    const moments want(channel);
    CHECK(float(mean(0, c)) == static_cast<float>(want.mean));
    CHECK(double(variance(0, c)) == Approx(want.variance).epsilon(1e-4));
    const double deviation = std::sqrt(want.variance + 1e-5);
    double worst = 0;
    for (std::size_t i = 0; i < channel.size(); ++i)
      worst = std::fmax(worst, std::abs(double(norm.data()[32768 * c + i]) - (double(channel[i]) - want.mean) / deviation));
    CHECK(worst * deviation < 5e-4);  // half a unit in the last place of the mean
  }
}
