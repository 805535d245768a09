// A U-Net with norms over the whole volume, in sweeps of tiles, against the model of the whole.
#include "volumes_support.hpp"

#include <volute/io/npy.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/volumes/store.hpp>

#include <filesystem>

using namespace volumes_support;
namespace nn = volute::nn;
namespace vs = volute::volumes;

namespace {

// One level down and up, with instance norms and a group norm. Each stage is a part of the network with the same names.
struct parts {
  nn::named<"a", nn::conv3d<1, 4, nn::kernel<3>, nn::same>> a;
  nn::named<"na", nn::instance_norm3d<4, nn::affine<true>>> na;
  nn::named<"b", nn::conv3d<4, 6, nn::kernel<3>, nn::stride<2>, nn::padding<1>>> b;
  nn::named<"nb", nn::instance_norm3d<6>> nb;
  nn::named<"up", nn::conv_transpose3d<6, 4, nn::kernel<2>, nn::stride<2>>> up;
  nn::named<"c", nn::conv3d<8, 4, nn::kernel<3>, nn::same>> c;
  nn::named<"nc", nn::group_norm<2, 4>> nc;
  nn::named<"head", nn::conv3d<4, 3, nn::kernel<1>>> head;
  static constexpr auto act(expression auto x) { return leaky_relu<0.01>(x); }
};
struct net : parts {
  constexpr auto operator()(expression auto x) const {
    const auto skip = act(na(a(x)));
    return head(act(nc(c(concat(axis<1>, up(act(nb(b(skip)))), skip)))));
  }
};
struct first : parts {
  constexpr auto operator()(expression auto x) const { return a(x); }
};
struct second : parts {
  constexpr auto operator()(expression auto x, expression auto sa) const { return b(act(na(x, sa))); }
};
struct third : parts {
  constexpr auto operator()(expression auto x, expression auto sb) const { return up(act(nb(x, sb))); }
};
struct fourth : parts {
  constexpr auto operator()(expression auto x, expression auto skip, expression auto sa) const {
    return c(concat(axis<1>, x, act(na(skip, sa))));
  }
};
struct fifth : parts {
  constexpr auto operator()(expression auto x, expression auto sc) const { return head(act(nc(x, sc))); }
};

constexpr size3 extent{20, 24, 28};

}  // namespace

TEST_CASE("a U-Net with norms over the whole volume, in sweeps, is the whole") {
  model<net, input<"x", 1, 1, extent.d, extent.h, extent.w>> whole;
  whole.initialize(5);
  for (auto& p : whole.parameter_table())  // gains and shifts that are not 1 and 0
    if (p.path.starts_with("n"))
      for (std::int64_t i = 0; i < p.shape.size(); ++i) p.data[i] = 0.5f + 0.3f * static_cast<float>(i);
  std::vector<std::byte> file;
  whole.save(file);
  volume x = noise(1, extent);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += 5 + static_cast<float>(i % 28) / 7;  // a mean that varies over the volume
  const volume wanted = whole(x);

  tiled<first, input<"x", 1, 1, 12, 12, 16>> t1;
  tiled<second, input<"x", 1, 4, 12, 12, 16>, input<"s", 2, 4>> t2;
  tiled<third, input<"x", 1, 6, 6, 6, 8>, input<"s", 2, 6>> t3;
  tiled<fourth, input<"x", 1, 4, 12, 12, 16>, input<"skip", 1, 4, 12, 12, 16>, input<"s", 2, 4>> t4;
  tiled<fifth, input<"x", 1, 4, 12, 12, 16>, input<"s", 2, 4>> t5;
  const auto load = [&](auto&... t) { (t.load(file, load_options{.allow_unused = true}), ...); };
  load(t1, t2, t3, t4, t5);

  for (const std::string& folder : {std::string(), std::filesystem::temp_directory_path().string()}) {
    vs::store<float> a(4, extent, folder), b(6, {10, 12, 14}, folder), u(4, extent, folder), c(4, extent, folder);
    t1.run(a.sink(), vs::memory(x));
    t2.run(b.sink(), a.source(), a.statistics());
    t3.run(u.sink(), b.source(), b.statistics());
    t4.run(c.sink(), u.source(), a.source(), a.statistics());
    volume found = volume::from_shape(wanted.shape());
    t5.run(vs::scores([&](const vs::slab<float>& s) {
             for (std::int64_t k = 0; k < 3; ++k)
               std::copy_n(s.data + k * s.shape[2] * extent.h * extent.w, s.shape[2] * extent.h * extent.w,
                           found.data() + (k * extent.d + s.begin) * extent.h * extent.w);
           }),
           c.source(), c.statistics(2));
    CHECK(difference(found, wanted) < 3e-6);
  }
}

