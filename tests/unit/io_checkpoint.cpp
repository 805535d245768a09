// A training that is killed again and again goes on as if it had not been.
#include <volute/io/checkpoint.hpp>
#include <volute/volute.hpp>

#include <unit/io_support.hpp>

#include <chrono>
#include <cmath>
#include <csignal>
#include <numeric>
#include <random>
#include <thread>

#include <sys/wait.h>

using namespace volute;

namespace {

/// Drops at random, and keeps a moving average of its input.
struct noisy : nn::layer<noisy> {
  static constexpr auto forward(expression auto v) {
    constexpr auto moving = nn::detail::kept<"moving", make_extents(8), initializer{}>;
    const auto kept = (v - moving) * (uniform_noise<"drop", 4, 8> < 0.75_c);
    return by_mode(updating(kept, moving, moving * 0.9_c + mean(v, axes<0>) * 0.1_c), v - moving);
  }
};
template <int Hidden>
struct net : nn::sequential<nn::linear<3, 8>, noisy, nn::tanh, nn::linear<8, Hidden>> {};
constexpr auto x = input<"x", 4, 3>;

/// Momentum, a moving average of the weights, a rate that falls with the steps: what a trainer is to a checkpoint.
template <class Net>
struct small_trainer {
  static constexpr auto loss = mean(square(training(Net{}(x)) - sum(x, axes<1>, keepdims)));
  program<outputs(loss, gradient(loss, parameters))> p;
  std::vector<float> momentum = std::vector<float>(p.parameter_values().size()), average = momentum;
  struct {
    std::int64_t steps = 0, waiting = 0;
    bool averages = false;
  } progress;

  struct block {
    std::string_view name;
    std::span<float> values;
  };
  std::vector<block> state_blocks() {
    std::vector<block> b{{"momentum_buffer", momentum}};
    if (progress.averages) b.push_back({"ema", average});
    return b;
  }
  std::vector<parameter_entry<float>> state_table(std::span<float> values) {
    std::vector<parameter_entry<float>> t;
    const auto all = p.parameter_table();
    for (const auto& e : all)
      if (e.learned) t.push_back({e.path, e.shape, values.data() + (e.data - all[0].data)});
    return t;
  }
  auto parameter_table() { return p.parameter_table(); }
  random_state random() const { return p.random(); }
  void set_random(random_state s) { p.set_random(s); }

  void step(const xt::xtensor<float, 2>& batch) {
    p(x = batch);
    const auto w = p.parameter_values();
    const auto g = p.gradient_values();
    const float rate = 0.05f / (1 + 0.01f * static_cast<float>(progress.steps));
    progress.averages = progress.averages || progress.steps == 20;
    for (std::size_t k = 0; k < w.size(); ++k) {
      momentum[k] = 0.9f * momentum[k] + g[k];
      w[k] -= rate * momentum[k];
      average[k] = progress.averages ? 0.99f * average[k] + 0.01f * w[k] : 0;
    }
    ++progress.steps;
  }
};

/// Trains to step 150 and saves every second step; goes on from `path` if that is there. The end is written to `end`.
void train(const std::string& path, const std::string& end) {
  small_trainer<net<1>> t;
  t.p.initialize(3);
  t.p.seed(4);
  std::uint32_t position = 0;
  double seen = 0;
  std::vector<std::uint16_t> order(16);
  std::iota(order.begin(), order.end(), std::uint16_t{0});
  const std::vector<extra> extras{extra("position", position), extra("seen", seen), extra("order", std::span(order))};
  resume(t, path, extras);
  xt::xtensor<float, 2> batch({4, 3});
  while (t.progress.steps < 150) {
    for (std::size_t i = 0; i < 12; ++i) batch.data()[i] = std::sin(static_cast<float>(order[position] * 12 + i));
    seen += static_cast<double>(batch(0, 0));
    if (++position == order.size()) position = 0, std::rotate(order.begin(), order.begin() + 5, order.end());
    t.step(batch);
    if (t.progress.steps % 2 == 0) save_checkpoint(t, path, extras);
  }
  save_checkpoint(t, end, extras);
}

pid_t start(const std::string& path, const std::string& end) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      train(path, end);
      ::_exit(0);
    } catch (...) {
    }
    ::_exit(1);
  }
  return child;
}

}  // namespace

