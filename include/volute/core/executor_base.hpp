// Who runs the tasks of a kernel: the calling thread alone, a pool of spinning threads (spinning_pool.hpp), or anything that a user derives
// from executor. Nothing here allocates, and no result depends on the executor or on its number of threads.
#pragma once

#include <cstdint>

namespace volute {

/// The interface. A user's own executor derives from it and says how many workers it has and how they share tasks out.
class executor {
 public:
  /// Does task number `index` of a job. `worker`, 0 .. threads() - 1, names memory that no other task uses at the same time.
  using task = void (*)(void* context, std::int64_t index, int worker) noexcept;

  explicit executor(int threads) noexcept : threads_(threads < 1 ? 1 : threads) {}
  executor(const executor&) = delete;
  executor& operator=(const executor&) = delete;
  virtual ~executor() = default;

  /// How many workers it has, the calling thread among them; at least 1.
  int threads() const noexcept { return threads_; }

  /// Calls t(context, i, worker) once for each i, 0 <= i < tasks, in any order and on any threads; no two calls that overlap in time have
  /// the same worker. Returns when all calls have returned, and what they wrote can then be read. It must not wait for the caller: kernels
  /// do not nest jobs.
  virtual void parallel(std::int64_t tasks, task t, void* context) noexcept = 0;

 private:
  int threads_;
};

/// All on the calling thread. Programs do this by themselves; it is for returning to one thread at run time.
class sequential_executor final : public executor {
 public:
  sequential_executor() noexcept : executor(1) {}
  void parallel(std::int64_t tasks, task t, void* context) noexcept override {
    for (std::int64_t i = 0; i < tasks; ++i) t(context, i, 0);
  }
};

}  // namespace volute
