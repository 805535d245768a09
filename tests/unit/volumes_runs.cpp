// How tiles are run: sources and sinks, padding, workers, progress, what is refused at run time.
#include "volumes_support.hpp"

#include <volute/core/executor.hpp>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

using namespace volumes_networks;
using namespace volumes_support;
namespace vs = volute::volumes;

namespace {

struct ones : nn::layer<ones> {
  static constexpr auto forward(expression auto x) { return conv3d(x, broadcast_to(1_c, shape<1, 1, 3, 3, 3>), padding<1>); }
};

using pair = tiled<pooled_up, input<"x", 1, 1, 14, 14, 16>>;

template <size3 E>
volume whole_of(const pair& t, const volume& x) {
  model<pooled_up, input<"x", 1, 1, E.d, E.h, E.w>> m(t.weights());
  return m(x);
}

/// All slabs behind one another, and whether they came in order and were as they should be.
template <class U>
struct gathered_slabs {
  extents whole;
  std::vector<U> data;
  std::int64_t next = 0, most = 0;
  explicit gathered_slabs(const extents& e) : whole(e), data(static_cast<std::size_t>(e.size())) {}
  void operator()(const vs::slab<U>& s) {
    REQUIRE(s.begin == next);
    REQUIRE((s.shape[0] == whole[0] && s.shape[1] == whole[1] && s.shape[3] == whole[3] && s.shape[4] == whole[4]));
    const std::int64_t plane = whole[3] * whole[4];
    for (std::int64_t c = 0; c < whole[0] * whole[1]; ++c)
      std::copy_n(s.data + c * s.shape[2] * plane, s.shape[2] * plane, data.data() + (c * whole[2] + s.begin) * plane);
    next += s.shape[2];
    most = std::max(most, s.shape.size());
  }
};

}  // namespace

TEST_CASE("a sum of neighbours at every voxel, also at seams") {
  tiled<ones, input<"x", 1, 1, 5, 6, 8>> t;
  for (const size3& e : {size3{5, 6, 8}, size3{6, 9, 8}, size3{11, 6, 21}, size3{17, 15, 13}}) {
    volume x = noise(1, e);
    const auto value = [](std::int64_t z, std::int64_t y, std::int64_t w) { return static_cast<float>(z * 100 + y * 10 + w); };
    float* p = x.data();
    for (std::int64_t z = 0; z < e.d; ++z)
      for (std::int64_t y = 0; y < e.h; ++y)
        for (std::int64_t w = 0; w < e.w; ++w) *p++ = value(z, y, w);
    const volume found = t(x);
    const float* f = found.data();
    bool right = true;
    for (std::int64_t z = 0; z < e.d; ++z)
      for (std::int64_t y = 0; y < e.h; ++y)
        for (std::int64_t w = 0; w < e.w; ++w, ++f) {
          float wanted = 0;
          for (std::int64_t i = std::max<std::int64_t>(0, z - 1); i <= std::min(e.d - 1, z + 1); ++i)
            for (std::int64_t j = std::max<std::int64_t>(0, y - 1); j <= std::min(e.h - 1, y + 1); ++j)
              for (std::int64_t k = std::max<std::int64_t>(0, w - 1); k <= std::min(e.w - 1, w + 1); ++k) wanted += value(i, j, k);
          right = right && *f == wanted;
        }
    CHECK(right);
  }
}

