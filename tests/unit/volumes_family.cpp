// Several inputs, several sizes of tiles, proposed sizes, double precision, one axis that is not cut.
#include "volumes_support.hpp"

#include <map>

using namespace volumes_networks;
using namespace volumes_support;
namespace vs = volute::volumes;

namespace {

/// A volume and its mask, and a style that is one for all voxels.
struct three_inputs : nn::layer<three_inputs> {
  static constexpr auto forward(expression auto x, expression auto mask, expression auto style) {
    const auto y =
        invoke<nn::named<"styled", nn::adaptive_conv3d_mod<2, nn::spatial_kernel<3>, nn::time_kernel<3>>>>(concat(axis<1>, x, mask), style);
    return y * mask + softmax(y, axis<1>);
  }
};
template <size3 E>
using three_model = model<three_inputs, input<"x", 1, 1, E.d, E.h, E.w>, input<"mask", 1, 1, E.d, E.h, E.w>, input<"style", 1, 2>>;

using small = tiled<pooled_up, input<"x", 1, 1, 4, 16, 16>>;
using large = tiled<pooled_up, input<"x", 1, 1, 16, 20, 20>>;
using odd = tiled<strided, input<"x", 1, 1, 13, 12, 12>>;
using even = tiled<strided, input<"x", 1, 1, 12, 12, 12>>;

}  // namespace

TEST_CASE("several inputs, volumes and others") {
  tiled<three_inputs, input<"x", 1, 1, 6, 8, 8>, input<"mask", 1, 1, 6, 8, 8>, input<"style", 1, 2>> t;
  t.initialize(3);
  xt::xtensor<float, 2> style{{0.5f, -0.25f}};
  constexpr size3 e{13, 8, 17};
  const volume x = noise(1, e), mask = noise(1, e, 2);
  three_model<e> m(t.weights());
  const volume wanted = m(x, mask, style), found = t(x, mask, style);
  CHECK(difference(found, wanted) < 2e-6);
  style(0, 1) = 2;
  const volume other = t(x, mask, style);
  CHECK(difference(other, wanted) > 1e-3);
  CHECK(difference(other, m(x, mask, style)) < 2e-6);
  CHECK_THROWS_WITH(t(x, noise(1, {13, 8, 18}), style), "volumes: expected extents that agree, found several");
  CHECK_THROWS_AS(t(x, mask, xt::xtensor<float, 2>{{1.0f}}), shape_error);
}

TEST_CASE("a family of tiles") {
  tile_family<large, small> t;
  t.initialize(3);
  CHECK(tile_family<large, small>::choice({16, 20, 20}) == 0);
  CHECK(tile_family<large, small>::choice({4, 20, 20}) == 1);
  CHECK_THROWS_WITH(t(noise(1, {3, 20, 20})), "volume: expected extents that one of 2 tiles fits, found 3 x 20 x 20");
  const volume thin = noise(1, {4, 20, 34}), thick = noise(1, {18, 20, 34});
  model<pooled_up, input<"x", 1, 1, 4, 20, 34>> a(t.weights());
  model<pooled_up, input<"x", 1, 1, 18, 20, 34>> b(t.weights());
  CHECK(difference(t(thin), a(thin)) < 2e-6);
  CHECK(difference(t(thick), b(thick)) < 2e-6);
  std::int64_t planes = 0;
  CHECK(t.run(vs::scores([&](const vs::slab<float>& s) { planes += s.shape[2]; }), vs::memory(thick)));
  CHECK(planes == 18);

  tile_family<even, odd> both;  // odd and even depths of a network with stride 2, which accepts both
  both.initialize(4);
  const volume x = noise(1, {21, 16, 12}), y = noise(1, {22, 12, 16});
  model<strided, input<"x", 1, 1, 21, 16, 12>> of_x(both.weights());
  model<strided, input<"x", 1, 1, 22, 12, 16>> of_y(both.weights());
  CHECK(difference(both(x), of_x(x)) < 2e-6);
  CHECK(difference(both(y), of_y(y)) < 2e-6);
  CHECK(both.parameter_values().data() == both.weights().parameter_values().data());
}

