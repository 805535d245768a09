// Minimal filtering: the three faces against sums in double, for every kind of geometry that has tiles; its transforms; any number of
// threads.
#include "kernels_conv3d_minimal.hpp"

#include <volute/kernels/conv3d/minimal_filter.hpp>

#include <limits>

using namespace conv3d_test;

namespace {

#define CHECK_MINIMAL(...) check_minimal<asked(make(__VA_ARGS__))>(#__VA_ARGS__)

/// F(M, R) and its adjoint against their sums.
template <int M, int R, bool Adjoint>
void check_filter() {
  using V = volute::simd::vec<double>;
  constexpr auto f = kernels::minimal_filter_of(M, R, Adjoint);
  constexpr int size = f.size();
  const auto value = [](int i, double a) { return std::sin(a * (i + 1)); };
  V x[size], w[R], g[M], tx[size], tw[size], y[M], dw[R];
  for (int i = 0; i < size; ++i) x[i] = V(value(i, 3));
  for (int i = 0; i < R; ++i) w[i] = V(value(i, 5));
  for (int i = 0; i < M; ++i) g[i] = V(value(i, 7));
  kernels::minimal_data<f>(x, tx);
  const auto multiply = [&](auto results, V* to) {
    for (int i = 0; i < size; ++i) tw[i] = tx[i] * tw[i] * V(kernels::minimal_scale(f, i));
    kernels::minimal_results<f, decltype(results)::value>(tw, to);
  };
  kernels::minimal_values<f, R>(w, tw);
  multiply(std::integral_constant<int, M>{}, y);
  kernels::minimal_values<f, M>(g, tw);
  multiply(std::integral_constant<int, R>{}, dw);
  for (int k = 0; k < M; ++k) {
    double right = 0;
    for (int j = 0; j < R; ++j) right += value(j, 5) * value(k + j, 3);
    CHECK(y[k].get(0) == Approx(right).margin(1e-13));
  }
  for (int j = 0; j < R; ++j) {
    double right = 0;
    for (int k = 0; k < M; ++k) right += value(k, 7) * value(k + j, 3);
    CHECK(dw[j].get(0) == Approx(right).margin(1e-13));
  }
  for (int e = 0; e < size; ++e) {  // the coefficients of one plane after the other
    double data = 0, values = 0;
    for (int k = 0; k < size; ++k) data += kernels::minimal_data_factor(f, e, k) * value(k, 3);
    for (int k = 0; k < M; ++k) values += kernels::minimal_values_factor(f, M, e, k) * value(k, 7);
    kernels::minimal_values<f, M>(g, tw);
    CHECK(tx[e].get(0) == Approx(data).margin(1e-13));
    CHECK(tw[e].get(0) == Approx(values).margin(1e-13));
  }
}

}  // namespace

TEST_CASE("transforms of minimal filters are exact, forward and adjoint") {
  check_filter<2, 3, false>();
  check_filter<2, 3, true>();
  check_filter<4, 3, false>();
  check_filter<4, 3, true>();
  check_filter<3, 2, false>();
  check_filter<5, 2, false>();
  check_filter<3, 4, true>();
  check_filter<2, 5, false>();
  using kernels::minimal_error;
  using kernels::minimal_filter;
  STATIC_REQUIRE(minimal_error(kernels::minimal_filter_of(1, 1)) == 1);
  STATIC_REQUIRE(minimal_error(kernels::minimal_filter_of(2, 3)) < minimal_error(kernels::minimal_filter_of(4, 3)));
  STATIC_REQUIRE(minimal_error(kernels::minimal_filter_of(4, 3)) < minimal_error(minimal_filter{4, 3, {{1, 1}, {2, 1}}}));
}

