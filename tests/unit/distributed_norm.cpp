// Batch norms synchronised over the runs of a step: the same bits for any number of ranks, the training of one batch up to rounding, and
// derivatives by differences.
#include <volute/distributed/checkpoint.hpp>
#include <volute/distributed/data_parallel.hpp>
#include <volute/distributed/in_process.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <filesystem>
#include <mpi/support.hpp>

using namespace volute;
using namespace ranks;
using distributed::in_process;
using distributed::summation;

namespace {

/// Trains on so many ranks; what every rank ends with is the same.
std::vector<float> trained(int ranks, distributed::data_parallel_settings how, std::int64_t steps, const std::string& path = {}) {
  std::vector<std::vector<float>> ends(static_cast<std::size_t>(ranks));
  in_process::run(ranks, [&](in_process::member& world) {
    sync_trainer t = begin<sync_trainer>();
    distributed::data_parallel<sync_trainer, in_process::member, 512> step(t, world, how);
    static_assert(step.buckets.count > 1);
    if (!path.empty()) resume(step, path);
    float loss = 0;
    while (t.progress.steps < steps) loss = take(step, t.progress.steps);
    if (!path.empty()) save_checkpoint(step, path);
    std::vector<float>& end = ends[static_cast<std::size_t>(world.rank())];
    end = everything(t);
    end.push_back(loss);
  });
  for (const auto& end : ends) CHECK(same_bits(end, ends[0]));
  return ends[0];
}
double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t k = 0; k < a.size(); ++k) most = std::max(most, static_cast<double>(std::abs(a[k] - b[k])));
  return most;
}

}  // namespace

TEST_CASE("synchronised: the same bits for any number of ranks") {
  for (const std::int64_t runs : {1, 5, 8}) {
    const std::vector<float> expected = trained(1, {.runs = runs}, 6);
    for (int ranks : {2, 3, 4}) {
      CHECK(same_bits(trained(ranks, {.runs = runs}, 6), expected));
      CHECK(same_bits(trained(ranks, {.runs = runs, .overlap = false}, 6), expected));
    }
  }
  const std::vector<float> expected = trained(1, {.runs = 6}, 50);
  for (int ranks : {2, 3, 4}) CHECK(same_bits(trained(ranks, {.runs = 6}, 50), expected));
}

TEST_CASE("synchronised: resumed with another number of ranks") {
  const std::string path = (std::filesystem::temp_directory_path() / "volute_distributed_norm.checkpoint").string();
  std::filesystem::remove(path);
  trained(4, {.runs = 6}, 4, path);
  CHECK(same_bits(trained(3, {.runs = 6}, 8, path), trained(1, {.runs = 6}, 8)));
  std::filesystem::remove(path);
}

TEST_CASE("synchronised: the fast sum is the same up to rounding") {
  const std::vector<float> expected = trained(1, {.runs = 6}, 1);
  for (int ranks : {1, 2, 4}) {
    CHECK(largest_difference(trained(ranks, {.runs = 6, .sum = summation::fast}, 1), expected) < 1e-6);
    trained(ranks, {.runs = 6, .sum = summation::fast}, 6);  // all ranks the same
  }
}
