// What must hold for every modulated convolution: normalisation, the samples' independence, and the ends of the number range.
#include "properties_support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <tuple>

namespace {

using namespace volute;
using namespace properties;

constexpr auto x = input<"x", 2, 3, 4, 5, 6>;
constexpr auto mod = input<"mod", 2, 3>;
constexpr auto g = input<"g", 2, 4, 4, 5, 6>;
constexpr auto w = parameter<"weights", 4, 3, 3, 3, 3>;
using styled = nn::adaptive_conv3d_mod<3, nn::dim_out<4>>;
using plain = nn::adaptive_conv3d_mod<3, nn::dim_out<4>, nn::demod<false>>;

const auto vx = reals<float>(x.shape(), 1), vw = reals<float>(w.shape(), 2), vmod = reals<float>(mod.shape(), 3), vg = reals<float>(g.shape(), 4);

std::vector<float> times(std::vector<float> v, float c) {
  for (float& e : v) e *= c;
  return v;
}

/// y and its gradients by x, the weights and mod.
template <class Layer = styled>
auto results(const std::vector<float>& weights, const std::vector<float>& modulation) {
  constexpr auto y = Layer{}(x, mod);
  constexpr auto d = gradient(y, x, w, mod, cotangent(g));
  return evaluate(outputs(y, std::get<0>(d), std::get<1>(d), std::get<2>(d)), x = vx, w = weights, mod = modulation, g = vg);
}
bool all_finite(const auto& r) {
  return std::apply([](const auto&... t) { return (finite(t) && ...); }, r);
}

}  // namespace

TEST_CASE("The scale of the weights has no influence") {
  const auto y = std::get<0>(results(vw, vmod));
  CHECK(finite(y));
  for (const float c : {0.01f, 0.37f, 8.0f, 1000.0f}) CHECK(difference(std::get<0>(results(times(vw, c), vmod)), y) < 2e-6);
}

TEST_CASE("Demodulated filters have unit norm") {
  constexpr auto bank = demodulate(modulate(w, mod));
  static_assert(bank.shape() == shape<2, 4, 3, 3, 3, 3>);
  const auto [norms, filters] = evaluate(outputs(sum(square(bank), axes<2, 3, 4, 5>), bank), w = vw, mod = vmod);
  for (const float n : norms) CHECK(std::abs(n - 1) < 1e-5f);
  // The layer convolves with just these, one bank a sample.
  constexpr auto one_by_one = conv3d(x, input<"bank", 2, 4, 3, 3, 3, 3>, same);
  const xt::xtensor<float, 5> y = evaluate(one_by_one, x = vx, input<"bank", 2, 4, 3, 3, 3, 3> = filters);
  CHECK(difference(std::get<0>(results(vw, vmod)), y) < 5e-6);
}

TEST_CASE("A modulated batch is its samples, bit for bit") {
  constexpr auto x1 = input<"x", 1, 3, 4, 5, 6>;
  constexpr auto mod1 = input<"mod", 1, 3>;
  const xt::xtensor<float, 5> y = evaluate(styled{}(x, mod), x = vx, mod = vmod, w = vw);
  for (std::ptrdiff_t n = 0; n < 2; ++n) {
    const std::vector<float> sample(vx.begin() + n * 360, vx.begin() + (n + 1) * 360), style(vmod.begin() + n * 3, vmod.begin() + (n + 1) * 3);
    const xt::xtensor<float, 5> one = evaluate(styled{}(x1, mod1), x1 = sample, mod1 = style, w = vw);
    CHECK(std::equal(one.begin(), one.end(), y.begin() + n * static_cast<std::ptrdiff_t>(one.size())));
  }
}

TEST_CASE("No modulation is a modulation by zero") {
  const xt::xtensor<float, 5> absent = evaluate(styled{}(x), x = vx, w = vw);
  CHECK(difference(absent, std::get<0>(results(vw, std::vector<float>(6, 0.0f)))) < 1e-6);
}

TEST_CASE("Nothing becomes NaN or infinite") {
  const std::vector<float> zeros(vw.size(), 0.0f), annihilated(6, -1.0f);
  CHECK(all_finite(results(zeros, vmod)));
  CHECK(all_finite(results(vw, annihilated)));
  CHECK(all_finite(results(zeros, annihilated)));
  CHECK(all_finite(results(times(vw, 1e-30f), vmod)));
  CHECK(all_finite(results(times(vw, 1e-30f), annihilated)));
  CHECK(all_finite(results(times(vw, 1e30f), vmod)));
  CHECK(all_finite(results(times(vw, 1e30f), annihilated)));
}

TEST_CASE("A sum of squares that underflows gives 1 / sqrt(eps), one that overflows gives 0") {
  const auto tiny = times(vw, 1e-30f);
  const auto undemodulated = std::get<0>(results<plain>(tiny, vmod));
  CHECK(difference(times(flat(undemodulated), 1e4f), std::get<0>(results(tiny, vmod))) < 1e-6);
  const auto y = std::get<0>(results(times(vw, 1e30f), vmod));
  CHECK(std::all_of(y.begin(), y.end(), [](float v) { return v == 0; }));
}
