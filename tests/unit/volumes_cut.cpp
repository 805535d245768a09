// Cuts of an axis, whatever a network makes of it.
#include <volute/volumes/cut.hpp>

#include <catch2/catch.hpp>

#include <random>

using namespace volute;
using namespace volute::volumes;

namespace {

/// An axis as some network could have it.
tile_axis random_axis(std::mt19937& random) {
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random); };
  tile_axis t;
  t.fixed = false;
  t.step = pick(0, 2) == 0 ? ratio(1, pick(1, 3)) : ratio(pick(1, 4));
  t.grid = t.step.num * pick(1, 4);
  t.tile = t.grid * pick(1, 12) + pick(0, 3);
  t.result = (ratio(t.tile) / t.step).floor() + pick(-2, 2);
  t.result = std::max<std::int64_t>(1, t.result);
  t.first = pick(0, 4);
  t.last = t.result - pick(0, 4);
  return t;
}

}  // namespace

TEST_CASE("tiles cover a volume once, each where it is right") {
  std::mt19937 random(11);
  int slid = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const tile_axis t = random_axis(random);
    const std::int64_t extent = t.tile + t.grid * std::uniform_int_distribution<std::int64_t>(0, 30)(random);
    CHECK(t.fits(t.tile));
    if (!t.fits(extent)) {
      if (t.slides()) FAIL("a multiple of the grid more does not fit");
      continue;
    }
    slid += extent > t.tile;
    const std::vector<stretch> all = cut(t, extent);
    bool right = static_cast<std::int64_t>(all.size()) == count_tiles(t, extent);
    right = right && all.front().origin == 0 && all.back().origin == extent - t.tile;
    right = right && all.front().begin == 0 && all.back().end == t.whole_result(extent);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const stretch& s = all[i];
      const ratio at = ratio(s.origin) / t.step;
      right = right && at.den == 1 && s.origin % t.grid == 0 && s.from == s.begin - at.num && s.begin < s.end;
      if (i > 0) right = right && s.begin == all[i - 1].end && s.origin > all[i - 1].origin && s.from >= t.first;
      right = right && s.from >= 0 && s.end - at.num <= (i + 1 < all.size() ? t.last : t.result);
    }
    if (!right) FAIL("tile " << t.tile << " grid " << t.grid << " extent " << extent << " first " << t.first << " last " << t.last);
  }
  CHECK(slid > 5000);
}

TEST_CASE("no cut has fewer tiles") {
  std::mt19937 random(12);
  for (int trial = 0; trial < 300; ++trial) {
    const tile_axis t = random_axis(random);
    if (!t.slides()) continue;
    const std::int64_t extent = t.tile + t.grid * std::uniform_int_distribution<std::int64_t>(0, 12)(random);
    // How far each number of tiles gets, taking every origin that is allowed.
    std::vector<std::int64_t> reached{t.tile == extent ? t.whole_result(extent) : t.last};
    while (reached.back() < t.whole_result(extent)) {
      std::int64_t best = reached.back();
      for (std::int64_t origin = 0; origin <= extent - t.tile; origin += t.grid) {
        const std::int64_t at = (ratio(origin) / t.step).floor();
        if (at + t.first > reached.back() && origin > 0) continue;
        best = std::max(best, origin == extent - t.tile ? t.whole_result(extent) : at + t.last);
      }
      reached.push_back(best);
    }
    CHECK(static_cast<std::int64_t>(reached.size()) >= count_tiles(t, extent));
  }
}

TEST_CASE("ratios") {
  CHECK(ratio(6, -4) == ratio(-3, 2));
  CHECK(ratio(-3, 2).floor() == -2);
  CHECK(ratio(-3, 2).ceil() == -1);
  CHECK(ratio(7, 2).floor() == 3);
  CHECK(ratio(7, 2).ceil() == 4);
  CHECK(ratio(-4, 2).floor() == -2);
  CHECK(ratio(1, 3) + ratio(1, 6) == ratio(1, 2));
  CHECK(ratio(1, 3) - ratio(1, 3) == ratio(0));
  CHECK(ratio(2, 3) * ratio(3, 4) == ratio(1, 2));
  CHECK(ratio(2, 3) / ratio(-4, 3) == ratio(-1, 2));
  CHECK(ratio(1, 3) < ratio(1, 2));
}