TEST_CASE("sources, sinks and workers") {
  pair t;
  t.initialize(4);
  constexpr size3 e{30, 18, 38};
  const volume x = noise(1, e), wanted = whole_of<e>(t, x);
  spinning_pool pool(2);
  for (const bool side_by_side : {false, true}) {
    if (side_by_side) t.use(pool);
    CHECK(difference(t(x), wanted) < 2e-6);

    gathered_slabs<float> scores(pair::result_shape(e));
    CHECK(t.run(vs::scores(std::ref(scores)), vs::memory(x)));
    CHECK(scores.next == e.d);
    CHECK(scores.most < static_cast<std::int64_t>(wanted.size()) / 2);  // not all planes at once
    const volume direct = t(x);
    CHECK(std::equal(direct.begin(), direct.end(), scores.data.begin()));

    gathered_slabs<float> again(pair::result_shape(e));
    std::atomic<bool> outside{false};
    const auto fill = [&](const vs::box& b, float* to) {
      if (b.begin.d < 0 || b.begin.d + b.extent.d > e.d || b.begin.w + b.extent.w > e.w) outside = true;
      for (std::int64_t z = 0; z < b.extent.d; ++z)
        for (std::int64_t y = 0; y < b.extent.h; ++y)
          for (std::int64_t w = 0; w < b.extent.w; ++w) *to++ = x.data()[((b.begin.d + z) * e.h + b.begin.h + y) * e.w + b.begin.w + w];
    };
    CHECK(t.run(vs::scores(std::ref(again)), vs::function(e, fill)));
    CHECK(again.data == scores.data);
    CHECK_FALSE(outside);

    gathered_slabs<std::uint8_t> labels(make_extents(1, 1, e.d, e.h, e.w));
    CHECK(t.run(vs::labels<std::uint8_t>(std::ref(labels)), vs::memory(x.data(), e)));
    gathered_slabs<float> likely(pair::result_shape(e));
    CHECK(t.run(vs::probabilities(0.6, std::ref(likely)), vs::memory(x)));
    const std::size_t n = static_cast<std::size_t>(e.voxels());
    bool right = true;
    for (std::size_t i = 0; i < n; ++i) {
      const double a = direct.data()[i], b = direct.data()[n + i], p = 1 / (1 + std::exp(b - a));
      right = right && labels.data[i] == (b > a);
      for (const auto& [q, found] : {std::pair{p, likely.data[i]}, std::pair{1 - p, likely.data[n + i]}})
        right = right && (std::abs(q - 0.6) < 1e-6 || (q > 0.6 ? std::abs(found - q) < 1e-6 : found == 0));
    }
    CHECK(right);
  }
}

TEST_CASE("voxels of another type") {
  pair t;
  xt::xtensor<short, 5> x = xt::xtensor<short, 5>::from_shape({1, 1, 16, 20, 16});
  volume floats = volume::from_shape(x.shape());
  for (std::size_t i = 0; i < x.size(); ++i) floats.data()[i] = x.data()[i] = static_cast<short>(i * 13 % 41 - 20);
  CHECK(equal_bits(t(x), t(floats)));
}

TEST_CASE("labels and probabilities of few channels and long rows") {
  const float scores[3][5]{{1, 2, 3, -1, 0}, {1, 5, 3, -2, 0}, {0, 4, 9, -1.5, 0}};
  std::uint16_t labels[5];
  vs::label_sink<std::uint16_t, int>{}.store(vs::result_row<float, std::uint16_t>{scores[0], 5, 3, 5, labels, 5});
  CHECK(std::vector<int>(labels, labels + 5) == std::vector<int>{0, 1, 2, 0, 0});
  float p[5];
  vs::probability_sink<int>{0.5, 0}.store(vs::result_row<float, float>{scores[0], 5, 1, 5, p, 5});
  CHECK(p[0] == Approx(1 / (1 + std::exp(-1.0))));
  CHECK(p[3] == 0);
  CHECK(p[4] == 0);  // 0.5 is not above
  const float unknown[2][2]{{NAN, 1}, {0, NAN}};  // no score, no probability: not the 0 of what is below
  float q[2][2];
  vs::probability_sink<int>{0.5, 0}.store(vs::result_row<float, float>{unknown[0], 2, 2, 2, q[0], 2});
  CHECK((std::isnan(q[0][0]) && std::isnan(q[1][0]) && std::isnan(q[0][1]) && std::isnan(q[1][1])));
  vs::probability_sink<int>{0.5, 0}.store(vs::result_row<float, float>{unknown[0], 2, 1, 2, q[0], 2});
  CHECK((std::isnan(q[0][0]) && q[0][1] > 0.7f));
  std::vector<float> long_row(300);
  for (std::size_t i = 0; i < 300; ++i) long_row[i] = static_cast<float>(i % 150);
  std::vector<std::uint8_t> long_labels(150);
  vs::label_sink<std::uint8_t, int>{}.store(vs::result_row<float, std::uint8_t>{long_row.data(), 150, 2, 150, long_labels.data(), 150});
  CHECK(std::count(long_labels.begin(), long_labels.end(), 0) == 150);

  tiled<nn::conv3d<1, 257, nn::kernel<1>>, input<"x", 1, 1, 2, 2, 4>> many;
  const auto nothing = [](const auto&) {};
  CHECK(many.run(vs::labels<std::uint16_t>(nothing), vs::memory(noise(1, {2, 2, 4}))));
  CHECK_THROWS_WITH(many.run(vs::labels<std::uint8_t>(nothing), vs::memory(noise(1, {2, 2, 4}))),
                    "labels: expected at most 256 channels for labels of this type, found 257");
}

