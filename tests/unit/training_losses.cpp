// Losses and penalties, and their gradients, against PyTorch's numbers (training_expected.py) and plain loops.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <cmath>
#include <xtensor/xadapt.hpp>

#include "training_expected.hpp"

namespace {

using namespace volute;
namespace given = training_expected;
using numbers = std::vector<double>;

constexpr auto a = input<"a", 2, 3, 1, 2, 2>;
constexpr auto b = input<"b", 2, 3, 1, 2, 2>;
constexpr auto binary = input<"binary", 2, 3, 1, 2, 2>;
constexpr auto p = input<"p", 2, 3, 1, 2, 2>;
constexpr auto labels = input<"labels", 2, 1, 2, 2>;
constexpr auto weights = input<"weights", 3>;
constexpr auto positive = input<"positive", 3>;

void check(double value, const auto& gradient, const numbers& expected) {
  CHECK(value == Approx(expected[0]).epsilon(1e-9));
  REQUIRE(gradient.size() + 1 == expected.size());
  std::size_t k = 0;
  for (double g : gradient) {
    INFO("element " << k);
    CHECK(g == Approx(expected[++k]).epsilon(1e-9).margin(1e-12));
  }
}

/// Losses of `a`, each with its gradient, in one program.
template <expression... L, class... Bound>
void check_losses(std::initializer_list<const numbers*> expected, std::tuple<L...>, const Bound&... bound) {
  static constexpr auto list = [] {
    return std::apply([](auto... e) { return outputs(e...); }, std::tuple_cat(std::tuple{L{}, gradient(L{}, a)}...));
  }();
  auto results = evaluate(list, a = given::first, bound...);
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    const auto one = [&](std::size_t i, double value, const auto& g) {
      INFO("loss " << i);
      check(value, g, *expected.begin()[i]);
    };
    (one(I, std::get<2 * I>(results), std::get<2 * I + 1>(results)), ...);
  }
  (std::index_sequence_for<L...>{});
}

}  // namespace

TEST_CASE("losses of two tensors, against PyTorch") {
  check_losses({&given::mse, &given::l1, &given::smooth_l1, &given::huber, &given::kl_normal},
               std::tuple{mse(a, b), l1(a, b), smooth_l1<0.5>(a, b), huber<0.75>(a, b), kl_normal(a, b)}, b = given::second);
  check_losses({&given::bce_with_logits, &given::bce_with_logits_weights, &given::binary_dice, &given::kl_div},
               std::tuple{bce_with_logits(a, binary), bce_with_logits(a, binary, per_channel(positive)), binary_dice(a, binary),
                          kl_div(log_softmax(a, axis<1>), p)},
               binary = given::binary, positive = given::positive, p = given::probabilities);
}

TEST_CASE("losses over classes, against PyTorch") {
  check_losses({&given::cross_entropy, &given::cross_entropy_weights, &given::cross_entropy_smoothing, &given::cross_entropy_ignore,
                &given::cross_entropy_ignore_smoothing, &given::cross_entropy_all, &given::dice, &given::dice_smoothing},
               std::tuple{cross_entropy(a, labels), cross_entropy(a, labels, weights), cross_entropy(a, labels, label_smoothing<0.1>),
                          cross_entropy(a, labels, ignore_label<2>), cross_entropy(a, labels, ignore_label<2>, label_smoothing<0.25>),
                          cross_entropy(a, labels, weights, label_smoothing<0.25>, ignore_label<1>), dice(a, labels), dice<1>(a, labels)},
               labels = given::labels, weights = given::weights);
}

TEST_CASE("a label that is ignored is none of the classes, and a target of 0 has no part in a divergence") {
  constexpr auto x = input<"x", 3, 2>;
  constexpr auto t = input<"t", 3>;
  const numbers v{1, -1, 0.5, 2, 3, 7}, l{0, -100, 1};
  const double found = evaluate(cross_entropy(x, t, ignore_label<-100>), x = v, t = l);
  const auto part = [](double chosen, double other) { return std::log1p(std::exp(other - chosen)); };
  CHECK(found == Approx((part(1, -1) + part(7, 3)) / 2));

  constexpr auto q = input<"q", 3, 2>;
  const double divergence = evaluate(kl_div(x, q), x = v, q = numbers{0, 1, 0.5, 0.5, 1, 0});
  CHECK(divergence == Approx(((0 + 1) + 0.5 * (std::log(0.5) - 0.5) + 0.5 * (std::log(0.5) - 2) + (0 - 3)) / 3));
}

TEST_CASE("penalties on gradients, against PyTorch") {
  static constexpr auto x = input<"x", 2, 4>;
  static constexpr auto w = input<"w", 3, 4>;
  static constexpr auto u = input<"u", 1, 3>;
  static constexpr auto noise = input<"noise", 2, 1, 2, 3>;
  static constexpr auto logits = linear(tanh(linear(x, w)), u);
  static constexpr auto r1 = r1_penalty(logits, x);
  static constexpr auto unit = gradient_penalty(logits, x);
  const auto [v1, g1, v2, g2] = evaluate(outputs(r1, gradient(r1, w), unit, gradient(unit, w)), x = given::network_x, w = given::network_w, u = given::network_u);
  check(v1, g1, given::r1);
  check(v2, g2, given::gradient_penalty);

  static constexpr auto h = linear(x, w);
  static constexpr auto images = reshape(concat(axis<1>, reshape(tanh(h), shape<2, 1, 3>), reshape(sin(h), shape<2, 1, 3>)), shape<2, 1, 2, 3>);
  static constexpr auto length = path_length_penalty(images, x, noise, input<"average">);
  const auto [v3, g3] = evaluate(outputs(length, gradient(length, w)), x = given::network_x, w = given::network_w, noise = given::noise,
                                 input<"average"> = 0.25);
  check(v3, g3, given::path_length);

  // Where nothing depends on x its gradient is 0: no NaN from the derivative of the root there.
  static constexpr auto flat = gradient_penalty(linear(tanh(linear(x * 0_c + square(x), w)), u), x);
  const auto [v4, g4] = evaluate(outputs(flat, gradient(flat, w)), x = numbers(8, 0.0), w = given::network_w, u = given::network_u);
  CHECK(v4 == 1);
  for (double g : g4) CHECK(g == 0);
}
