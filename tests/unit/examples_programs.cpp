// Examples of the reference (docs/site) that run programs: one paragraph for a name or a few, that can be read by itself.
#include <volute/volute.hpp>

#include <volute/io/checkpoint.hpp>
#include <volute/io/npy.hpp>
#include <volute/volumes/volumes.hpp>

#include <catch2/catch.hpp>
#include <cmath>

using namespace volute;

namespace {
using small = model<nn::linear<3, 2>, input<"x", 4, 3>>;
using small_trainer = trainer<nn::linear<3, 2>, nn::mse, rmsprop, input<"x", 4, 3>, input<"y", 4, 2>>;
const xt::xtensor<float, 2> x = xt::ones<float>({4, 3}), y = xt::zeros<float>({4, 2});
}  // namespace

TEST_CASE("examples: schedules") {
  const schedule::constant steady{1e-3};
  CHECK(steady(1000) == 1e-3);

  const schedule::step falling{.lr = 0.1, .every = 30};  // a tenth of it after every 30 steps
  CHECK((falling(29) == 0.1 && std::abs(falling(30) - 0.01) < 1e-9));

  const schedule::one_cycle cycle{.lr = 0.1, .steps = 100};  // up for 30 steps, then down
  CHECK((std::abs(cycle(0) - 0.004) < 1e-9 && cycle(29) > cycle(99)));
}

TEST_CASE("examples: training") {
  small_trainer t{rmsprop{.lr = 1e-2, .alpha = 0.9}};
  const float before = t.step(x, y);
  CHECK(t.step(x, y) < before);

  training_settings settings;
  settings.clip_norm = 1;
  settings.groups = {parameter_group{.where = biases_and_norms, .weight_decay = 0}};
  CHECK(settings.accumulate == 1);

  const training_progress progress = t.progress;  // for a training that goes on later
  CHECK(progress.steps == 2);

  for (const state_block<float>& block : t.state_blocks()) CHECK(block.values.size() > 0);  // the optimiser's: names and numbers

  const random_state random = t.random();  // what the next run's random numbers depend on
  t.set_random(random);
}

TEST_CASE("examples: executors") {
  sequential_executor alone;  // the calling thread, as without any
  small m;
  m.use(alone);

  struct backwards final : executor {  // one of your own
    backwards() : executor(1) {}
    void parallel(std::int64_t tasks, task t, void* context) noexcept override {
      for (std::int64_t i = tasks; i-- > 0;) t(context, i, 0);
    }
  } own;
  m.use(own);
  const xt::xtensor<float, 2> result = m(x);
  CHECK(result.shape()[1] == 2);
}

TEST_CASE("examples: files in memory") {
  small m;
  std::vector<std::byte> bytes;
  const status saved = try_save(m, bytes);  // save(m, bytes) throws instead
  CHECK(saved.ok());

  const result<load_report> loaded = try_load(m, bytes);
  CHECK((loaded && loaded->loaded.size() == 2));

  std::string said;
  try {
    load(m, "no_such_file.safetensors");
  } catch (const file_error& e) {
    said = e.what();
  }
  CHECK(said.starts_with("no_such_file.safetensors: "));

  std::vector<std::byte> array;
  CHECK(try_save_npy(array, x).ok());
  const auto read = try_load_npy<float, 2>(array);
  CHECK((read && *read == x));

  small_trainer t;
  std::vector<std::byte> checkpoint;
  const status kept = try_save_checkpoint(t, checkpoint);
  const result<bool> resumed = try_resume(t, checkpoint);
  CHECK((kept.ok() && resumed && *resumed));
}

TEST_CASE("examples: volumes") {
  using net = nn::conv3d<1, 2, nn::kernel<3>, nn::same>;
  tiled<net, input<"x", 1, 1, 8, 8, 8>> t;
  const xt::xtensor<float, 5> volume = xt::ones<float>({1, 1, 20, 8, 8});
  std::int64_t planes = 0;
  t.run(volumes::scores([&](const volumes::slab<float>& s) { planes += s.shape[2]; }), volumes::memory(volume));
  CHECK(planes == 20);

  constexpr volumes::tile_axis depth = decltype(t)::axis[0];  // what a tile can do along the depth
  STATIC_REQUIRE(depth.slides());

  constexpr auto scan = input<"scan", 1, 1, 16, 16, 16>;
  constexpr auto coarse = max_pool3d(scan, kernel<2>);
  constexpr volume_field seen = receptive_field_of<outputs(coarse, sum(scan))>;  // of the first result, in the first input
  STATIC_REQUIRE(seen.width.high == 1);
}
