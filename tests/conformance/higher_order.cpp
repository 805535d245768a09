// Gradients of gradients: penalties of second and third order through strided, activated and demodulated convolutions.
#include "support.hpp"

#include <volute/volute.hpp>

#include <cmath>
#include <tuple>

namespace {

using namespace volute;
using namespace conformance;

auto scaled(double (*formula)(std::int64_t), double factor) {
  return [=](std::int64_t i) { return formula(i) * factor; };
}
template <class T, std::int64_t... D>
auto eighths(shape_constant<D...> s, double (*formula)(std::int64_t)) {
  return filled<T>(s, scaled(formula, 0.125));
}
void check_number(const json& want, double got, double tolerance) {
  CHECK(std::abs(got - want.get<double>()) <= tolerance * std::abs(want.get<double>()));
}

/// Half the squared norm of the gradient of <g, conv(x, w)> by x: nothing is left of x in it.
template <class T>
void norm_of_dx() {
  constexpr auto x = input<"x", 1, 2, 5, 5, 5>;
  constexpr auto w = parameter<"w", 3, 2, 3, 3, 3>;
  constexpr auto g = input<"g", 1, 3, 2, 2, 2>;
  constexpr auto penalty = 0.5_c * sum(square(gradient(conv3d(x, w, stride<2>), x, cotangent(g))));
  constexpr auto d = gradient(penalty, x, w);
  const auto [p, dx, dw] = evaluate(outputs(penalty, std::get<0>(d), std::get<1>(d)), x = filled<T>(shape<1, 2, 5, 5, 5>, fx),
                                    w = eighths<T>(shape<3, 2, 3, 3, 3>, fw), g = filled<T>(shape<1, 3, 2, 2, 2>, fg));
  const json& want = entry("S01");
  check_number(want.at("P"), p, exact);
  check(want.at("dx"), dx, exact);
  check(want.at("dw"), dw, exact);
}

/// The same by w, with a stride that leaves a remainder.
template <class T>
void norm_of_dw() {
  constexpr auto x = input<"x", 1, 2, 6, 6, 6>;
  constexpr auto w = parameter<"w", 3, 2, 3, 3, 3>;
  constexpr auto g = input<"g", 1, 3, 2, 2, 2>;
  constexpr auto penalty = 0.5_c * sum(square(gradient(conv3d(x, w, stride<2>), w, cotangent(g))));
  constexpr auto d = gradient(penalty, x, w);
  const auto [p, dx, dw] = evaluate(outputs(penalty, std::get<0>(d), std::get<1>(d)), x = filled<T>(shape<1, 2, 6, 6, 6>, fx),
                                    w = eighths<T>(shape<3, 2, 3, 3, 3>, fw), g = filled<T>(shape<1, 3, 2, 2, 2>, fg));
  const json& want = entry("S02");
  check_number(want.at("P"), p, exact);
  check(want.at("dx"), dx, exact);
  check(want.at("dw"), dw, exact);
}

/// R1 with gamma = 1 of a judge of two convolutions: half the mean over samples of the squared norm of the gradient.
template <class T>
void r1() {
  constexpr auto x = input<"x", 2, 2, 4, 4, 4>;
  constexpr auto w1 = parameter<"w1", 3, 2, 3, 3, 3>;
  constexpr auto w2 = parameter<"w2", 1, 3, 3, 3, 3>;
  constexpr auto judged = conv3d(softplus(conv3d(x, w1, padding<1>)), w2, padding<1>);
  constexpr auto slope = gradient(sum(judged), x);
  constexpr auto penalty = 0.5_c * mean(sum(square(slope), axes<1, 2, 3, 4>));
  constexpr auto d = gradient(penalty, x, w1, w2);
  const auto [p, dx, dw1, dw2] =
      evaluate(outputs(penalty, std::get<0>(d), std::get<1>(d), std::get<2>(d)), x = eighths<T>(shape<2, 2, 4, 4, 4>, fx),
               w1 = eighths<T>(shape<3, 2, 3, 3, 3>, fw), w2 = eighths<T>(shape<1, 3, 3, 3, 3>, fw));
  const json& want = entry("S04");
  check_number(want.at("P"), p, rounding<T>);
  check(want.at("dx"), dx, rounding<T>);
  check(want.at("dw1"), dw1, rounding<T>);
  check(want.at("dw2"), dw2, rounding<T>);
}

/// StyleGAN2's path length penalty through the demodulation.
template <class T>
void path_length() {
  constexpr auto x = input<"x", 2, 3, 4, 4, 4>;
  constexpr auto w = parameter<"weights", 4, 3, 3, 3, 3>;
  constexpr auto mod = input<"mod", 2, 3>;
  constexpr auto noise = input<"noise", 2, 4, 4, 4, 4>;
  constexpr auto y = nn::adaptive_conv3d_mod<3, nn::dim_out<4>>{}(x, mod);
  constexpr auto length = sqrt(sum(square(gradient(y, mod, cotangent(noise))), axes<1>));
  constexpr auto penalty = mean(square(length - 0.5_c));
  constexpr auto d = gradient(penalty, x, w, mod);
  const auto [p, dx, dw, dmod] = evaluate(
      outputs(penalty, std::get<0>(d), std::get<1>(d), std::get<2>(d)), x = eighths<T>(shape<2, 3, 4, 4, 4>, fx),
      w = eighths<T>(shape<4, 3, 3, 3, 3>, fw), mod = filled<T>(shape<2, 3>, fm), noise = filled<T>(shape<2, 4, 4, 4, 4>, scaled(fg, 0.125)));
  const json& want = entry("S05");
  check_number(want.at("P"), p, rounding<T>);
  check(want.at("dx"), dx, rounding<T>);
  check(want.at("dw"), dw, rounding<T>);
  check(want.at("dmod"), dmod, rounding<T>);
}

/// A third derivative: the squared norm of a Hessian times a direction, differentiated once more.
template <class T>
void third_order() {
  constexpr auto x = input<"x", 1, 1, 3, 3, 3>;
  constexpr auto w = parameter<"w", 2, 1, 2, 2, 2>;
  constexpr auto v = input<"v", 1, 1, 3, 3, 3>;
  constexpr auto y = conv3d(x, w);
  constexpr auto dx = gradient(sum(y * y * y), x);
  constexpr auto penalty = sum(square(gradient(sum(dx * v), x))) * constant<1.0 / 1024>;
  constexpr auto d = gradient(penalty, x, w);
  const auto [p, vdx, vdw] = evaluate(outputs(penalty, std::get<0>(d), std::get<1>(d)), x = eighths<T>(shape<1, 1, 3, 3, 3>, fx),
                                      w = eighths<T>(shape<2, 1, 2, 2, 2>, fw), v = filled<T>(shape<1, 1, 3, 3, 3>, fx));
  const json& want = entry("S07");
  check_number(want.at("P"), p, rounding<T>);
  check(want.at("dx"), vdx, rounding<T>);
  check(want.at("dw"), vdw, rounding<T>);
}

}  // namespace

TEST_CASE("S01: squared norm of the gradient by x") { norm_of_dx<double>(), norm_of_dx<float>(); }
TEST_CASE("S02: squared norm of the gradient by w") { norm_of_dw<double>(), norm_of_dw<float>(); }
TEST_CASE("S04: R1 through softplus") { r1<double>(), r1<float>(); }
TEST_CASE("S05: path length through demodulation") { path_length<double>(), path_length<float>(); }
TEST_CASE("S07: third order") { third_order<double>(), third_order<float>(); }
