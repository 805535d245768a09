// What one run of a program writes: its arena, copies of inputs, results, and what its random numbers depend on. A program has a workspace
// of its own; further ones let a const program run on several threads at once, and let several programs take turns in one memory.
#pragma once

#include <volute/core/executor.hpp>
#include <volute/core/memory.hpp>
#include <volute/core/random.hpp>
#include <volute/runtime/error.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <utility>

namespace volute {
inline namespace VOLUTE_ISA {
class workspace;
}
namespace runtime {
inline namespace VOLUTE_ISA {
template <class Outputs, class T>
class machine;

/// Who reads the result of the last run where it lies, and takes a copy of it before that is overwritten.
class borrower {
 public:
  borrower() noexcept = default;
  borrower(const borrower&) = delete;
  borrower& operator=(const borrower&) = delete;

 protected:
  ~borrower() { give_back(); }
  inline void borrow(workspace& w) noexcept;
  inline void give_back() noexcept;
  virtual void copy_result() noexcept = 0;

 private:
  friend class volute::workspace;
  workspace* from_ = nullptr;
};

}  // namespace VOLUTE_ISA
}  // namespace runtime

inline namespace VOLUTE_ISA {

/// `auto mine = workspace::of<decltype(m)>();` is memory for runs of m, or of several programs in turn: workspace::of<A, B>(). One thread
/// uses it at a time: a run that meets another one in its workspace ends the program with a message. Results stay in it until its next
/// run, of whichever program: a result that lies there is no input of another program's run there (copy it first; a lazy one copies
/// itself). It can be moved, not while a run or a result's view is in use.
class workspace {
 public:
  /// Of no bytes: fits no program.
  workspace() noexcept = default;
  /// `bytes` as facts::workspace_bytes says, and facts::worker_bytes for each worker that use() brings. Allocates. Throws std::bad_alloc.
  explicit workspace(std::int64_t bytes, std::int64_t worker_bytes = 0)
      : owned_(allocate(bytes)), data_(owned_.get()), bytes_(bytes), worker_bytes_(worker_bytes) {}
  /// In the caller's memory, which begins on a cache line (64 bytes) and outlives the workspace; what lies in it is lost. Throws
  /// shape_error if it does not. Memory for workers is taken from what is beyond `bytes`, and allocated where that does not suffice.
  workspace(std::span<std::byte> memory, std::int64_t bytes, std::int64_t worker_bytes)
      : data_(memory.data()), bytes_(bytes), worker_bytes_(worker_bytes), rest_(memory) {
    require_memory("memory of a workspace", memory, bytes);
    rest_ = memory.subspan(static_cast<std::size_t>(bytes));
  }

  /// Room for any of these programs, models or trainers.
  template <class... Program>
  static workspace of() {
    return workspace(std::max({Program::facts::workspace_bytes...}), std::max({Program::facts::worker_bytes...}));
  }
  /// The same in the caller's memory, of facts::workspace_bytes (the largest of the programs') at least.
  template <class... Program>
  static workspace of(std::span<std::byte> memory) {
    return workspace(memory, std::max({Program::facts::workspace_bytes...}), std::max({Program::facts::worker_bytes...}));
  }

  ~workspace() { release_result(); }
  workspace(workspace&& w) noexcept { swap(w); }
  workspace& operator=(workspace&& w) noexcept {
    workspace taken(std::move(w));
    swap(taken);
    return *this;
  }

  /// Later runs in this workspace share their work with the workers of `e`, which must outlive it or its next use(). Allocates scratch
  /// memory for each worker beyond the first. Until it is called, the calling thread works alone.
  void use(executor& e) {
    const std::int64_t helpers = e.threads() - 1;
    if (helpers == 0) {
      workers_ = nullptr, scratch_ = nullptr;
      owned_scratch_.reset();
      return;
    }
    const std::int64_t bytes = worker_bytes_ * helpers + static_cast<std::int64_t>(cache_line);  // one without scratch has an address too
    if (static_cast<std::int64_t>(rest_.size()) >= bytes) {
      scratch_ = rest_.data();
    } else {
      owned_scratch_ = allocate(bytes);
      scratch_ = owned_scratch_.get();
    }
    workers_ = &e;
  }
  /// Who shares the work, or null.
  executor* workers() const noexcept { return workers_; }

  /// Its size in bytes, without the scratch memory of further workers.
  std::int64_t bytes() const noexcept { return bytes_; }

  /// Random numbers begin anew, from this seed.
  void seed(std::uint64_t s) noexcept { random_ = {s, 0}; }
  /// What the random numbers of the next run depend on.
  random_state random() const noexcept { return random_; }
  void set_random(random_state s) noexcept { random_ = s; }

 private:
  template <class Outputs, class T>
  friend class runtime::machine;
  friend class runtime::borrower;

  owned_memory owned_, owned_scratch_;
  std::byte* data_ = nullptr;
  std::byte* scratch_ = nullptr;
  executor* workers_ = nullptr;
  std::int64_t bytes_ = 0, worker_bytes_ = 0;
  std::span<std::byte> rest_;  // of the caller's memory
  random_state random_{};
  const void* tenant_ = nullptr;  // whose results lie here
  runtime::borrower* borrower_ = nullptr;
  std::atomic<bool> busy_{false};

  /// Throws shape_error if a program, another than the last, is to read `size` bytes where it is about to write.
  void refuse_inside(const void* from, std::int64_t size) const {
    const auto* const p = static_cast<const std::byte*>(from);
    if (p < data_ + bytes_ && data_ < p + size)
      fail("input: expected outside the workspace, found a result of another program in it, which must be copied first");
  }
  /// Throws shape_error if a program that needs so much does not fit.
  void require(std::int64_t bytes, std::int64_t worker_bytes) const {
    if (bytes_ < bytes) fail_bytes("workspace", bytes, bytes_);
    if (workers_ != nullptr && worker_bytes_ < worker_bytes) fail_bytes("workspace for each worker", worker_bytes, worker_bytes_);
  }
  /// Whoever reads the last result here is about to lose it.
  void release_result() noexcept {
    if (borrower_ == nullptr) return;
    borrower_->copy_result();
    borrower_->from_ = nullptr;
    borrower_ = nullptr;
  }
  void swap(workspace& w) noexcept {
    release_result(), w.release_result();
    std::swap(owned_, w.owned_), std::swap(owned_scratch_, w.owned_scratch_);
    std::swap(data_, w.data_), std::swap(scratch_, w.scratch_), std::swap(workers_, w.workers_);
    std::swap(bytes_, w.bytes_), std::swap(worker_bytes_, w.worker_bytes_), std::swap(rest_, w.rest_);
    std::swap(random_, w.random_), std::swap(tenant_, w.tenant_);
  }
};

}  // namespace VOLUTE_ISA

inline void runtime::borrower::borrow(workspace& w) noexcept {
  w.release_result();
  w.borrower_ = this, from_ = &w;
}
inline void runtime::borrower::give_back() noexcept {
  if (from_ != nullptr) from_->borrower_ = nullptr;
  from_ = nullptr;
}

}  // namespace volute
