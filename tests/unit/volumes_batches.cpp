// Batches of any number through programs of a few sizes.
#include "volumes_support.hpp"

#include <volute/core/executor.hpp>

using namespace volumes_networks;
using namespace volumes_support;

namespace {

using net = nn::sequential<conv<1, 3>, nn::batch_norm3d<3>, nn::relu, nn::max_pool3d<2>, nn::instance_norm3d<3>, nn::flatten,
                           nn::linear<3 * 2 * 3 * 2, 5>>;
constexpr auto one = input<"x", 1, 1, 4, 6, 4>;

/// Two inputs, one of which modulates the other's filters.
struct styled : nn::layer<styled> {
  static constexpr auto forward(expression auto x, expression auto style) {
    return invoke<nn::named<"conv", nn::adaptive_conv3d_mod<3, nn::spatial_kernel<3>, nn::time_kernel<3>>>>(x, style);
  }
};

}  // namespace

TEST_CASE("any number of samples") {
  batched<net, one, 4, 1, 2> b;
  b.initialize(2);
  model<net, one> m(b.weights());
  CHECK(std::as_const(b).parameter_values().data() == std::as_const(m).parameter_values().data());
  for (std::int64_t n : {0, 1, 2, 3, 4, 5, 7, 11}) {
    const volume x = noise(1, {4, 6, 4}, static_cast<unsigned>(n), n);
    const xt::xtensor<float, 2> y = b(x);
    REQUIRE(y.shape()[0] == static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) {
      const float* in[]{x.data() + i * 96};
      float wanted[5];
      m.run(in, wanted);
      for (std::int64_t k = 0; k < 5; ++k) CHECK(y.data()[i * 5 + k] == Approx(wanted[k]).margin(1e-6));
    }
  }
}

TEST_CASE("a remainder below the smallest size") {
  batched<net, one, 3> b;
  b.initialize(2);
  batched<net, one, 1> singly(b.weights());
  for (std::int64_t n : {1, 2, 3, 4, 8}) {
    const volume x = noise(1, {4, 6, 4}, 5, n);
    const xt::xtensor<float, 2> y = b(x), wanted = singly(x);
    for (std::size_t i = 0; i < y.size(); ++i) CHECK(y.data()[i] == Approx(wanted.data()[i]).margin(1e-6));
  }
}

TEST_CASE("programs of all sizes have one set of weights") {
  batched<net, one, 1, 2, 4> b;
  const volume x = noise(1, {4, 6, 4}, 5, 7);
  const xt::xtensor<float, 2> before = b(x);
  const std::int64_t bytes = b.weights().bytes();
  b.parameter<"6.bias">()(2) += 1;
  const xt::xtensor<float, 2> after = b(x);
  CHECK(b.weights().bytes() == bytes);
  CHECK(bytes < 3 * model<net, one>::facts::weights_bytes);
  for (std::size_t i = 0; i < 7; ++i) CHECK(after(i, 2) == Approx(before(i, 2) + 1));
}

TEST_CASE("samples with several inputs, on several workers") {
  constexpr auto x1 = input<"x", 1, 3, 2, 4, 4>;
  constexpr auto s1 = input<"style", 1, 3>;
  batched<styled, x1, s1, 1, 3> b;
  model<styled, x1, s1> m(b.weights());
  const volume x = noise(3, {2, 4, 4}, 3, 8);
  xt::xtensor<float, 2> style = xt::xtensor<float, 2>::from_shape({8, 3});
  for (std::size_t i = 0; i < style.size(); ++i) style.data()[i] = 0.1f * static_cast<float>(i % 7) - 0.3f;
  const volume alone = b(x, style);
  for (std::size_t i = 0; i < 8; ++i) {
    const float* in[]{x.data() + i * 96, style.data() + i * 3};
    float wanted[3 * 32];
    m.run(in, wanted);
    for (std::size_t k = 0; k < 3 * 32; ++k) CHECK(alone.data()[i * 96 + k] == Approx(wanted[k]).margin(1e-6));
  }
  spinning_pool pool(2);
  b.use(pool);
  CHECK(equal_bits(b(x, style), alone));
  CHECK_THROWS_WITH(b(noise(3, {2, 4, 4}, 3, 7), style), "samples: expected (1,3) each, as many of each input, found (8,3)");
  CHECK_THROWS_WITH(b(noise(3, {2, 5, 4}, 3, 8), style), "samples: expected (1,3,2,4,4) each, found (8,3,2,5,4)");
}
