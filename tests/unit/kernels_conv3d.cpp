// The three faces of conv3d against plain loops, the adjoint identity, epilogues, input scales, batches. All data are small integers, so
// that every result is exact whatever the order of summation.
#include "kernels_conv3d_support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

using namespace conv3d_test;

TEST_CASE("conv3d: channels of every kind", "[conv3d]") {
  CHECK_GEOMETRY(float, 1, 1, 1, {2, 2, 2}, {2, 2, 2});
  CHECK_GEOMETRY(float, 2, 17, 23, {3, 4, 9}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 2, 1, 8, {5, 6, 7}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 8, 1, {5, 6, 7}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 3, 16, {4, 6, 18}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 16, 3, {4, 6, 18}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 20, 33, {3, 5, 20}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 40, 80, {2, 3, 16}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1});
  CHECK_GEOMETRY(double, 2, 17, 23, {3, 4, 9}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(double, 1, 1, 8, {5, 6, 7}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
}

TEST_CASE("conv3d: small volumes and large filters", "[conv3d]") {
  CHECK_GEOMETRY(float, 3, 40, 64, {4, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 3, 272, 36, {2, 3, 3}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});  // several passes over the pixels
  CHECK_GEOMETRY(float, 1, 4, 4, {4, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 16, 16, {2, 7, 7}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 2, 9, 12, {1, 1, 1}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 2, 16, 32, {2, 2, 2}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
}

TEST_CASE("conv3d: the filter's adjoint in parts of the pixels", "[conv3d]") {
  CHECK_GEOMETRY(float, 1, 16, 16, {6, 16, 40}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 16, 32, {8, 32, 64}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1});
}

template <conv_geometry G>
void check_pixel_parts(const char* name) {
  constexpr kernels::weights_family pixels = kernels::weights_family::pixels;
  constexpr families forced{chosen<float, G>().y, chosen<float, G>().dx, pixels};
  static_assert(kernels::plan_pixel_weights<float>(kernels::canonical(G)).parts > 1);
  check<float, G, forced>(name);
  check_bits<G, forced>();
}

template <conv_geometry G, kernels::weights_family F>
void check_long_sums() {
  constexpr families f = of<float, G>(kernels::conv_family::channels, kernels::conv_family::channels, F);
  static_assert(f.dw == F);
  auto x = random(G.x_size(), 1), g = random(G.y_size(), 2);
  for (auto* v : {&x, &g})
    for (float& e : *v) e += 0.5f;
  std::vector<double> dw(static_cast<std::size_t>(G.w_size()));
  products(G, [&](int64_t ix, int64_t iw, int64_t iy) {
    dw[static_cast<std::size_t>(iw)] += double(x[static_cast<std::size_t>(ix)]) * double(g[static_cast<std::size_t>(iy)]);
  });
  const auto is = backward_weights<float, G, f>(x, g);
  double error = 0;
  for (std::size_t i = 0; i < dw.size(); ++i) error = std::max(error, std::abs(double(is[i]) / dw[i] - 1));
  CHECK(error < 3e-6);
}

TEST_CASE("conv3d: long sums of the filter's adjoint are accurate", "[conv3d]") {
  using enum kernels::weights_family;
  check_long_sums<make(1, 2, 16, {1, 1, 700'000}, {1, 1, 1}), outputs>();  // in one chain, 4e-5
  check_long_sums<make(1, 16, 3, {40, 100, 100}, {1, 1, 1}), inputs>();
  check_long_sums<make(1, 2, 16, {1, 1, 700'000}, {1, 1, 1}), pointwise>();
}

TEST_CASE("conv3d: the filter's adjoint with pixels in the lanes, in parts", "[conv3d]") {
  check_pixel_parts<make(1, 2, 3, {64, 40, 40}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1})>("planes that two parts read");
  check_pixel_parts<make(3, 2, 2, {17, 40, 33}, {3, 3, 3}, {1, 2, 1}, {3, 1, 1}, {3, 1, 1})>("planes of padding");
  check_pixel_parts<make(1, 12, 3, {12, 64, 64}, {1, 1, 1})>("read directly");
}

TEST_CASE("conv3d: stride, dilation, padding", "[conv3d]") {
  CHECK_GEOMETRY(float, 2, 3, 5, {7, 8, 9}, {3, 2, 3}, {2, 3, 2}, {1, 0, 1}, {0, 1, 1});  // remainders
  CHECK_GEOMETRY(float, 1, 18, 20, {7, 8, 10}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 18, 20, {6, 7, 12}, {2, 2, 2}, {2, 2, 2});
  CHECK_GEOMETRY(float, 1, 16, 16, {5, 7, 9}, {1, 1, 1}, {2, 2, 2});
  CHECK_GEOMETRY(float, 1, 2, 2, {5, 7, 9}, {1, 1, 1}, {2, 3, 2}, {1, 1, 1}, {1, 0, 1});
  CHECK_GEOMETRY(float, 1, 20, 17, {7, 8, 9}, {3, 3, 3}, {1, 1, 1}, {2, 2, 2}, {2, 2, 2}, {2, 2, 2});
  CHECK_GEOMETRY(float, 1, 16, 16, {9, 10, 13}, {3, 3, 4}, {2, 3, 4}, {1, 2, 3}, {2, 1, 0}, {3, 2, 2});  // stride and dilation, gcd 1, 1, 2
  CHECK_GEOMETRY(float, 1, 2, 3, {9, 10, 13}, {3, 3, 4}, {2, 3, 4}, {1, 2, 3}, {2, 1, 0}, {3, 2, 2});
  CHECK_GEOMETRY(float, 1, 16, 17, {2, 3, 4}, {2, 2, 2}, {1, 1, 1}, {3, 4, 5}, {2, 3, 4});  // padding wider than the kernel
  CHECK_GEOMETRY(float, 1, 2, 3, {2, 3, 4}, {2, 2, 2}, {1, 1, 1}, {3, 4, 5}, {2, 3, 4});
  CHECK_GEOMETRY(float, 1, 16, 16, {4, 5, 6}, {3, 3, 3}, {1, 1, 1}, {2, 1, 1}, {0, 1, 1});  // causal
  CHECK_GEOMETRY(float, 1, 16, 32, {3, 4, 5}, {3, 4, 5});                                   // kernel == input
  CHECK_GEOMETRY(float, 1, 2, 3, {3, 4, 5}, {3, 4, 5});
  CHECK_GEOMETRY(float, 1, 16, 16, {1, 2, 3}, {1, 2, 2}, {3, 4, 5}, {0, 1, 1}, {0, 0, 0});  // stride wider than the input
  CHECK_GEOMETRY(float, 1, 40, 40, {1, 2, 3}, {1, 2, 2}, {3, 4, 5}, {0, 1, 1}, {0, 0, 0});
  CHECK_GEOMETRY(float, 1, 9, 3, {1, 2, 3}, {1, 2, 2}, {3, 4, 5}, {0, 1, 1}, {0, 0, 0}, {1, 1, 1}, 3);
  CHECK_GEOMETRY(float, 1, 16, 16, {12, 40, 1}, {3, 3, 2}, {1, 1, 3}, {1, 1, 2}, {1, 1, 2});  // all that the width reads is padding
  CHECK_GEOMETRY(float, 1, 3, 64, {2, 12, 14}, {3, 7, 7}, {1, 2, 2}, {1, 3, 3}, {1, 3, 3});
  CHECK_GEOMETRY(double, 1, 9, 10, {7, 8, 9}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1});
}

TEST_CASE("conv3d: groups and depthwise", "[conv3d]") {
  CHECK_GEOMETRY(float, 2, 32, 64, {3, 4, 16}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);
  CHECK_GEOMETRY(float, 2, 6, 9, {3, 4, 5}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3);
  CHECK_GEOMETRY(float, 2, 5, 5, {3, 6, 20}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 5);
  CHECK_GEOMETRY(float, 1, 5, 10, {3, 6, 9}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 5);  // multiplier 2, stride
  CHECK_GEOMETRY(double, 1, 5, 5, {3, 6, 9}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 5);
}

TEST_CASE("conv3d: several planes in flight", "[conv3d]") {
  CHECK_GEOMETRY(float, 2, 3, 3, {5, 61, 47}, {2, 3, 2}, {1, 2, 2}, {0, 1, 1}, {1, 1, 0}, {1, 1, 1}, 3);
  CHECK_GEOMETRY(float, 1, 2, 2, {7, 9, 28}, {5, 2, 5}, {1, 1, 1}, {4, 0, 2}, {0, 1, 2}, {1, 1, 1}, 2);
  CHECK_GEOMETRY(float, 1, 1, 2, {1, 5, 33}, {4, 3, 3}, {1, 1, 1}, {3, 2, 2}, {3, 2, 2}, {1, 2, 2});     // no plane has all taps
  CHECK_GEOMETRY(float, 1, 1, 9, {9, 60, 60}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});               // slabs of rows
  CHECK_GEOMETRY(float, 1, 40, 2, {12, 10, 97}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});             // chunks of planes
  CHECK_GEOMETRY(float, 1, 2, 2, {7, 1, 20}, {3, 3, 3}, {1, 2, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);  // taps that nothing meets
  CHECK_GEOMETRY(double, 1, 4, 4, {4, 7, 16}, {3, 3, 3}, {1, 1, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 4);
}

TEST_CASE("conv3d: one tap, one axis", "[conv3d]") {
  CHECK_GEOMETRY(float, 2, 17, 18, {3, 4, 5}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 32, 3, {3, 4, 5}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 16, 16, {6, 4, 5}, {3, 1, 1}, {1, 1, 1}, {1, 0, 0}, {1, 0, 0});
  CHECK_GEOMETRY(float, 1, 16, 16, {9, 1, 1}, {3, 1, 1}, {1, 1, 1}, {1, 0, 0}, {1, 0, 0});
  CHECK_GEOMETRY(float, 1, 3, 2, {4, 9, 1}, {3, 3, 1}, {2, 1, 1}, {1, 1, 0}, {1, 1, 0});
}

#define CHECK_WIDTH(W)                                                                    \
  CHECK_GEOMETRY(float, 1, 3, 16, {1, 2, W}, {1, 2, 3}, {1, 1, 1}, {0, 0, 1}, {0, 1, 1}); \
  CHECK_GEOMETRY(float, 1, 2, 3, {1, 2, W}, {1, 2, 3}, {1, 1, 1}, {0, 0, 1}, {0, 1, 1})

TEST_CASE("conv3d: widths", "[conv3d]") {
  CHECK_WIDTH(1);
  CHECK_WIDTH(2);
  CHECK_WIDTH(11);
  CHECK_WIDTH(15);
  CHECK_WIDTH(16);
  CHECK_WIDTH(17);
  CHECK_WIDTH(29);
  CHECK_WIDTH(35);
}

TEST_CASE("conv3d: long rows and large samples are cut", "[conv3d]") {
  CHECK_GEOMETRY(float, 3, 17, 9, {2, 90, 100}, {1, 1, 2});  // the copies of all samples do not stand together
  CHECK_GEOMETRY(float, 1, 9, 16, {1, 2, 300}, {1, 1, 3}, {1, 1, 1}, {0, 0, 1}, {0, 0, 1});
  CHECK_GEOMETRY(float, 1, 16, 9, {1, 2, 601}, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, {0, 0, 1});
  CHECK_GEOMETRY(float, 1, 2, 3, {1, 2, 5000}, {1, 1, 3}, {1, 1, 1}, {0, 0, 1}, {0, 0, 1});
  CHECK_GEOMETRY(float, 1, 2, 3, {1, 2, 5001}, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, {0, 0, 1});
  CHECK_GEOMETRY(float, 2, 9, 3, {9, 40, 47}, {1, 1, 1});
}

TEST_CASE("conv3d: epilogues and input scale", "[conv3d]") {
  check_epilogue<make(2, 6, 3, {3, 4, 5}, {1, 1, 1})>("one tap, read directly");
  check_epilogue<make(2, 17, 20, {3, 4, 9}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>("channels in the lanes");
  check_epilogue<make(2, 2, 3, {3, 4, 9}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>("width in the lanes");
  check_epilogue<make(2, 20, 18, {5, 4, 7}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1})>("stride");
  check_epilogue<make(2, 4, 4, {5, 4, 7}, {3, 1, 2}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2)>(
      "stride, groups, elements without tap");
  check_epilogue<make(2, 16, 16, {3, 4, 5}, {1, 1, 1}, {2, 2, 2})>("strided 1x1x1");
}

TEST_CASE("conv3d: a batch equals its samples bit for bit", "[conv3d]") {
  const auto run = [](auto many, auto one) {
    constexpr conv_geometry GN = decltype(many)::value, G1 = decltype(one)::value;
    std::vector<float> x(static_cast<std::size_t>(GN.x_size())), w(static_cast<std::size_t>(GN.w_size())),
        g(static_cast<std::size_t>(GN.y_size()));
    unsigned state = 1;
    for (auto* v : {&x, &w, &g})
      for (float& e : *v) {
        state = state * 1664525u + 1013904223u;
        e = static_cast<float>(state >> 8) / 16777216.0f - 0.5f;
      }
    const auto y = forward<float, GN>(x, w), dx = backward_data<float, GN>(g, w);
    const auto slice = [](const std::vector<float>& v, int64_t size, int64_t n) {
      return std::vector<float>(v.begin() + n * size, v.begin() + (n + 1) * size);
    };
    for (int64_t n = 0; n < GN.batch; ++n) {
      CHECK(forward<float, G1>(slice(x, G1.x_size(), n), w) == slice(y, G1.y_size(), n));
      CHECK(backward_data<float, G1>(slice(g, G1.y_size(), n), w) == slice(dx, G1.x_size(), n));
    }
  };
  constexpr auto big = [](int64_t n) { return make(n, 272, 36, {2, 3, 3}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}); };
  constexpr auto small = [](int64_t n) { return make(n, 2, 3, {2, 5, 9}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}); };
  run(std::integral_constant<conv_geometry, big(3)>{}, std::integral_constant<conv_geometry, big(1)>{});
  run(std::integral_constant<conv_geometry, small(2)>{}, std::integral_constant<conv_geometry, small(1)>{});
}