TEST_CASE("results that go to a file: scores, labels and probabilities") {
  tiled<first, input<"x", 1, 1, 12, 12, 16>> t;
  t.initialize(3);
  const volume x = noise(1, extent), wanted = t(x);
  const std::string folder = std::filesystem::temp_directory_path().string(), path = folder + "/volute-scores.npy";
  vs::store<float> scores(4, extent, folder), likely(4, extent, folder);
  vs::store<std::uint8_t> labels(1, extent, folder);
  t.run(scores.sink(), vs::memory(x));
  t.run(vs::probabilities(0.25, likely.sink().function), vs::memory(x));
  t.run(vs::labels<std::uint8_t>(labels.sink().function), vs::memory(x));
  save_npy(path, xt::adapt(scores.data(), wanted.size(), xt::no_ownership(), wanted.shape()));
  CHECK(equal_bits(load_npy<float, 5>(path), wanted));
  std::filesystem::remove(path);
  const std::size_t n = static_cast<std::size_t>(extent.voxels());
  for (std::size_t i = 0; i < n; i += 7) {
    const std::size_t best = labels.data()[i];
    for (std::size_t c = 0; c < 4; ++c) {
      CHECK(wanted.data()[c * n + i] <= wanted.data()[best * n + i]);
      CHECK((likely.data()[c * n + i] == 0 || likely.data()[c * n + i] > 0.25f));
    }
    CHECK(likely.data()[best * n + i] > 0.25f);  // the largest of four
  }
}

TEST_CASE("statistics of a store") {
  vs::store<float> s(4, {3, 2, 5});
  std::vector<float> values(4 * 30);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 1e4f + static_cast<float>((i * i * 31) % 101) * static_cast<float>(i / 30 + 1);
  for (int again = 0; again < 2; ++again)  // the second time anew
    for (std::int64_t z : {0, 2}) {        // two planes, then one
      const std::int64_t n = z == 0 ? 2 : 1;
      std::vector<float> planes;
      for (std::size_t c = 0; c < 4; ++c)
        for (std::int64_t i = 0; i < n * 10; ++i) planes.push_back(values[c * 30 + static_cast<std::size_t>(z * 10 + i)]);
      s.sink().function(vs::slab<float>{z, make_extents(1, 4, n, 2, 5), planes.data()});
    }
  CHECK(std::equal(values.begin(), values.end(), s.data()));
  const auto check = [&](std::int64_t groups, std::size_t size) {
    const auto found = s.statistics(groups);
    for (std::size_t c = 0; c < 4; ++c) {
      double mean = 0, variance = 0;
      const std::size_t begin = c / size * size * 30, n = size * 30;
      for (std::size_t i = begin; i < begin + n; ++i) mean += static_cast<double>(values[i]) / static_cast<double>(n);
      for (std::size_t i = begin; i < begin + n; ++i)
        variance += std::pow(static_cast<double>(values[i]) - mean, 2) / static_cast<double>(n);
      CHECK(static_cast<double>(found(0, c)) == Approx(mean));
      CHECK(static_cast<double>(found(1, c)) == Approx(variance));
    }
  };
  check(0, 1), check(4, 1), check(2, 2), check(1, 4);
  s.sink().function(vs::slab<float>{0, make_extents(1, 4, 2, 2, 5), values.data()});  // a run that was called off
  CHECK_THROWS_WITH(s.statistics(), "store: expected all 3 planes of a run, found 2");
  CHECK_THROWS_WITH(s.source(), "store: expected all 3 planes of a run, found 2");
  CHECK_THROWS_WITH(vs::store<float>(4, {3, 2, 5}).statistics(), "store: expected all 3 planes of a run, found 0");
  CHECK_THROWS_WITH(s.statistics(3), "statistics: expected groups that divide 4 channels, found 3");
  CHECK_THROWS_WITH(vs::store<float>(0, {3, 2, 5}), "store: expected channels and extents of 1 or more, and fewer than 2^63 bytes, found (0,3,2,5)");
  CHECK_THROWS_WITH(vs::store<float>(-1, {3, 2, 5}), Catch::Contains("found (-1,3,2,5)"));
  CHECK_THROWS_WITH(vs::store<float>(std::int64_t{1} << 40, {1 << 30, 3, 5}), Catch::Contains("fewer than 2^63 bytes"));
  CHECK_THROWS_WITH(vs::store<float>(std::int64_t{1} << 20, {1 << 30, 1, 1}), Catch::Contains("no memory for 4503599627370496 bytes"));
  CHECK_THROWS_AS(vs::store<float>(1, {3, 2, 5}, "/no/such/folder"), file_error);
  const std::vector<float> wide(4 * 12);
  CHECK_THROWS_WITH(s.sink().function(vs::slab<float>{0, make_extents(1, 4, 1, 2, 6), wide.data()}),
                    "store: expected planes of (1,4,3,2,5), found others");
}
