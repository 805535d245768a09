// Tensors without elements: an empty batch, an empty volume. Results are empty, sums of nothing 0, means of nothing NaN, gradients zeros.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

using namespace volute;
namespace nn = volute::nn;

namespace {

const std::vector<float> nothing;

constexpr auto v = input<"v", 0, 2, 5, 6, 7>;
constexpr auto t = input<"t", 0, 4>;
constexpr auto hollow = input<"hollow", 1, 2, 0, 3, 3>;
constexpr auto full = input<"full", 1, 2, 1, 3, 3>;
constexpr auto w = parameter<"w", 4, 2, 3, 3, 3>;
constexpr auto b = parameter<"b", 4>;
constexpr auto columns = input<"columns", 3, 0>;

struct net : nn::sequential<nn::conv3d<2, 8, nn::kernel<3>, nn::same>, nn::batch_norm3d<8>, nn::relu, nn::max_pool3d<2>,
                            nn::group_norm<2, 8>, nn::dropout<0.5>, nn::instance_norm3d<8>, nn::adaptive_avg_pool3d<1>, nn::flatten,
                            nn::linear<8, 4>, nn::layer_norm<4>, nn::softmax<1>> {};

/// A number, or the only one of a tensor's values.
template <class R>
float value_of(const R& r) {
  float first = r.size() == 0 ? 77.f : *r.data();
  for (const float e : std::vector<float>(r.data(), r.data() + r.size()))
    if (e != first && !(std::isnan(e) && std::isnan(first))) first = 99;
  return first;
}

}  // namespace

TEST_CASE("an empty batch gives empty results, sums of 0 and means of NaN", "[runtime]") {
  constexpr auto y = conv3d(v, w, b, same);
  program<outputs(y, sum(y), mean(y), sum(v, axes<0, 2>), mean(v, axes<0>), mean(square(y)) + 1_c, gradient(mean(square(y)), w),
                  gradient(sum(y), b), gradient(sum(y), v), matmul(columns, t), mean(columns, axes<1>), mean(columns, axes<0>))>
      p;
  auto [conv, total, average, sums, means, loss, dw, db, dv, product, rows, none] = p(v = nothing, t = nothing, columns = nothing);
  CHECK(conv.shape(0) == 0);
  CHECK(conv.shape(4) == 7);
  CHECK(total == 0);
  CHECK(std::isnan(average));
  CHECK(value_of(sums) == 0);
  CHECK(std::isnan(value_of(means)));
  CHECK(std::isnan(loss));
  CHECK(value_of(dw) == 0);
  CHECK(value_of(db) == 0);
  CHECK(dv.size() == 0);
  CHECK(value_of(product) == 0);  // sums of no products
  CHECK(product.size() == 12);
  CHECK(std::isnan(value_of(rows)));
  CHECK(none.size() == 0);
}

TEST_CASE("an empty volume: concatenated, padded, convolved with its padding", "[runtime]") {
  const std::vector<float> numbers(18, 3.f);
  program<outputs(concat(axis<2>, hollow, full, hollow), pad(hollow, shape<0, 0, 1, 0, 0>, shape<0, 0, 0, 0, 0>, 3_c),
                  conv3d(hollow, w, b, padding<2>), gradient(sum(square(conv3d(hollow, w, b, padding<2>))), w), softmax(hollow, axis<2>))>
      p;
  for (float& e : p.parameter_values()) e = 2;
  auto [joined, padded, conv, dw, soft] = p(hollow = nothing, full = numbers);
  CHECK(value_of(joined) == 3);
  CHECK(joined.size() == 18);
  CHECK(value_of(padded) == 3);
  CHECK(padded.size() == 18);
  CHECK(value_of(conv) == 2);
  CHECK(value_of(dw) == 0);
  CHECK(soft.size() == 0);
}

TEST_CASE("a model and its training step take an empty batch", "[runtime]") {
  model<net, v> m;
  const xt::xtensor<float, 2> y = m(nothing);
  CHECK(y.shape(0) == 0);
  CHECK(y.shape(1) == 4);
  constexpr auto loss = training(mse(net{}(v), t));
  program<outputs(loss, gradient(loss, parameters))> step;
  const std::vector<float> states(step.state_values().begin(), step.state_values().end());
  const float value = std::get<0>(step(v = nothing, t = nothing));
  CHECK(std::isnan(value));
  for (const float g : step.gradient_values()) REQUIRE(g == 0);
  CHECK(std::equal(states.begin(), states.end(), step.state_values().begin()));
  CHECK(std::isnan(float(evaluate(cross_entropy(t, input<"labels", 0>), t = nothing, input<"labels", 0> = nothing))));
}

TEST_CASE("nothing taken from a table", "[runtime]") {
  constexpr auto x = input<"x", 3, 4>;
  constexpr auto none = input<"none", 3, 0>;
  constexpr auto y = gather(x, axis<1>, none);
  constexpr auto z = take(x, axis<0>, input<"no_rows", 0>);
  program<outputs(y, z, gradient(sum(y) + sum(z), x))> p;
  const auto [gathered, taken, slope] = p(x = std::vector<float>(12, 1.f), none = nothing, input<"no_rows", 0> = nothing);
  CHECK((gathered.size() == 0 && taken.size() == 0 && value_of(slope) == 0));
}

TEST_CASE("windows of an empty batch", "[runtime]") {
  model<nn::shifted_window_attention<4, 2, nn::window<2, 2, 2>, nn::shift<1, 1, 1>>, input<"x", 0, 4, 4, 4, 4>> m;
  const xt::xtensor<float, 5> y = m(nothing);
  CHECK((y.size() == 0 && y.shape(3) == 4));
}
