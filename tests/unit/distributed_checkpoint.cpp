// Checkpoints over ranks: what the file says, and what is wrong with it, is every rank's.
#include <volute/distributed/checkpoint.hpp>
#include <volute/distributed/in_process.hpp>

#include <catch2/catch.hpp>
#include <mpi/support.hpp>
#include <unit/io_support.hpp>

#include <atomic>
#include <fstream>

using namespace ranks;
using distributed::in_process;

TEST_CASE("three ranks write, two read, and one") {
  const scratch_folder folder;
  const std::string file = folder / "run.checkpoint";
  std::vector<float> end;
  in_process::run(3, [&](in_process::member& world) {
    plain_trainer t = begin<plain_trainer>();
    distributed::data_parallel step(t, world, {.runs = 6});
    std::int64_t epoch = 4, none = 0;
    if (resume(step, file, {extra("epoch", none)})) throw std::logic_error("there is no such file");
    take(step, 0), take(step, 1);
    save_checkpoint(step, file, {extra("epoch", epoch)});
    take(step, 2);
    if (world.rank() == 0) end = everything(t);
  });
  std::atomic<int> alike{0};
  const auto go_on = [&](auto& world) {
    plain_trainer t(adamw{.lr = 1e-2}, settings());  // other weights, until the file is read
    distributed::data_parallel step(t, world, {.runs = 6});
    std::int64_t epoch = 0;
    if (!resume(step, file, {extra("epoch", epoch)})) throw std::logic_error("there is such a file");
    take(step, 2);
    alike += epoch == 4 && same_bits(everything(t), end);
  };
  in_process::run(2, go_on);
  distributed::alone one;
  go_on(one);
  CHECK(alike == 3);
}

TEST_CASE("what is wrong with a file is told to all ranks") {
  const scratch_folder folder;
  const std::string junk = folder / "junk";
  std::ofstream(junk) << "this is no checkpoint";
  std::atomic<int> told{0};
  in_process::run(3, [&](in_process::member& world) {
    plain_trainer t = begin<plain_trainer>();
    distributed::data_parallel step(t, world, {.runs = 3});
    const std::vector<float> before = everything(t);
    const auto read = try_resume(step, junk);
    told += !read.ok() && read.kind() == error_kind::file && read.message().starts_with(junk);
    const status written = try_save_checkpoint(step, folder / "no/such/folder/run.checkpoint");
    told += !written.ok() && written.kind() == error_kind::file;
    told += same_bits(everything(t), before);
    take(step, 0);  // the ranks go on together
  });
  CHECK(told == 9);
}
