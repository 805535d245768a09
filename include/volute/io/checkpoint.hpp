// A training that can be killed at any moment and goes on as if nothing had happened: all that the next step depends on, in one
// safetensors file.
#pragma once

#include <volute/core/random.hpp>
#include <volute/io/safetensors.hpp>

namespace volute {

/// What can be saved and resumed; a trainer (train/trainer.hpp) is. Parameters and states, blocks of the optimiser with what parameter each
/// part belongs to, where the training stands, and what its random numbers depend on. Setting the progress decides which blocks there are.
template <class X>
concept resumable = has_parameters<X> && requires(X& t, random_state r) {
  t.state_table(t.state_blocks().begin()->values).begin()->data;
  t.state_blocks().begin()->name;
  t.progress.steps;
  t.progress.waiting;
  t.progress.averages;
  { t.random() } -> std::same_as<random_state>;
  t.set_random(r);
};

/// A number, or a contiguous range of numbers, of the user's, to be saved and resumed with a training under a name: extra("epoch", epoch),
/// extra("order", std::span(order)). It refers to the variable.
struct extra {
  std::string name;
  io::dtype type;
  std::vector<std::uint64_t> shape;
  std::span<std::byte> bytes;

  template <io::storable T>
  extra(std::string n, T& value) : name(std::move(n)), type(io::dtype_of<T>()), bytes(std::as_writable_bytes(std::span(&value, 1))) {}
  template <io::storable T, std::size_t N>
  extra(std::string n, std::span<T, N> values)
      : name(std::move(n)), type(io::dtype_of<T>()), shape{values.size()}, bytes(std::as_writable_bytes(values)) {}
  template <class T>
  extra(std::string, const T&) {
    static_assert(sizeof(T) == 0, "volute: extra wants a variable that is a number, or a std::span of numbers");
  }
};

namespace io {

/// Progress and random numbers as files hold them: signed, because PyTorch got unsigned 64-bit tensors late.
struct training_numbers {
  std::int64_t progress[3]{};  // steps, waiting, averages
  std::int64_t random[2]{};    // seed, run

