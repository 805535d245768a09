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
template <int Out>
struct net : nn::sequential<nn::linear<3, 8>, noisy, nn::tanh, nn::linear<8, Out>> {};
constexpr auto x = input<"x", 4, 3>;
constexpr auto y = input<"y", 4, 1>;
using small_trainer = trainer<net<1>, nn::mse, adam, x, y>;
training_settings settings() { return {.schedule = schedule::cosine{1e-2, 75}, .clip_norm = 1, .ema_decay = 0.99, .accumulate = 2}; }

/// 150 runs, two for each step; saves after every third, and goes on from `path` if that is there. The end is written to `end`.
/// With `permits` each save first takes a byte from there.
void run_training(const std::string& path, const std::string& end, int permits = -1) {
  small_trainer t(adam{}, settings());
  t.initialize(3);
  t.seed(~std::uint64_t{3});  // -4 in the file
  std::uint32_t runs = 0;
  double seen = 0;
  std::vector<std::uint16_t> order(16);
  std::iota(order.begin(), order.end(), std::uint16_t{0});
  const std::vector<extra> extras{extra("runs", runs), extra("seen", seen), extra("order", std::span(order))};
  resume(t, path, extras);
  xt::xtensor<float, 2> batch({4, 3}), target({4, 1});
  while (runs < 150) {
    for (std::size_t i = 0; i < 12; ++i) batch.data()[i] = std::sin(static_cast<float>(order[runs % 16] * 12 + i));
    for (std::size_t i = 0; i < 4; ++i) target(i, 0) = batch(i, 0) * batch(i, 1) - batch(i, 2);
    seen += static_cast<double>(t.step(batch, target));
    if (++runs % 16 == 0) std::rotate(order.begin(), order.begin() + 5, order.end());
    if (char c = 0; runs % 3 == 0 && (permits < 0 || ::read(permits, &c, 1) == 1)) save_checkpoint(t, path, extras);
  }
  save_checkpoint(t, end, extras);
}

}  // namespace

