// Modulated convolutions of cases.json through the layer: y and, where given, its gradients by x, the weights and mod.
#include "support.hpp"

#include <volute/volute.hpp>

#include <tuple>
#include <type_traits>

namespace {

using namespace volute;
using namespace conformance;

/// The layer of a case. An option that is off is replaced by one that is there anyway.
template <class C>
using layer = nn::adaptive_conv3d_mod<C::x.value[1], nn::dim_out<C::w.value[0]>, nn::time_kernel<C::w.value[2]>, nn::spatial_kernel<C::w.value[3]>,
                                      nn::demod<C::demodulate>, nn::eps<C::eps>, std::conditional_t<C::eps_added, nn::added_eps, nn::eps<C::eps>>,
                                      std::conditional_t<C::scale_is_mod, nn::scale_is_mod, nn::eps<C::eps>>,
                                      std::conditional_t<C::causal, nn::causal, nn::eps<C::eps>>>;

template <class C, class T>
void run(double tolerance) {
  INFO(C::id << " in " << (sizeof(T) == 4 ? "float" : "double"));
  static_assert(C::w.value[3] == C::w.value[4]);
  const json& want = entry(C::id);
  const auto in = mod_inputs<T>::template of<C>();
  constexpr auto x = input_of<"x">(C::x);
  constexpr auto w = parameter_of<"weights">(C::w);
  constexpr auto mod = input_of<"mod">(C::mod);
  constexpr auto y = layer<C>{}(x, mod);
  static_assert(y.shape() == C::y.value);
  if constexpr (C::gradients) {
    constexpr auto g = input_of<"g">(C::y);
    constexpr auto d = gradient(y, x, w, mod, cotangent(g));
    const auto [vy, dx, dw, dmod] = evaluate(outputs(y, std::get<0>(d), std::get<1>(d), std::get<2>(d)), x = in.x, w = in.w, mod = in.mod,
                                             g = filled<T>(C::y, fg));
    check(want.at("Y"), vy, tolerance);
    check(want.at("dx"), dx, tolerance);
    check(want.at("dw"), dw, tolerance);
    check(want.at("dmod_full"), dmod, tolerance);
  } else {
    const auto [vy] = evaluate(outputs(y), x = in.x, w = in.w, mod = in.mod);
    check(want.at("Y"), vy, tolerance);
  }
}

}  // namespace

// Without demodulation (M01) everything is a dyadic fraction.
#define MOD_CASE(id)                                            \
  TEST_CASE(#id) {                                              \
    run<id, double>(id::demodulate ? rounding<double> : exact); \
    run<id, float>(id::demodulate ? rounding<float> : exact);   \
  }
#include "conformance_cases.hpp"

namespace {

constexpr auto x = input<"x", 2, 3, 4, 5, 6>;
constexpr auto mod = input<"mod", 2, 3>;
constexpr auto g = input<"g", 2, 4, 4, 5, 6>;

double eighth(std::int64_t i) { return fw(i) / 8; }

template <class T>
void several_kernels() {
  constexpr auto kernel_mod = input<"kernel_mod", 2, 3>;
  constexpr auto w = parameter<"weights", 3, 4, 3, 3, 3, 3>;
  constexpr auto y = nn::adaptive_conv3d_mod<3, nn::dim_out<4>, nn::num_kernels<3>>{}(x, mod, kernel_mod);
  constexpr auto dx = gradient(y, x, cotangent(g));
  constexpr auto dmod = gradient(y, mod, cotangent(g));
  constexpr auto dw = gradient(y, w, cotangent(g));
  constexpr auto dk = gradient(y, kernel_mod, cotangent(g));
  const auto [vy, vdx, vdw, vdmod, vdk] =
      evaluate(outputs(y, dx, dw, dmod, dk), x = filled<T>(shape<2, 3, 4, 5, 6>, fx), mod = filled<T>(shape<2, 3>, fm),
               kernel_mod = filled<T>(shape<2, 3>, [](std::int64_t i) { return 2 * fm(i); }), w = filled<T>(shape<3, 4, 3, 3, 3, 3>, eighth),
               g = filled<T>(shape<2, 4, 4, 5, 6>, fg));
  const json& want = entry("M20");
  check(want.at("Y"), vy, rounding<T>);
  check(want.at("dx"), vdx, rounding<T>);
  check(want.at("dw"), vdw, rounding<T>);
  check(want.at("dmod"), vdmod, rounding<T>);
  check(want.at("dkmod_full"), vdk, rounding<T>);
}

template <class T>
void normalized_before() {
  constexpr auto w = parameter<"weights", 4, 3, 3, 3, 3>;
  constexpr auto y = nn::adaptive_conv3d_mod<3, nn::dim_out<4>, nn::pre_normalized, nn::input_gain<0.5>, nn::added_eps>{}(x, mod);
  const auto vx = filled<T>(shape<2, 3, 4, 5, 6>, fx);
  const auto vmod = filled<T>(shape<2, 3>, fm);
  const auto vw = filled<T>(shape<4, 3, 3, 3, 3>, eighth);
  const xt::xtensor<T, 5> vy = evaluate(y, x = vx, mod = vmod, w = vw);
  check(entry("M21").at("Y"), vy, rounding<T>);
  if constexpr (sizeof(T) == 8) {
    constexpr auto plain = nn::adaptive_conv3d_mod<3, nn::dim_out<4>>{}(x, mod);
    const xt::xtensor<T, 5> vplain = evaluate(plain, x = vx, mod = vmod, w = vw);
    double largest = 0;
    for (std::size_t i = 0; i < vy.size(); ++i) largest = std::max(largest, std::abs(vy.data()[i] - 0.5 * vplain.data()[i]));
    CHECK(std::abs(largest - entry("M21b").at("maxdiff").get<double>()) < 1e-14);
  }
}

}  // namespace

TEST_CASE("M20: several kernels and their selector") {
  several_kernels<double>();
  several_kernels<float>();
}
TEST_CASE("M21, M21b: normalisation before the modulation, gain, added eps") {
  normalized_before<double>();
  normalized_before<float>();
}
