// A program of tiles with memory for each of its workers.
#pragma once

#include <volute/runtime/model.hpp>

#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace volute::volumes {
inline namespace VOLUTE_ISA {

/// Memory for workers, kept between programs that take turns.
class worker_rooms {
 public:
  /// At least `bytes` on a cache line, for one worker. Those of before are lost.
  std::span<std::byte> room(std::size_t worker, std::int64_t bytes) {
    if (rooms_.size() <= worker) rooms_.resize(worker + 1);
    auto& [memory, size] = rooms_[worker];
    if (size < bytes) memory.reset(), memory = allocate(bytes), size = bytes;
    return {memory.get(), static_cast<std::size_t>(size)};
  }

 private:
  std::vector<std::pair<owned_memory, std::int64_t>> rooms_;
};

/// A program with a workspace, and room for its inputs and its result, for each worker.
template <class Program>
class crew {
  using T = typename Program::value_type;
  using facts = typename Program::facts;

 public:
  /// Elements of an input or result, on whole cache lines.
  static constexpr std::int64_t room(const extents& e) { return (e.size() + 15) / 16 * 16; }
  static constexpr std::int64_t elements = [] {
    std::int64_t n = room(facts::graph.shape(facts::graph.outputs[0]));
    for (int i = 0; i < facts::graph.size.inputs; ++i) n += room(facts::graph.inputs[i].shape);
    return n;
  }();
  /// Memory for each worker.
  static constexpr std::int64_t bytes = facts::workspace_bytes + bytes_of_tensor(elements * static_cast<std::int64_t>(sizeof(T)));

  explicit crew(typename Program::weights_type w) : own_(std::make_unique<worker_rooms>()), rooms_(own_.get()), program_(hired(std::move(w))) {}
  /// In these rooms, until another program takes them.
  crew(typename Program::weights_type w, worker_rooms& rooms) : rooms_(&rooms), program_(hired(std::move(w))) {}

  Program& program() noexcept { return program_; }
  const Program& program() const noexcept { return program_; }
  executor* workers() const noexcept { return workers_; }
  void use(executor& e) {
    hire(static_cast<std::size_t>(e.threads()));
    workers_ = e.threads() > 1 ? &e : nullptr;
  }

  T* input(int worker, int i) noexcept {
    T* p = result(worker) + room(facts::graph.shape(facts::graph.outputs[0]));
    for (int k = 0; k < i; ++k) p += room(facts::graph.inputs[k].shape);
    return p;
  }
  T* result(int worker) noexcept { return staging_[static_cast<std::size_t>(worker)]; }
  /// Of what lies in the worker's inputs to its result.
  void run(int worker) {
    const T* in[facts::graph.size.inputs + 1]{};
    for (int i = 0; i < facts::graph.size.inputs; ++i) in[i] = input(worker, i);
    T* out[facts::graph.size.outputs + 1]{result(worker)};
    if (worker == 0)
      program_.run(in, out);
    else
      std::as_const(program_).run(further_[static_cast<std::size_t>(worker) - 1], in, out);
  }

 private:
  std::unique_ptr<worker_rooms> own_;  // unless they are lent
  worker_rooms* rooms_;
  std::vector<T*> staging_;
  Program program_;
  executor* workers_ = nullptr;
  std::vector<workspace> further_;  // the first worker has the program's own

  /// A workspace for one more worker, and its staging.
  workspace space() {
    const std::span<std::byte> room = rooms_->room(staging_.size(), bytes);
    staging_.push_back(reinterpret_cast<T*>(room.data() + facts::workspace_bytes));
    return workspace::of<Program>(room.first(static_cast<std::size_t>(facts::workspace_bytes)));
  }
  Program hired(typename Program::weights_type w) { return Program(std::move(w), space()); }
  void hire(std::size_t n) {
    while (further_.size() + 1 < n) further_.push_back(space());
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::volumes