TEST_CASE("killed at any moment, resumed to the same bits", "[io]") {
  using clock = std::chrono::steady_clock;
  const scratch_folder folder;
  const auto begin = clock::now();
  run_training(folder / "whole", folder / "expected");
  const double seconds = std::chrono::duration<double>(clock::now() - begin).count();

  // A child may save five times at most before it is killed, at any moment of that: of 50 saves ten lives make no more than all, however
  // slow the machine is. The eleventh is let through.
  std::mt19937 random(std::random_device{}());
  for (int life = 0; life <= 10; ++life) {
    const std::size_t saves = life < 10 ? 1 + random() % 5 : 50;
    int permits[2];
    REQUIRE(::pipe(permits) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        run_training(folder / "checkpoint", folder / "end", permits[0]);
        ::_exit(0);
      } catch (...) {
      }
      ::_exit(1);
    }
    REQUIRE(::write(permits[1], std::string(saves, '.').data(), saves) == static_cast<ssize_t>(saves));
    if (life < 10) {
      const double most = seconds / 50 * static_cast<double>(saves + 1);
      std::this_thread::sleep_for(std::chrono::duration<double>(std::uniform_real_distribution<>(0, most)(random)));
      CHECK(::kill(child, SIGKILL) == 0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    ::close(permits[0]), ::close(permits[1]);
    // Whole at any moment: if it is there, it can be read.
    if (std::filesystem::exists(folder / "checkpoint")) CHECK_NOTHROW(safetensors_file(folder / "checkpoint"));
    if (life == 10) CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
  CHECK(contents(folder / "end") == contents(folder / "expected"));
}

TEST_CASE("what a checkpoint holds, and who can read it", "[io]") {
  const scratch_folder folder;
  run_training(folder / "c", folder / "end");
  const safetensors_file file(folder / "end");
  std::vector<std::string> names;
  for (const auto& t : file.tensors()) names.push_back(t.first);
  CHECK(names == std::vector<std::string>{"extra.order",
                                          "extra.runs",
                                          "extra.seen",
                                          "model.0.bias",
                                          "model.0.weight",
                                          "model.1.moving",
                                          "model.3.bias",
                                          "model.3.weight",
                                          "optimizer.accumulated.0.bias",
                                          "optimizer.accumulated.0.weight",
                                          "optimizer.accumulated.3.bias",
                                          "optimizer.accumulated.3.weight",
                                          "optimizer.ema.0.bias",
                                          "optimizer.ema.0.weight",
                                          "optimizer.ema.3.bias",
                                          "optimizer.ema.3.weight",
                                          "optimizer.exp_avg.0.bias",
                                          "optimizer.exp_avg.0.weight",
                                          "optimizer.exp_avg.3.bias",
                                          "optimizer.exp_avg.3.weight",
                                          "optimizer.exp_avg_sq.0.bias",
                                          "optimizer.exp_avg_sq.0.weight",
                                          "optimizer.exp_avg_sq.3.bias",
                                          "optimizer.exp_avg_sq.3.weight",
                                          "training.progress",
                                          "training.random"});
  CHECK(file.values<std::int64_t>("training.progress") == std::vector<std::int64_t>{75, 0, 1});
  CHECK(file.values<std::int64_t>("training.random") == std::vector<std::int64_t>{-4, 150});
  CHECK(file.values<std::uint32_t>("extra.runs") == std::vector<std::uint32_t>{150});

  model<net<1>, x> m;
  m.load(folder / "end", load_options{.prefix = "model."});
  CHECK(m.parameter<"1.moving">()(0) == file.values<float>("model.1.moving")[0]);
  m.load(folder / "end", load_options{.allow_missing = true, .allow_unused = true, .prefix = "optimizer.ema."});
  CHECK(m.parameter<"0.bias">()(0) == file.values<float>("optimizer.ema.0.bias")[0]);
}

TEST_CASE("a file that is no checkpoint of this training changes nothing", "[io]") {
  const scratch_folder folder;
  run_training(folder / "c", folder / "end");
  small_trainer t(adam{}, settings());
  trainer<net<2>, nn::mse, adam, x, input<"y", 4, 2>> other(adam{}, settings());
  std::uint32_t runs = 5;
  double seen = 6, wrong = 7;
  std::vector<std::uint16_t> order(16);
  const std::vector<extra> extras{extra("runs", runs), extra("seen", seen), extra("order", std::span(order))};
  const auto says = [&](auto& trainer, const std::vector<extra>& e) {
    return message<shape_error>([&] { resume(trainer, folder / "end", e); });
  };
  const auto first = t.parameter_table()[0].data[0];

  CHECK(!resume(t, folder / "none", extras));
  CHECK(says(t, {extras[0], extras[2]}) == folder / "end: tensor 'extra.seen': expected no such tensor, found () in F64");
  CHECK(says(t, {extra("runs", wrong), extras[1], extras[2]}) == folder / "end: tensor 'extra.runs': expected () in F64, found () in U32");
  CHECK(says(t, {extras[0], extras[1], extra("order", std::span(order).first(3))}) ==
        folder / "end: tensor 'extra.order': expected (3) in U16, found (16) in U16");
  CHECK(says(other, extras)
            .starts_with(folder / "end: 10 tensors do not fit:\n  tensor 'model.3.weight': expected (2,8) in F32, found (1,8) in F32"));
  save(t, folder / "plain");
  CHECK(message<file_error>([&] { resume(t, folder / "plain", extras); }) == folder / "plain: expected a checkpoint of volute, format 1");
  write(folder / "part", contents(folder / "end").substr(0, 1000));
  CHECK(message<file_error>([&] { resume(t, folder / "part", extras); }).starts_with(folder / "part: "));
  CHECK(t.parameter_table()[0].data[0] == first);
  CHECK((t.progress.steps == 0 && !t.progress.averages && other.progress.steps == 0 && runs == 5 && seen == 6 && wrong == 7));
  CHECK(t.random() == random_state{});
  CHECK(resume(t, folder / "end", extras));
  CHECK((t.progress.steps == 75 && t.progress.averages && runs == 150));
}

TEST_CASE("each number of a checkpoint is looked at before anything changes", "[io]") {
  const scratch_folder folder;
  run_training(folder / "c", folder / "end");
  small_trainer t(adam{}, settings());
  std::uint32_t runs = 5;
  double seen = 6;
  std::vector<std::uint16_t> order(16);
  const std::vector<extra> extras{extra("runs", runs), extra("seen", seen), extra("order", std::span(order))};
  const std::vector<float> before(t.parameter_values().begin(), t.parameter_values().end());

  const safetensors_file file(folder / "end");
  // The same file with another number at `at` of a tensor.
  const auto with = [&]<class T>(const std::string& name, std::size_t at, T value) {
    std::vector<std::vector<std::byte>> bytes;
    std::vector<io::memory_tensor<const std::byte>> all;
    for (const auto& [n, info] : file.tensors()) {
      bytes.emplace_back(info.bytes);
      file.read(info, bytes.back());
      if (n == name) std::memcpy(bytes.back().data() + at * sizeof(T), &value, sizeof(T));
      all.push_back({n, info.type, info.shape, bytes.back()});
    }
    std::vector<std::byte> whole;
    io::write_safetensors<const std::byte>(whole, all, file.metadata());
    return whole;
  };
  const auto refused = [&](const std::vector<std::byte>& bytes) {
    const auto r = try_resume(t, bytes, extras);
    CHECK(r.kind() == error_kind::shape);
    CHECK((t.progress.steps == 0 && t.progress.waiting == 0 && !t.progress.averages && t.random() == random_state{}));
    CHECK(std::equal(before.begin(), before.end(), t.parameter_values().begin()));
    CHECK((runs == 5 && seen == 6));
    CHECK(message<shape_error>([&] { resume(t, bytes, extras); }) == r.message());
    return r.message();
  };
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min(), most = std::numeric_limits<std::int64_t>::max();
  const std::string wanted = "memory: tensor 'training.progress': expected steps and waiting runs >= 0 and 0 or 1, found ";
  CHECK(refused(with("training.progress", 0, std::int64_t{-1})) == wanted + "-1, 0 and 1");
  CHECK(refused(with("training.progress", 0, least)) == wanted + "-9223372036854775808, 0 and 1");
  CHECK(refused(with("training.progress", 0, most)) == wanted + "9223372036854775807, 0 and 1");
  CHECK(refused(with("training.progress", 1, std::int64_t{-1})) == wanted + "75, -1 and 1");
  CHECK(refused(with("training.progress", 1, most)) == wanted + "75, 9223372036854775807 and 1");
  CHECK(refused(with("training.progress", 2, std::int64_t{-1})) == wanted + "75, 0 and -1");
  CHECK(refused(with("training.progress", 2, std::int64_t{2})) == wanted + "75, 0 and 2");
  CHECK(refused(with("training.random", 1, std::int64_t{-1})) ==
        "memory: tensor 'training.random': expected a seed and a run >= 0, found run -1");
  CHECK(refused(with("optimizer.exp_avg_sq.0.weight", 5, -1e-3f)) ==
        "memory: tensor 'optimizer.exp_avg_sq.0.weight': expected squares >= 0, found -0.001 at (1,2)");

  // A checkpoint in memory is as good as one on the disk: the same state, and so the same bytes again.
  std::vector<std::byte> saved;
  CHECK(*try_resume(t, with("", 0, 0), extras));
  CHECK(try_save_checkpoint(t, saved, extras));
  CHECK(saved == with("", 0, 0));
  CHECK((t.progress.steps == 75 && runs == 150));
  CHECK(try_save_checkpoint(t, folder / "no/c", extras).kind() == error_kind::file);
  CHECK(*try_resume(t, folder / "none", extras) == false);
}

TEST_CASE("a trainer saves and loads its parameters as a model does", "[io]") {
  small_trainer a, b;
  a.initialize(5);
  std::vector<std::byte> bytes;
  a.save(bytes);
  b.load(bytes);
  CHECK(std::ranges::equal(a.parameter_values(), b.parameter_values()));
  model<net<1>, x> m;
  CHECK(m.try_load(bytes).ok());
  CHECK(m.parameter<"3.bias">()(0) == a.parameter<"3.bias">()(0));
}