TEST_CASE("extents that the whole network refuses") {
  pair t;
  t.initialize(4);
  CHECK_THROWS_WITH(t(noise(1, {13, 14, 16})), "volume: expected a depth of 14 and a multiple of 2 more, found 13");
  CHECK_THROWS_WITH(t(noise(1, {14, 17, 16})), "volume: expected a height of 14 and a multiple of 2 more, found 17");
  CHECK_THROWS_WITH(t(noise(2, {14, 14, 16})), "volume: expected 1 samples of 1 channels, found 1 of 2");
  CHECK_THROWS_AS(t(noise(1, {14, 14, 0})), shape_error);
  CHECK_THROWS_WITH(t(noise(1, {14, 14, 16}, 1, 0)), "volume: expected 1 samples of 1 channels, found 0 of 1");
  xt::xtensor<float, 4> four = xt::zeros<float>({1, 14, 14, 16});
  CHECK_THROWS_WITH(t(four), "volume: expected rank 5 (N,C,D,H,W), found rank 4");
  CHECK(pair::result_shape({20, 14, 18}) == make_extents(1, 2, 20, 14, 18));

  constexpr size3 odd{9, 31, 17}, even{14, 32, 18};
  const volume x = noise(1, odd);
  for (const vs::fit rule : {vs::fit::zeros, vs::fit::replicate}) {
    volume padded = noise(1, even);
    float* p = padded.data();
    for (std::int64_t z = 0; z < even.d; ++z)
      for (std::int64_t y = 0; y < even.h; ++y)
        for (std::int64_t w = 0; w < even.w; ++w) {
          const std::int64_t zs = std::min(z, odd.d - 1), ys = std::min(y, odd.h - 1), ws = std::min(w, odd.w - 1);
          const bool inside = zs == z && ys == y && ws == w;
          *p++ = inside || rule == vs::fit::replicate ? x.data()[(zs * odd.h + ys) * odd.w + ws] : 0;
        }
    const volume whole = whole_of<even>(t, padded);
    const extents shape = pair::result_shape(odd, rule);
    CHECK(shape == make_extents(1, 2, 9, 31, 17));
    gathered_slabs<float> found(shape);
    vs::options o;
    o.fit = rule;
    CHECK(t.run(o, vs::scores(std::ref(found)), vs::memory(x)));
    double worst = 0;
    for (std::int64_t c = 0; c < 2; ++c)
      for (std::int64_t z = 0; z < odd.d; ++z)
        for (std::int64_t y = 0; y < odd.h; ++y)
          for (std::int64_t w = 0; w < odd.w; ++w)
            worst = std::max(worst,
                             static_cast<double>(std::abs(found.data[static_cast<std::size_t>(((c * odd.d + z) * odd.h + y) * odd.w + w)] -
                                                          whole.data()[((c * even.d + z) * even.h + y) * even.w + w])));
    CHECK(worst < 1e-6);
  }
}

TEST_CASE("progress, calling off, and what sinks and sources throw") {
  pair t;
  t.initialize(4);
  const volume x = noise(1, {38, 38, 40}), before = t(x);
  spinning_pool pool(2);
  for (const bool side_by_side : {false, true}) {
    if (side_by_side) t.use(pool);
    std::vector<vs::progress> told;
    vs::options o;
    o.progress = [&](const vs::progress& p) {
      told.push_back(p);
      return true;
    };
    const auto nothing = vs::scores([](const vs::slab<float>&) {});
    CHECK(t.run(o, nothing, vs::memory(x)));
    REQUIRE(told.size() > 20);
    for (std::size_t i = 0; i < told.size(); ++i) {
      CHECK(told[i].done == static_cast<std::int64_t>(i) + 1);
      CHECK(told[i].total == static_cast<std::int64_t>(told.size()));
      CHECK(told[i].seconds_left >= 0);
    }
    CHECK(told.back().seconds_left == 0);

    told.clear();
    o.progress = [&](const vs::progress& p) {
      told.push_back(p);
      return p.done < 3;
    };
    CHECK_FALSE(t.run(o, nothing, vs::memory(x)));
    CHECK(told.size() == 3);

    const auto throwing = vs::scores([](const vs::slab<float>& s) {
      if (s.begin > 0) throw std::runtime_error("the disk is full");
    });
    CHECK_THROWS_WITH(t.run(throwing, vs::memory(x)), "the disk is full");
    std::atomic<int> boxes{0};
    const auto torn = vs::function({38, 38, 40}, [&](const vs::box&, float*) {
      if (++boxes == 5) throw std::runtime_error("the file has ended");
    });
    CHECK_THROWS_WITH(t.run(nothing, torn), "the file has ended");
    o.progress = [](const vs::progress&) -> bool { throw std::runtime_error("no more"); };
    CHECK_THROWS_WITH(t.run(o, nothing, vs::memory(x)), "no more");
    CHECK(equal_bits(t(x), before));
  }
}