TEST_CASE("minimal filtering: kernels of all kinds") {
  CHECK_MINIMAL(1, 16, 16, {8, 8, 8}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_MINIMAL(1, 16, 32, {4, 8, 12}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1});
  CHECK_MINIMAL(1, 16, 16, {8, 4, 4}, {3, 1, 1}, {1, 1, 1}, {1, 0, 0}, {1, 0, 0});
  CHECK_MINIMAL(1, 16, 16, {3, 5, 8}, {1, 1, 3}, {1, 1, 1}, {0, 0, 1}, {0, 0, 1});
  CHECK_MINIMAL(1, 16, 16, {6, 6, 6}, {5, 5, 5}, {1, 1, 1}, {2, 2, 2}, {2, 2, 2});
  CHECK_MINIMAL(1, 16, 16, {6, 7, 8}, {2, 2, 2});
  CHECK_MINIMAL(1, 8, 16, {6, 7, 8}, {4, 3, 2}, {1, 1, 1}, {2, 1, 0}, {1, 1, 1});
}
TEST_CASE("minimal filtering: channels that fill no vector") {
  CHECK_MINIMAL(1, 5, 7, {4, 5, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_MINIMAL(1, 24, 40, {4, 4, 9}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_MINIMAL(1, 1, 3, {4, 5, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_MINIMAL(1, 17, 1, {3, 5, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_MINIMAL(1, 200, 200, {2, 2, 2}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});  // 10 MB of filters, past the caches
  CHECK_MINIMAL(1, 80, 48, {2, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
}
TEST_CASE("minimal filtering: extents, padding, dilation, groups, batches") {
  CHECK_MINIMAL(1, 16, 16, {7, 9, 11}, {3, 3, 3});                                               // no padding
  CHECK_MINIMAL(2, 16, 16, {5, 6, 7}, {3, 3, 3}, {1, 1, 1}, {2, 1, 0}, {0, 2, 3});               // causal depth, uneven
  CHECK_MINIMAL(1, 16, 16, {1, 1, 1}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});               // one voxel
  CHECK_MINIMAL(1, 16, 16, {2, 3, 17}, {3, 3, 3}, {1, 1, 1}, {3, 3, 3}, {3, 3, 3});              // more padding than taps read
  CHECK_MINIMAL(1, 16, 16, {9, 10, 11}, {3, 3, 3}, {1, 1, 1}, {2, 2, 2}, {2, 2, 2}, {2, 2, 2});  // dilation
  CHECK_MINIMAL(1, 8, 8, {7, 8, 13}, {3, 3, 3}, {1, 1, 1}, {1, 3, 2}, {1, 3, 2}, {1, 3, 2});
  CHECK_MINIMAL(3, 12, 24, {3, 5, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3);
}
TEST_CASE("minimal filtering: volumes of many blocks") {
  CHECK_MINIMAL(1, 8, 8, {20, 23, 90}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_MINIMAL(2, 16, 8, {9, 70, 21}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
}

TEST_CASE("minimal filtering carries epilogues and the scale of its input") {
  constexpr auto g = asked(make(2, 20, 24, {5, 6, 19}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}));
  constexpr auto direct = chosen<float, make(2, 20, 24, {5, 6, 19}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>();
  const auto x = random(g.x_size(), 1), w = random(g.w_size(), 2), before = random(g.y_size(), 3);
  const auto c = random(24, 4), nc = random(48, 5), scale = random(40, 6);
  const float three = 3;
  for (const bool in_place : {false, true}) {
    const float* extra[]{c.data(), nc.data(), &three, in_place ? nullptr : before.data()};
    const auto is = forward<float, g, every_access(), true, minimal<g>>(x, w, extra, scale.data(), &before);
    const auto right = forward<float, g, every_access(), true, direct>(x, w, extra, scale.data(), &before);
    CHECK(error(is, {right.begin(), right.end()}) < 4e-6);
  }
}

TEST_CASE("minimal filtering gives the same bits on any number of threads") {
  check_bits<asked(make(1, 16, 32, {16, 24, 40}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})),
             minimal<asked(make(1, 16, 32, {16, 24, 40}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}))>>();
  check_bits<asked(make(3, 64, 80, {6, 8, 8}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})),
             minimal<asked(make(3, 64, 80, {6, 8, 8}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}))>>();
}

TEST_CASE("an infinity, or a NaN, spreads over the tiles that read it and no further") {
  constexpr auto g = asked(make(1, 16, 16, {8, 12, 16}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}));
  constexpr auto tile = kernels::plan_minimal<float>({kernels::canonical(g), kernels::conv_side::forward}).tile_kind;
  constexpr std::int64_t place[3]{3, 5, 8};
  const auto clean = random(g.x_size(), 1), w = random(g.w_size(), 2);
  const auto right = forward<float, g, {}, false, minimal<g>>(clean, w);
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    auto x = clean;
    x[static_cast<std::size_t>(((4 * 8 + place[0]) * 12 + place[1]) * 16 + place[2])] = bad;  // of channel 4
    const auto y = forward<float, g, {}, false, minimal<g>>(x, w);
    int changed = 0, lost = 0;
    std::size_t i = 0;
    for (int c = 0; c < 16; ++c)
      for (std::int64_t d = 0; d < 8; ++d)
        for (std::int64_t h = 0; h < 12; ++h)
          for (std::int64_t v = 0; v < 16; ++v, ++i) {
            const std::int64_t at[3]{d, h, v};
            bool by_tile = true, by_voxel = true;
            for (int a = 0; a < 3; ++a) {
              const std::int64_t m = tile.axis[a].outputs, first = at[a] / m * m - 1;  // what the tile reads
              by_tile = by_tile && place[a] >= first && place[a] < first + m + 2;
              by_voxel = by_voxel && place[a] >= at[a] - 1 && place[a] <= at[a] + 1;
            }
            changed += !by_tile && y[i] != right[i];
            lost += by_voxel && std::isfinite(y[i]);
          }
    CHECK(changed == 0);
    CHECK(lost == 0);
  }
}

TEST_CASE("minimal filtering is for single precision, stride 1 and kernels of up to five taps, where it was asked for") {
  constexpr auto plain = make(1, 16, 16, {8, 8, 8}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  STATIC_REQUIRE(kernels::minimal_possible<float>(asked(plain)));
  STATIC_REQUIRE(!kernels::minimal_possible<float>(plain));
  STATIC_REQUIRE(!kernels::minimal_possible<double>(asked(plain)));
  STATIC_REQUIRE(!kernels::minimal_possible<float>(asked(make(1, 16, 16, {8, 8, 8}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}))));
  STATIC_REQUIRE(!kernels::minimal_possible<float>(asked(make(1, 16, 16, {8, 8, 8}, {1, 1, 1}))));
  STATIC_REQUIRE(!kernels::minimal_possible<float>(asked(make(1, 16, 16, {8, 8, 8}, {7, 7, 7}, {1, 1, 1}, {3, 3, 3}, {3, 3, 3}))));
}
