// Tasks side by side that may fail or be called off, and what is told of their progress.
#pragma once

#include <volute/core/executor.hpp>
#include <volute/core/mutex.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>

namespace volute::volumes {

/// How far a run is: parts done, all parts, and an estimate of the seconds that are left.
struct progress {
  std::int64_t done = 0, total = 0;
  double seconds_left = 0;
};

inline namespace VOLUTE_ISA {

/// Does tasks on an executor's workers (null: on the calling thread) until one throws or the observer calls them off. What was thrown is
/// thrown again on the calling thread when all have stopped.
class task_runner {
 public:
  /// `observer`, if any, is called after each task, by one thread at a time; false calls off what is left.
  task_runner(executor* workers, std::int64_t total, const std::function<bool(const progress&)>& observer)
      : workers_(workers), total_(total), observer_(observer) {}

  /// f(index, worker) for each index below `tasks`; whether all were done.
  template <class F>
  bool run(std::int64_t tasks, const F& f) {
    struct job {
      task_runner* self;
      const F* function;
      static void task(void* context, std::int64_t index, int worker) noexcept {
        job& j = *static_cast<job*>(context);
        j.self->guarded([&] { (*j.function)(index, worker); });
      }
    } j{this, &f};
    if (workers_ != nullptr)
      workers_->parallel(tasks, &job::task, &j);
    else
      for (std::int64_t i = 0; i < tasks; ++i) job::task(&j, i, 0);
    if (error_) std::rethrow_exception(error_);
    return !stopped_.load(std::memory_order_acquire);
  }

 private:
  using clock = std::chrono::steady_clock;
  executor* workers_;
  std::int64_t total_, done_ = 0;
  const std::function<bool(const progress&)>& observer_;
  clock::time_point begun_ = clock::now();
  std::atomic<bool> stopped_{false};
  detail::mutex mutex_;
  std::exception_ptr error_;

  template <class F>
  void guarded(const F& f) noexcept {
    if (stopped_.load(std::memory_order_acquire)) return;
#if defined(__cpp_exceptions)
    try {
      f();
      count();
    } catch (...) {
      const detail::lock lock(mutex_);
      if (!error_) error_ = std::current_exception();
      stopped_.store(true, std::memory_order_release);
    }
#else
    f();
    count();
#endif
  }
  void count() {
    const detail::lock lock(mutex_);
    ++done_;
    if (!observer_ || stopped_.load(std::memory_order_relaxed)) return;
    const double seconds = std::chrono::duration<double>(clock::now() - begun_).count();
    if (!observer_({done_, total_, seconds / static_cast<double>(done_) * static_cast<double>(total_ - done_)}))
      stopped_.store(true, std::memory_order_release);
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::volumes
