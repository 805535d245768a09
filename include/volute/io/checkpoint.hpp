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

template <resumable X>
std::vector<memory_tensor<std::byte>> training_tensors(X& t, std::span<const extra> extras) {
  std::vector<memory_tensor<std::byte>> all;
  append_tensors(t.parameter_table(), "model.", all);
  for (auto&& block : t.state_blocks()) append_tensors(t.state_table(block.values), "optimizer." + std::string(block.name) + '.', all);
  for (const extra& e : extras) all.push_back({"extra." + e.name, e.type, e.shape, e.bytes});
  return all;
}

}  // namespace io

/// Writes all that resume() needs: parameters and states as "model.<path>", the optimiser's blocks as "optimizer.<block>.<path>", progress,
/// random numbers, and the extras. Atomic, and on the disk when it returns. A model for use reads its part of the file with
/// m.load(path, load_options{.prefix = "model."}). Throws file_error.
template <resumable X>
void save_checkpoint(X& t, const std::string& path, const std::vector<extra>& extras = {}) {
  auto all = io::training_tensors(t, extras);
  const random_state r = t.random();
  io::training_numbers numbers{{t.progress.steps, t.progress.waiting, t.progress.averages ? 1 : 0},
                               {static_cast<std::int64_t>(r.seed), static_cast<std::int64_t>(r.run)}};
  numbers.append(all);
  io::write_safetensors<std::byte>(path, all, {{"format", "volute checkpoint 1"}});
}

/// Puts a training where save_checkpoint left it: from here it takes the very same steps, bit for bit, if program, settings, data and
/// machine are the same. False, and nothing done, if there is no such file. Throws file_error for a file that is no checkpoint, and
/// shape_error if it is not of this training; then nothing has changed.
template <resumable X>
bool resume(X& t, const std::string& path, const std::vector<extra>& extras = {}) {
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return false;
  const safetensors_file file(path);
  const auto format = file.metadata().find("format");
  if (format == file.metadata().end() || format->second != "volute checkpoint 1")
    throw file_error(path + ": expected a checkpoint of volute, format 1");

  io::training_numbers numbers;
  std::vector<io::memory_tensor<std::byte>> fixed;
  numbers.append(fixed);
  const load_options some{.strict = false};
  const load_report report = io::fill(file, fixed, io::conversion::none, some);
  if (!report.missing.empty()) fail(path + ": tensor " + io::shown(report.missing[0]) + ": expected in a checkpoint, found none");

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
  io::fill(file, all, io::conversion::none, {});
  t.set_random({static_cast<std::uint64_t>(numbers.random[0]), static_cast<std::uint64_t>(numbers.random[1])});
  guard.good = true;
  return true;
}

}  // namespace volute
