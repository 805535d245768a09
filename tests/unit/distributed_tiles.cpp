// A volume over ranks that are threads: the bits of one rank, in order, and what is finished when a rank is lost.
#include <volute/distributed/in_process.hpp>
#include <volute/distributed/tiles.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <cmath>

using namespace volute;
using Catch::Contains;
using distributed::in_process;

namespace {

struct net : nn::sequential<nn::conv3d<1, 3, nn::kernel<3>, nn::same>, nn::relu, nn::conv3d<3, 3, nn::kernel<3>, nn::same>> {};
using tiles = tiled<net, input<"x", 1, 1, 12, 8, 8>>;

xt::xtensor<float, 5> volume_of(std::size_t depth) {
  xt::xtensor<float, 5> v({1, 1, depth, 11, 8});
  for (std::size_t i = 0; i < v.size(); ++i) v.data()[i] = std::sin(static_cast<float>(i) * 0.37f);
  return v;
}
struct found {
  std::vector<float> values;
  std::vector<std::int64_t> begins;
};
/// What rank 0's sink gets.
template <class Make>
auto over(int ranks, std::size_t depth, Make make) {
  found f;
  in_process::run(
      ranks,
      [&](in_process::member& world) {
        tiles t;
        const auto v = volume_of(depth);
        distributed::run_tiles(world, t, {}, make([&](const auto& slab) {
                                 if (world.rank() != 0) throw std::logic_error("not this sink");
                                 f.begins.push_back(slab.begin);
                                 for (std::int64_t i = 0; i < slab.shape.size(); ++i) f.values.push_back(static_cast<float>(slab.data[i]));
                               }),
                               volumes::memory(v));
      },
      std::chrono::seconds(20));
  return f;
}

}  // namespace

TEST_CASE("slabs over ranks are those of one") {
  for (const std::size_t depth : {12u, 43u}) {
    tiles t;
    const auto v = volume_of(depth);
    const auto scores = [](auto f) { return volumes::scores(f); };
    const auto labels = [](auto f) { return volumes::labels<std::uint8_t>(f); };
    const auto likely = [](auto f) { return volumes::probabilities(0.4, f); };
    const auto check = [&](auto make) {
      found expected;
      t.run(make([&](const auto& slab) {
              expected.begins.push_back(slab.begin);
              for (std::int64_t i = 0; i < slab.shape.size(); ++i) expected.values.push_back(static_cast<float>(slab.data[i]));
            }),
            volumes::memory(v));
      CHECK(expected.begins.size() == tiles::slabs({static_cast<std::int64_t>(depth), 11, 8}).size());
      CHECK((depth == 12u || expected.begins.size() > 3));
      for (int ranks : {1, 2, 3, 7}) {
        const found f = over(ranks, depth, make);
        CHECK(f.begins == expected.begins);
        CHECK(f.values == expected.values);
      }
    };
    check(scores), check(labels), check(likely);
  }
}

TEST_CASE("another network with the same parameters is refused") {
  struct other : nn::sequential<nn::conv3d<1, 3, nn::kernel<3>, nn::same>, nn::tanh, nn::conv3d<3, 3, nn::kernel<3>, nn::same>> {};
  std::string said;
  try {
    in_process::run(2, [&](in_process::member& world) {
      const auto v = volume_of(20);
      const auto run = [&](auto t) {
        distributed::run_tiles(world, t, {}, volumes::scores([](const auto&) { throw std::logic_error("computed"); }), volumes::memory(v));
      };
      if (world.rank() == 0)
        run(tiles());
      else
        run(tiled<other, input<"x", 1, 1, 12, 8, 8>>());
    });
  } catch (const std::exception& e) {
    said = e.what();
  }
  CHECK_THAT(said, Contains("rank 1 differs from rank 0: program: expected "));
}

TEST_CASE("some of a run's slabs") {
  tiles t;
  const auto v = volume_of(43);
  std::vector<std::int64_t> all, some;
  const auto begins = [](std::vector<std::int64_t>& to) { return volumes::scores([&](const auto& slab) { to.push_back(slab.begin); }); };
  t.run(begins(all), volumes::memory(v));
  volumes::options o;
  o.first_slab = 1, o.slab_count = 2;
  t.run(o, begins(some), volumes::memory(v));
  CHECK(some == std::vector<std::int64_t>{all[1], all[2]});
  for (int ranks : {1, 2, 3}) {  // over ranks the same
    std::vector<std::int64_t> over_ranks;
    in_process::run(ranks, [&](in_process::member& world) {
      tiles mine;
      distributed::run_tiles(world, mine, o, begins(over_ranks), volumes::memory(v));
    });
    CHECK(over_ranks == some);
  }
  o.first_slab = static_cast<std::int64_t>(all.size()) - 1, o.slab_count = 9, some.clear();
  t.run(o, begins(some), volumes::memory(v));
  CHECK(some == std::vector<std::int64_t>{all.back()});
  o.first_slab = 100, some.clear();
  t.run(o, begins(some), volumes::memory(v));
  CHECK(some.empty());
}

TEST_CASE("a rank that is lost is named, and finished slabs are kept") {
  std::vector<std::int64_t> kept;
  std::string said;
  try {
    in_process::run(2, [&](in_process::member& world) {
      tiles t;
      const auto v = volume_of(43);
      const volumes::size3 extents{43, 11, 8};
      const auto source = volumes::function(extents, [&](const volumes::box& part, float* to) {
        if (world.rank() == 1 && part.begin.d > 20) throw std::runtime_error("no such voxels");
        std::fill_n(to, part.extent.d * part.extent.h * part.extent.w, 1.f);
      });
      distributed::run_tiles(world, t, {}, volumes::scores([&](const auto& slab) { kept.push_back(slab.begin); }), source);
    });
  } catch (const std::exception& e) {
    said = e.what();
  }
  CHECK_FALSE(kept.empty());
  CHECK(kept.size() < tiles::slabs({43, 11, 8}).size());
  CHECK(said == "no such voxels");  // what was thrown first; rank 0 itself sees that rank 1 has ended
}

TEST_CASE("volumes and weights that differ are refused before anything is computed") {
  const auto said = [](auto change) {
    try {
      in_process::run(2, [&](in_process::member& world) {
        tiles t;
        std::size_t depth = 43;
        volumes::options o;
        if (world.rank() == 1) change(t, depth, o);
        const auto v = volume_of(depth);
        distributed::run_tiles(world, t, o, volumes::scores([](const auto&) { throw std::logic_error("computed"); }), volumes::memory(v));
      });
    } catch (const std::exception& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK_THAT(said([](auto&, auto& depth, auto&) { depth = 45; }), Contains("rank 1 differs from rank 0: ") && Contains("expected"));
  CHECK_THAT(said([](auto& t, auto&, auto&) { t.template parameter<"0.bias">()(0) += 1; }),
             Contains("rank 1 differs from rank 0: values of parameter '0.bias': expected "));
  CHECK_THAT(said([](auto&, auto&, auto& o) { o.first_slab = 1; }), Contains("first slab: expected 0, found 1"));
  CHECK_THAT(said([](auto&, auto&, auto& o) { o.progress = [](const auto&) { return true; }; }),
             Contains("options.progress: expected none"));
}