TEST_CASE("an axis that is not cut") {
  using tiles = tiled<pooled_up, input<"x", 1, 1, 4, 16, 16>>;  // too few planes to leave any that no border has changed
  STATIC_REQUIRE_FALSE(tiles::axis[0].slides());
  STATIC_REQUIRE(tiles::axis[1].slides());
  tiles t;
  CHECK_THROWS_WITH(t(noise(1, {6, 16, 16})), "volume: expected a depth of 4, found 6");
  using flat = tiled<nn::sequential<nn::conv3d<1, 2, nn::kernel<1, 3, 3>, nn::padding<0, 1, 1>>, act>, input<"x", 1, 1, 1, 8, 8>>;
  flat f;
  model<nn::sequential<nn::conv3d<1, 2, nn::kernel<1, 3, 3>, nn::padding<0, 1, 1>>, act>, input<"x", 1, 1, 1, 19, 33>> m(f.weights());
  const volume x = noise(1, {1, 19, 33});
  CHECK(difference(f(x), m(x)) < 2e-6);
  CHECK_THROWS_WITH(f(noise(1, {2, 8, 8})), "volume: expected a depth of 1, found 2");
}

TEST_CASE("samples, double precision and weights of a model") {
  using net = nn::sequential<conv<1, 3>, act, conv<3, 1>>;
  basic_model<double, net, input<"x", 2, 1, 9, 14, 20>> m;
  m.initialize(9);
  basic_tiled<double, net, input<"x", 2, 1, 6, 6, 8>> t(m.weights());
  CHECK(std::as_const(t).parameter_values().data() == std::as_const(m).parameter_values().data());
  const volume x = noise(1, {9, 14, 20}, 3, 2);
  const xt::xtensor<double, 5> wanted = m(x), found = t(x);
  double worst = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) worst = std::max(worst, std::abs(wanted.data()[i] - found.data()[i]));
  CHECK(worst < 1e-14);
}

TEST_CASE("the tile that is proposed") {
  using probe = tiled<pooled_up, input<"x", 1, 1, 16, 16, 16>>;
  constexpr vs::size3 e{155, 240, 240};
  constexpr vs::size3 small_tile = proposed_tile<probe>(4 * probe::bytes_per_worker);
  constexpr vs::size3 large_tile = proposed_tile<probe>(64 * probe::bytes_per_worker);
  STATIC_REQUIRE(small_tile.voxels() <= 4 * 16 * 16 * 16);
  STATIC_REQUIRE(small_tile.voxels() > 2 * 16 * 16 * 16);
  STATIC_REQUIRE(large_tile.voxels() <= 64 * 16 * 16 * 16);
  STATIC_REQUIRE((large_tile.d % 2 == 0 && large_tile.h % 2 == 0 && large_tile.w % 2 == 0));
  STATIC_REQUIRE(proposed_tile<probe>(100).voxels() == 0);
  // Against all tiles of the same grid, one by one.
  constexpr vs::size3 best = proposed_tile<probe>(16 * probe::bytes_per_worker, {156, 240, 240});
  const auto work = [](const vs::size3& tile) {
    const vs::tile_axis axis[3]{probe::axis[0].of_extent(tile.d), probe::axis[1].of_extent(tile.h), probe::axis[2].of_extent(tile.w)};
    return vs::work_of(axis, {156, 240, 240}, vs::fit::zeros);
  };
  double least = 1e30;
  for (std::int64_t d = 16; d <= 156; d += 8)
    for (std::int64_t h = 16; h <= 200; h += 8)
      for (std::int64_t w = 16; w <= 200; w += 8)
        if (d * h * w <= 16 * 16 * 16 * 16) least = std::min(least, work({d, h, w}));
  CHECK(work(best) <= least);
  // With room for it, the whole volume is one tile, though its extents are not eight apart from others.
  constexpr vs::size3 all = proposed_tile<probe>(1000 * probe::bytes_per_worker, {78, 42, 30});
  STATIC_REQUIRE(all == vs::size3{78, 42, 30});
  STATIC_REQUIRE(proposed_tile<probe>(1000 * probe::bytes_per_worker, {77, 41, 29}) == all);
  CHECK(e.voxels() > 0);
}
