// A training over ranks that are threads: the same bits for any number of them, and what differs or fails is told.
#include <volute/distributed/data_parallel.hpp>
#include <volute/distributed/in_process.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <mpi/support.hpp>

#include <functional>

using namespace volute;
using Catch::Contains;
using namespace ranks;
using distributed::in_process;
using distributed::summation;

namespace {

/// Trains on so many ranks; what every rank ends with is the same. With small buckets, so that there are several.
template <class Trainer>
std::vector<float> trained(int ranks, distributed::data_parallel_settings how, std::int64_t steps) {
  std::vector<std::vector<float>> ends(static_cast<std::size_t>(ranks));
  in_process::run(ranks, [&](in_process::member& world) {
    Trainer t = begin<Trainer>();
    distributed::data_parallel<Trainer, in_process::member, 512> step(t, world, how);
    static_assert(decltype(step)::buckets.count > 1);
    std::vector<float>& end = ends[static_cast<std::size_t>(world.rank())];
    std::vector<float> losses;
    for (std::int64_t s = 0; s < steps; ++s) losses.push_back(take(step, s));
    end = everything(t);
    end.insert(end.end(), losses.begin(), losses.end());
  });
  for (const auto& end : ends) CHECK(same_bits(end, ends[0]));
  return ends[0];
}

}  // namespace

TEST_CASE("the same bits for any number of ranks") {
  for (const std::int64_t runs : {1, 5, 8, 12}) {
    const std::vector<float> expected = trained<net_trainer>(1, {.runs = runs}, 6);
    for (int ranks : {2, 3, 4}) {
      CHECK(same_bits(trained<net_trainer>(ranks, {.runs = runs}, 6), expected));
      CHECK(same_bits(trained<net_trainer>(ranks, {.runs = runs, .overlap = false}, 6), expected));
    }
  }
}

TEST_CASE("a trainer alone that accumulates the same samples") {
  for (const int runs : {1, 2, 3}) {
    plain_trainer alone = begin<plain_trainer>();
    alone.settings.accumulate = runs;
    std::vector<float> losses;
    for (int s = 0; s < 6; ++s) {
      double sum = 0;
      for (int i = 0; i < runs; ++i)
        sum += static_cast<double>(alone.step(voxels<xt::xtensor<float, 2>>(s * runs + i, {1, 27}), number(s * runs + i)));
      losses.push_back(static_cast<float>(sum / runs));
    }
    std::vector<float> expected;
    {
      plain_trainer t = alone;
      t.settings.accumulate = 1;  // "accumulated" is not kept by a step over ranks
      expected = everything(t);
    }
    expected.insert(expected.end(), losses.begin(), losses.end());
    for (int ranks : {1, 2, 3}) CHECK(same_bits(trained<plain_trainer>(ranks, {.runs = runs}, 6), expected));
  }
}

TEST_CASE("the fast sum is the same up to rounding") {
  const std::vector<float> expected = trained<net_trainer>(1, {.runs = 6}, 1);  // the moments show the gradients
  for (int ranks : {1, 2, 4}) {
    const std::vector<float> found = trained<net_trainer>(ranks, {.runs = 6, .sum = summation::fast}, 1);
    REQUIRE(found.size() == expected.size());
    double most = 0;
    for (std::size_t k = 0; k < found.size(); ++k) most = std::max(most, static_cast<double>(std::abs(found[k] - expected[k])));
    CHECK(most < 1e-6);
    trained<net_trainer>(ranks, {.runs = 6, .sum = summation::fast}, 6);  // all ranks the same
  }
}

TEST_CASE("ranks that differ are refused before the first step, with both values") {
  const auto refusal = [](auto change) {
    std::string said;
    std::vector<std::vector<float>> ends(3);
    try {
      in_process::run(3, [&](in_process::member& world) {
        plain_trainer t = begin<plain_trainer>();
        distributed::data_parallel_settings how{.runs = 6};
        if (world.rank() == 2) change(t, how);
        distributed::data_parallel step(t, world, how);
        const std::vector<float> before = everything(t);
        try {
          take(step, 0);
        } catch (const shape_error&) {
          if (!same_bits(everything(t), before)) throw std::logic_error("a refusal changed something");
          throw;
        }
      });
    } catch (const shape_error& e) {
      said = e.what();
    }
    return said;
  };
  using how = distributed::data_parallel_settings;
  CHECK(refusal([](auto&, how&) {}).empty());
  CHECK(refusal([](auto&, how& h) { h.runs = 8; }) == "rank 2 differs from rank 0: runs of a step: expected 6, found 8");
  CHECK(refusal([](auto& t, how&) { t.settings.clip_norm = 1; }) == "rank 2 differs from rank 0: clip_norm: expected 0.5, found 1");
  CHECK_THAT(refusal([](auto& t, how&) { t.optimiser.beta2 = 0.9; }), Contains("what the optimiser makes of "));
  CHECK_THAT(refusal([](auto& t, how&) { t.settings.groups[0].weight_decay = 0.5; }),
             Contains("hash of what the groups choose: expected "));
  CHECK(refusal([](auto& t, how&) { t.seed(8); }) == "rank 2 differs from rank 0: seed of random numbers: expected 9, found 8");
  CHECK(refusal([](auto& t, how&) { t.progress.steps = 1; }) ==
        "rank 2 differs from rank 0: learning rate of the next step: expected 0, found 0.0033333333333333331");
  CHECK_THAT(refusal([](auto& t, how&) { t.template parameter<"3.bias">()(1) += 1e-3f; }),
             Contains("rank 2 differs from rank 0: values of parameter '3.bias': expected "));
  // Other programs: the rows have other names, or other values.
  std::string said;
  try {
    in_process::run(2, [&](in_process::member& world) {
      if (world.rank() == 0) {
        plain_trainer t = begin<plain_trainer>();
        distributed::data_parallel step(t, world);
        take(step, 0);
      } else {
        trainer<plain, nn::cross_entropy<>, adamw, input<"row", 2, 27>, input<"label", 2>> t(adamw{}, settings());
        distributed::data_parallel step(t, world);
        step.agree();
      }
    });
  } catch (const shape_error& e) {
    said = e.what();
  }
  CHECK(said == "rank 1 differs from rank 0: shape of input 'row': expected (1,27), found (2,27)");
}

