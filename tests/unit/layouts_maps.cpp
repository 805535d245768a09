// Blocks of channels through what stands between convolutions: a norm's statistics, its result, an activation, a residual, and their
// derivatives; poolings, concatenations and transposed convolutions of a U-Net. The reference has the intermediate values as further
// results, which lie NCDHW.
#include "layouts_support.hpp"

#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <type_traits>

using namespace volute;
using namespace layouts;

namespace {

template <class Program>
void fill(Program& p) {
  int i = 5;
  for (auto& e : p.parameter_values()) e = static_cast<std::remove_reference_t<decltype(e)>>((i = (i * 41 + 7) % 103) / 103.0 - 0.4);
}
template <class T>
std::vector<T> numbers(std::int64_t n) {
  std::vector<T> v(static_cast<std::size_t>(n));
  int i = 3;
  for (T& e : v) e = static_cast<T>((i = (i * 37 + 11) % 101) / 50.0 - 0.7);
  return v;
}
template <class A, class B>
double difference(const A& got, const B& wanted) {
  REQUIRE(got.size() == wanted.size());
  double most = 0, largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::fabs(static_cast<double>(got.data()[i]) - static_cast<double>(wanted.data()[i]));
    if (!(d <= most)) most = d;
    largest = std::max(largest, std::fabs(static_cast<double>(wanted.data()[i])));
  }
  return most / largest;
}

template <std::int64_t C, class Norm>
struct net {
  nn::named<"first", nn::conv3d<C, C, nn::kernel<3>, nn::padding<1>>> first;
  nn::named<"norm", Norm> norm;
  nn::named<"second", nn::conv3d<C, C, nn::kernel<3>, nn::padding<1>, nn::no_bias>> second;
  nn::named<"last", nn::conv3d<C, C, nn::kernel<3>, nn::padding<1>>> last;
};

template <bool Minimal, expression E>
constexpr auto filtered(E e) {
  if constexpr (Minimal)
    return minimal_filtering(e);
  else
    return e;
}

/// Two norms, an activation and a residual between three convolutions.
template <class T, class Norm, std::int64_t N, std::int64_t C, std::int64_t D, std::int64_t H, std::int64_t W, bool Minimal = false>
void check(double tolerance) {
  static constexpr auto x = input<"x", N, C, D, H, W>;
  static constexpr auto seed = input<"seed", N, C, D, H, W>;
  static constexpr net<C, Norm> layers{};
  static constexpr auto a = layers.first(x);
  static constexpr auto b = leaky_relu(layers.norm(a));
  static constexpr auto c = layers.second(b) + b;
  static constexpr auto d = sigmoid(c) * c;
  static constexpr auto loss = sum(layers.last(d) * seed);
  static constexpr auto made = filtered<Minimal>(loss);
  using step = program<outputs(made, gradient(made, parameters)), T>;
  using plain = program<
      outputs(loss, gradient(loss, parameters), a, b, c, d, gradient(loss, a), gradient(loss, b), gradient(loss, c), gradient(loss, d)), T>;
  // In blocks where the chosen families ask for them, which all do that filter minimally.
  STATIC_REQUIRE((!Minimal || wishes<step>() > 0));
  CHECK((blocked_maps<step>(graph::kernel_kind::elementwise) > 0) == (wishes<step>() > 0));
  CHECK((blocked_maps<step>(graph::kernel_kind::reduce) > 0) == (wishes<step>() > 0));
  static step p;
  static plain q;
  fill(p), fill(q);
  const auto data = numbers<T>(x.shape().size()), weights = numbers<T>(x.shape().size());
  const auto got = p(x = data, seed = weights);
  const auto wanted = q(x = data, seed = weights);
  CHECK(std::get<0>(got) == Approx(std::get<0>(wanted)).epsilon(tolerance));
  CHECK(difference(p.gradient_values(), q.gradient_values()) < tolerance);

  const std::vector<T> alone(p.gradient_values().begin(), p.gradient_values().end());
  spinning_pool pool(3);
  p.use(pool);
  p(x = data, seed = weights);
  CHECK(std::equal(alone.begin(), alone.end(), p.gradient_values().begin()));
}

/// One step down and up again, as in a U-Net: what is concatenated is made where it lies.
struct steps {
  nn::named<"outer", nn::conv3d<16, 16, nn::kernel<3>, nn::padding<1>>> outer;
  nn::named<"inner", nn::conv3d<16, 32, nn::kernel<3>, nn::padding<1>>> inner;
  nn::named<"up", nn::conv_transpose3d<32, 32, nn::kernel<2>, nn::stride<2>>> up;
  nn::named<"last", nn::conv3d<48, 16, nn::kernel<3>, nn::padding<1>>> last;
};

template <class Pool>
void check_steps(Pool pool) {
  using T = float;
  static constexpr auto x = input<"x", 1, 16, 4, 8, 16>;
  static constexpr steps layers{};
  static constexpr auto a = leaky_relu(layers.outer(x));
  static constexpr auto b = pool(a);
  static constexpr auto c = leaky_relu(layers.inner(b));
  static constexpr auto d = layers.up(c);
  static constexpr auto e = concat(axis<1>, a, d);
  static constexpr auto y = layers.last(e);
  using blocked = program<outputs(minimal_filtering(y)), T>;
  using plain = program<outputs(y, a, b, c, d, e), T>;
  CHECK(blocked_maps<blocked>(graph::kernel_kind::max_pool) + blocked_maps<blocked>(graph::kernel_kind::avg_pool) == 1);
  CHECK(blocked_maps<plain>(graph::kernel_kind::max_pool) + blocked_maps<plain>(graph::kernel_kind::avg_pool) == 0);
  // The transposed convolution, by other kernels than NCDHW.
  CHECK(launches_that<blocked>([](const graph::kernel_spec& k) { return graph::convolves(k.kind) && k.second; }) == 1);
  static blocked p;
  static plain q;
  fill(p), fill(q);
  const auto data = numbers<T>(x.shape().size());
  const auto got = p(x = data);
  const auto& values = std::get<0>(got);
  const auto wanted = q(x = data);
  CHECK(difference(values, std::get<0>(wanted)) < 2e-5);
  const std::vector<T> alone(values.data(), values.data() + values.size());
  spinning_pool workers(3);
  p.use(workers);
  const auto again = p(x = data);
  CHECK(std::equal(alone.begin(), alone.end(), std::get<0>(again).data()));
}

}  // namespace

TEST_CASE("norms between convolutions read and write blocks") {
  SECTION("an instance norm, rows with zeros around them") {
    check<double, nn::instance_norm3d<16, nn::affine<true>>, 2, 16, 3, 6, 32>(1e-12);
  }
  SECTION("a batch norm, which keeps no samples") { check<double, nn::batch_norm3d<32>, 2, 32, 3, 5, 7>(1e-12); }
  SECTION("channels that fill no vector") { check<float, nn::instance_norm3d<24>, 2, 24, 4, 6, 9>(2e-5); }
  SECTION("minimal filtering") { check<float, nn::instance_norm3d<32>, 1, 32, 8, 16, 16, true>(2e-5); }
}

TEST_CASE("poolings, concatenations and transposed convolutions of a filtered U-Net lie in blocks") {
  SECTION("maxima") {
    check_steps([](auto v) { return max_pool3d(v, kernel<2>); });
  }
  SECTION("averages of windows that overlap") {
    check_steps([](auto v) { return avg_pool3d(v, kernel<3>, stride<2>, padding<1>); });
  }
}