  void append(std::vector<memory_tensor<std::byte>>& to) {
    to.push_back({"training.progress", dtype::i64, {3}, std::as_writable_bytes(std::span(progress))});
    to.push_back({"training.random", dtype::i64, {2}, std::as_writable_bytes(std::span(random))});
  }
};

/// The tensors of a checkpoint: the model, the optimiser's state, the extras, and the numbers of the training.
template <resumable X>
std::vector<memory_tensor<std::byte>> training_tensors(X& t, std::span<const extra> extras) {
  std::vector<memory_tensor<std::byte>> all;
  append_tensors(t.parameter_table(), "model.", all);
  for (auto&& block : t.state_blocks()) append_tensors(t.state_table(block.values), "optimizer." + std::string(block.name) + '.', all);
  for (const extra& e : extras) all.push_back({"extra." + e.name, e.type, e.shape, e.bytes});
  return all;
}

/// Refuses where no training stands.
inline status check_progress(const std::string& path, const training_numbers& n) {
  constexpr std::int64_t most_steps = std::int64_t{1} << 53, most_waiting = std::numeric_limits<int>::max();  // steps count in double, too
  const auto& [steps, waiting, averages] = n.progress;
  if (steps < 0 || steps > most_steps || waiting < 0 || waiting >= most_waiting || averages < 0 || averages > 1)
    return shape_failure(path + ": tensor 'training.progress': expected steps and waiting runs >= 0 and 0 or 1, found " +
                         std::to_string(steps) + ", " + std::to_string(waiting) + " and " + std::to_string(averages));
  if (n.random[1] < 0)
    return shape_failure(path + ": tensor 'training.random': expected a seed and a run >= 0, found run " + std::to_string(n.random[1]));
  return {};
}

/// Refuses sums of squares (PyTorch's names) below 0, whose root would spoil the training steps later.
template <class File>
status check_squares(const std::string& path, const filling<File>& read) {
  for (const auto& [from, to, bytes] : read.pairs()) {
    const std::string_view name = to->name;
    if (!name.starts_with("optimizer.exp_avg_sq.") && !name.starts_with("optimizer.square_avg.")) continue;
    std::size_t at = 0;
    if (!for_numbers(from->type, bytes, [&](std::size_t i, auto v) { return at = i, !(static_cast<double>(v) < 0); }))
      return shape_failure(path + ": tensor " + shown(name) + ": expected squares >= 0, found " +
                           shown_number(from->type, bytes, at, from->shape));
  }
  return {};
}

}  // namespace io

inline namespace VOLUTE_ERRORS {

/// Writes all that resume() needs: parameters and states as "model.<path>", the optimiser's blocks as "optimizer.<block>.<path>", progress,
/// random numbers, and the extras. Atomic, and on the disk when it returns. A model for use reads its part of the file with
/// m.load(path, load_options{.prefix = "model."}).
template <resumable X>
status try_save_checkpoint(X& t, const io::target& to, const std::vector<extra>& extras = {}) {
  auto all = io::training_tensors(t, extras);
  const random_state r = t.random();
  io::training_numbers numbers{{t.progress.steps, t.progress.waiting, t.progress.averages ? 1 : 0},
                               {static_cast<std::int64_t>(r.seed), static_cast<std::int64_t>(r.run)}};
  numbers.append(all);
  return io::try_write_safetensors<std::byte>(to, all, {{"format", "volute checkpoint 1"}});
}

/// Puts a training where save_checkpoint left it: from here it takes the very same steps, bit for bit, if program, settings, data and
/// machine are the same. False, and nothing done, if there is no such file. An error is of the kind file for a file that is no checkpoint,
/// and shape if it is not of this training or holds numbers that no training has; then nothing has changed.
template <resumable X>
result<bool> try_resume(X& t, const io::source& from, const std::vector<extra>& extras = {}) {
  if (!from.in_memory() && io::is_missing(from.path())) return false;
  const auto file = safetensors_file::open(from);
  if (!file) return static_cast<const status&>(file);
  const auto format = file->metadata().find("format");
  if (format == file->metadata().end() || format->second != "volute checkpoint 1")
    return io::file_failure(file->path() + ": expected a checkpoint of volute, format 1");

  io::training_numbers numbers;
  std::vector<io::memory_tensor<std::byte>> fixed;
  numbers.append(fixed);
  {
    io::filling first(*file);
    if (status s = first.compare(fixed, io::conversion::none, {.allow_unused = true}); !s) return s;
    if (status s = first.read(); !s) return s;
    first.write();
    if (status s = io::check_progress(file->path(), numbers); !s) return s;
  }
  struct keep_on_error {  // the blocks that there are depend on the progress, so it comes first and goes back
    X& t;
    decltype(t.progress) before = t.progress;
    bool good = false;
    ~keep_on_error() {
      if (!good) t.progress = before;
    }
  } guard{t};
  t.progress.steps = numbers.progress[0];
  t.progress.waiting = numbers.progress[1];
  t.progress.averages = numbers.progress[2] != 0;
  auto all = io::training_tensors(t, extras);
  numbers.append(all);
  io::filling rest(*file);
  if (status s = rest.compare(all, io::conversion::none, {}); !s) return s;
  if (status s = rest.read(); !s) return s;
  if (status s = io::check_squares(file->path(), rest); !s) return s;
  rest.write();
  if constexpr (requires { t.parameters_changed(); }) t.parameters_changed();
  t.set_random({static_cast<std::uint64_t>(numbers.random[0]), static_cast<std::uint64_t>(numbers.random[1])});
  guard.good = true;
  return true;
}

/// The same; throws file_error.
template <resumable X>
void save_checkpoint(X& t, const io::target& to, const std::vector<extra>& extras = {}) {
  io::demand(try_save_checkpoint(t, to, extras));
}
/// The same; throws file_error and shape_error.
template <resumable X>
bool resume(X& t, const io::source& from, const std::vector<extra>& extras = {}) {
  return io::demand(try_resume(t, from, extras));
}

}  // namespace VOLUTE_ERRORS
}  // namespace volute
