// Under mpirun:
//   training bits              trains on all ranks; rank 0 does the same alone, and compares every bit
//   training differ            rank 1 (the last) has something else each time: all ranks must be told, with both values
//   training until STEPS FILE  goes on with a checkpoint until so many steps are made, 20 ms each; the end goes to FILE.end
//   training large                     a message of more bytes than an int counts
//   training leave             the last rank leaves with an exception
#include <volute/distributed/checkpoint.hpp>
#include <volute/distributed/mpi.hpp>

#include <mpi/support.hpp>

#include <cstdio>
#include <fstream>
#include <string_view>

#include <unistd.h>

using namespace ranks;
using distributed::summation;

namespace {

int failures = 0;
void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++failures;
}

template <class Trainer = net_trainer, class C>
std::vector<float> trained(C& world, distributed::data_parallel_settings how, std::int64_t steps) {
  Trainer t = begin<Trainer>();
  distributed::data_parallel<Trainer, C, 512> step(t, world, how);
  std::vector<float> losses;
  for (std::int64_t s = 0; s < steps; ++s) losses.push_back(take(step, s));
  std::vector<float> all = everything(t);
  all.insert(all.end(), losses.begin(), losses.end());
  return all;
}

void bits(distributed::mpi& world) {
  distributed::alone one;
  for (const std::int64_t runs : {12, 5, 1}) {
    const std::vector<float> expected = trained(one, {.runs = runs}, runs == 12 ? 50 : 5);
    check(same_bits(trained(world, {.runs = runs}, runs == 12 ? 50 : 5), expected), "the bits of one process");
    check(same_bits(trained(world, {.runs = runs, .overlap = false}, 5), trained(one, {.runs = runs}, 5)), "the same without overlap");
  }
  for (const std::int64_t runs : {6, 1})
    check(same_bits(trained<sync_trainer>(world, {.runs = runs}, 50), trained<sync_trainer>(one, {.runs = runs}, 50)),
          "the bits of one process with synchronised norms");
  check(same_bits(trained<slab_trainer>(world, {.runs = 4}, 20), trained<slab_trainer>(one, {.runs = 4}, 20)),
        "the bits of one process with slabs of a volume");
  std::vector<float> fast = trained(world, {.runs = 6, .sum = summation::fast}, 1);
  const std::vector<float> expected = trained(one, {.runs = 6}, 1);
  double most = 0;
  for (std::size_t k = 0; k < fast.size(); ++k) most = std::max(most, static_cast<double>(std::abs(fast[k] - expected[k])));
  check(most < 1e-6, "the fast sum");
  fast = trained(world, {.runs = 6, .sum = summation::fast}, 20);
  std::vector<float> first = fast;
  distributed::broadcast(world, std::as_writable_bytes(std::span(first)));
  check(same_bits(fast, first), "the fast sum is the same on all ranks");
}

void differ(distributed::mpi& world) {
  const auto told = [&](const std::string& expected, auto change) {
    net_trainer t = begin<net_trainer>();
    distributed::data_parallel_settings how{.runs = 6};
    if (world.rank() + 1 == world.size()) change(t, how);
    distributed::data_parallel step(t, world, how);
    std::string said;
    try {
      take(step, 0);
    } catch (const shape_error& e) {
      said = e.what();
    }
    const std::string begins = "rank " + std::to_string(world.size() - 1) + " differs from rank 0: " + expected;
    if (!said.starts_with(begins)) std::fprintf(stderr, "%s\n%s\n", begins.c_str(), said.c_str());
    check(said.starts_with(begins), "both values are named");
  };
  using how = distributed::data_parallel_settings;
  told("runs of a step: expected 6, found 7", [](auto&, how& h) { h.runs = 7; });
  told("clip_norm: expected 0.5, found 2", [](auto& t, how&) { t.settings.clip_norm = 2; });
  told("values of parameter '0.bias': expected ", [](auto& t, how&) { t.template parameter<"0.bias">()(0) = 1; });
  // Another batch size, and so another program; and a volume cut into thinner slabs.
  const auto said_of = [&](auto mine, auto others, std::int64_t runs_of_others) {
    try {
      if (world.rank() + 1 == world.size())
        distributed::data_parallel(others, world, {.runs = runs_of_others}).agree();
      else
        distributed::data_parallel(mine, world, {.runs = 4}).agree();
    } catch (const shape_error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  using batches = trainer<plain, nn::cross_entropy<>, adamw, input<"row", 2, 27>, input<"label", 2>>;
  const std::string said = said_of(plain_trainer(), batches(), 4);
  check(said.ends_with("shape of input 'row': expected (1,27), found (2,27)"), "batch sizes are named");
  using thin = trainer<nn::depth_parallel<local>, nn::cross_entropy<>, adamw, input<"image", 1, 1, 2, 5, 6>, input<"label", 1, 2, 5, 6>>;
  check(said_of(slab_trainer(), thin(), 8).ends_with("shape of input 'image': expected (1,1,4,5,6), found (1,1,2,5,6)"),
        "depths of slabs are named");
}

void until(distributed::mpi& world, std::int64_t steps, const std::string& file) {
  sync_trainer t = begin<sync_trainer>();
  distributed::data_parallel<sync_trainer, distributed::mpi, 512> step(t, world, {.runs = 12});
  std::int64_t seen = 0;
  const std::vector<extra> extras{extra("seen", seen)};
  resume(step, file, extras);
  while (t.progress.steps < steps) {
    take(step, t.progress.steps);
    seen += 12;
    if (t.progress.steps % 3 == 0) save_checkpoint(step, file, extras);
    ::usleep(20000);
  }
  check(seen == 12 * steps, "the extras went along");
  save_checkpoint(step, file + ".end", extras);
  if (world.rank() == 0) std::printf("reached the end\n");
}

void leave(distributed::mpi& world) {
  net_trainer t = begin<net_trainer>();
  distributed::data_parallel step(t, world, {.runs = 6});
  take(step, 0);
  if (world.rank() + 1 == world.size()) throw std::runtime_error("this rank has had enough");
  take(step, 1);
}

void large(distributed::mpi& world) {
  constexpr std::size_t size = (std::size_t{1} << 31) + 12345;
  std::vector<std::byte> bytes(size);
  const std::size_t some[]{0, 1234567890, size - 12346, size - 1};
  if (world.rank() == 0) {
    for (std::size_t k : some) bytes[k] = std::byte{77};
    distributed::wait(world, world.send(1, 1, bytes), 1);
  } else if (world.rank() == 1) {
    distributed::wait(world, world.receive(0, 1, bytes), 0);
    for (std::size_t k : some) check(bytes[k] == std::byte{77}, "what was sent has arrived");
    check(bytes[size - 2] == std::byte{0}, "and nothing else");
  }
  world.barrier();
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view what = count > 1 ? arguments[1] : "";
  try {
    distributed::mpi world(std::chrono::seconds(count > 4 ? std::atoi(arguments[4]) : 20));
    if (what == "until")  // from here on it may be killed
      std::ofstream(std::string(arguments[3]) + ".pid" + std::to_string(world.rank())) << ::getpid() << std::endl;
    if (what == "bits") bits(world);
    if (what == "differ") differ(world);
    if (what == "until") until(world, std::atoll(arguments[2]), arguments[3]);
    if (what == "large") large(world);
    if (what == "leave") leave(world);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return failures == 0 ? 0 : 1;
}