TEST_CASE("what a rank throws, and what it leaves others waiting for, is told") {
  const auto said = [](int ranks, std::function<void(in_process::member&)> f) {
    try {
      in_process::run(ranks, f, std::chrono::milliseconds(300));
    } catch (const std::exception& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  // A mistake of one rank is what the run throws; the others end too.
  std::atomic<int> told{0};
  const auto wrong = said(3, [&](in_process::member& world) {
    plain_trainer t = begin<plain_trainer>();
    distributed::data_parallel step(t, world, {.runs = 3});
    take(step, 0);
    const std::vector<float> before = everything(t);
    try {
      step.step([&](std::int64_t i, auto run) {
        if (i == 1)
          run(xt::xtensor<float, 2>(xt::zeros<float>({1, 26})), number(0));
        else
          run(voxels<xt::xtensor<float, 2>>(i, {1, 27}), number(i));
      });
    } catch (const communication_error& e) {
      if (std::string(e.what()).find("rank 1 has ended") == std::string::npos || !same_bits(everything(t), before)) throw;
      try {
        take(step, 1);
      } catch (const shape_error& again) {  // (Catch's checks are for one thread)
        told += std::string(again.what()).find("found a step that one of them did not finish") != std::string::npos;
      }
      throw;
    }
  });
  CHECK(wrong == "input 'row': expected (1,27), found (1,26)");
  CHECK(told == 2);
  // One that is silent is named after the engine's patience.
  std::atomic<bool> over{false};
  const auto silent = said(2, [&](in_process::member& world) {
    if (world.rank() == 1) {
      while (!over) std::this_thread::yield();
      return;
    }
    plain_trainer t = begin<plain_trainer>();
    distributed::data_parallel step(t, world);
    struct ending {
      std::atomic<bool>& over;
      ~ending() { over = true; }
    } ending{over};
    take(step, 0);
  });
  CHECK_THAT(silent, Contains("rank 0: waited 3") && Contains(" ms for rank 1: it has stopped"));
  CHECK_THAT(said(1,
                  [](in_process::member& world) {
                    plain_trainer t = begin<plain_trainer>();
                    distributed::data_parallel step(t, world);
                    step.step([](std::int64_t, auto) {});
                  }),
             Contains("run 0: expected one call of run, found 0"));
  CHECK_THAT(said(1,
                  [](in_process::member& world) {
                    plain_trainer t = begin<plain_trainer>();
                    t.settings.accumulate = 2;
                    distributed::data_parallel step(t, world);
                    take(step, 0);
                  }),
             Contains("settings.accumulate: expected 1"));
}

TEST_CASE("the order of a sum does not depend on who adds what") {
  // Written out as text, for up to 20 runs and ranks.
  for (std::int64_t runs = 1; runs <= 20; ++runs) {
    std::string expected;
    for (int ranks = 1; ranks <= 20; ++ranks) {
      const distributed::summation_tree tree(runs, ranks);
      std::vector<std::string> sums;
      std::int64_t next = 0;
      for (const auto& p : tree.partials) {
        CHECK(p.node.index << p.node.level == next);
        const std::function<std::string(std::int64_t, std::int64_t)> text = [&](std::int64_t from, std::int64_t size) {
          return size == 1 ? std::to_string(from) : "(" + text(from, size / 2) + "+" + text(from + size / 2, size / 2) + ")";
        };
        sums.push_back(text(next, std::int64_t{1} << p.node.level));
        next += std::int64_t{1} << p.node.level;
      }
      CHECK(next == runs);
      for (const auto& m : tree.merges)
        sums[static_cast<std::size_t>(m.into)] =
            "(" + sums[static_cast<std::size_t>(m.into)] + "+" + sums[static_cast<std::size_t>(m.from)] + ")";
      if (ranks == 1) expected = sums[0];
      CHECK(sums[0] == expected);
    }
  }
}