TEST_CASE("killed at any moment, resumed to the same bits", "[io]") {
  using clock = std::chrono::steady_clock;
  const scratch_folder folder;
  const auto begin = clock::now();
  train(folder / "whole", folder / "expected");
  const double seconds = std::chrono::duration<double>(clock::now() - begin).count();

  std::mt19937 random(std::random_device{}());
  int kills = 0, status = 0;
  for (bool done = false; !done;) {
    const pid_t child = start(folder / "checkpoint", folder / "end");
    if (kills < 12) {  // each takes a quarter of the training at most, then it is let through
      std::this_thread::sleep_for(std::chrono::duration<double>(std::uniform_real_distribution<>(0, seconds / 4)(random)));
      ::kill(child, SIGKILL);
    }
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
      ++kills;
      // Whole at any moment: if it is there, it can be read.
      if (std::filesystem::exists(folder / "checkpoint")) CHECK_NOTHROW(safetensors_file(folder / "checkpoint"));
    } else {
      REQUIRE(WEXITSTATUS(status) == 0);
      done = true;
    }
  }
  CHECK(kills >= 3);
  CHECK(contents(folder / "end") == contents(folder / "expected"));
}

TEST_CASE("what a checkpoint holds, and who can read it", "[io]") {
  const scratch_folder folder;
  train(folder / "c", folder / "end");
  const safetensors_file file(folder / "end");
  std::vector<std::string> names;
  for (const auto& t : file.tensors()) names.push_back(t.first);
  CHECK(names == std::vector<std::string>{"extra.order", "extra.position", "extra.seen", "model.0.bias", "model.0.weight", "model.1.moving", "model.3.bias",
                                          "model.3.weight", "optimizer.ema.0.bias", "optimizer.ema.0.weight", "optimizer.ema.3.bias", "optimizer.ema.3.weight",
                                          "optimizer.momentum_buffer.0.bias", "optimizer.momentum_buffer.0.weight", "optimizer.momentum_buffer.3.bias",
                                          "optimizer.momentum_buffer.3.weight", "training.progress", "training.random"});
  CHECK(file.values<std::int64_t>("training.progress") == std::vector<std::int64_t>{150, 0, 1});
  CHECK(file.values<std::uint64_t>("training.random") == std::vector<std::uint64_t>{4, 150});
  CHECK(file.values<std::uint32_t>("extra.position") == std::vector<std::uint32_t>{150 % 16});

  model<net<1>, x> m;
  m.load(folder / "end", load_options{.prefix = "model."});
  CHECK(m.parameter<"1.moving">()(0) == file.values<float>("model.1.moving")[0]);
  m.load(folder / "end", load_options{.strict = false, .prefix = "optimizer.ema."});
  CHECK(m.parameter<"0.bias">()(0) == file.values<float>("optimizer.ema.0.bias")[0]);
}

TEST_CASE("a file that is no checkpoint of this training changes nothing", "[io]") {
  const scratch_folder folder;
  train(folder / "c", folder / "end");
  small_trainer<net<1>> t;
  small_trainer<net<2>> other;
  std::uint32_t position = 5;
  double seen = 6, wrong = 7;
  std::vector<std::uint16_t> order(16);
  const std::vector<extra> extras{extra("position", position), extra("seen", seen), extra("order", std::span(order))};
  const auto says = [&](auto& trainer, const std::vector<extra>& e) { return message<shape_error>([&] { resume(trainer, folder / "end", e); }); };
  const auto first = t.parameter_table()[0].data[0];

  CHECK(!resume(t, folder / "none", extras));
  CHECK(says(t, {extras[0], extras[2]}) == folder / "end: tensor 'extra.seen': expected no such tensor, found () in F64");
  CHECK(says(t, {extra("position", wrong), extras[1], extras[2]}) == folder / "end: tensor 'extra.position': expected () in F64, found () in U32");
  CHECK(says(t, {extras[0], extras[1], extra("order", std::span(order).first(3))}) == folder / "end: tensor 'extra.order': expected (3) in U16, found (16) in U16");
  CHECK(says(other, extras).starts_with(folder / "end: 6 tensors do not fit:\n  tensor 'model.3.weight': expected (2,8) in F32, found (1,8) in F32"));
  save(t, folder / "plain");
  CHECK(message<file_error>([&] { resume(t, folder / "plain", extras); }) == folder / "plain: expected a checkpoint of volute, format 1");
  write(folder / "part", contents(folder / "end").substr(0, 1000));
  CHECK(message<file_error>([&] { resume(t, folder / "part", extras); }).starts_with(folder / "part: "));
  CHECK(t.parameter_table()[0].data[0] == first);
  CHECK((t.progress.steps == 0 && !t.progress.averages && other.progress.steps == 0 && position == 5 && seen == 6 && wrong == 7));
  CHECK(t.random() == random_state{});
  CHECK(resume(t, folder / "end", extras));
  CHECK((t.progress.steps == 150 && t.progress.averages && position == 150 % 16));
}
