// Who runs the tasks of a kernel: the calling thread alone, a pool of spinning threads, or anything that a user derives from executor.
// Nothing here allocates after construction, and no result depends on the executor or on its number of threads.
#pragma once

#include <volute/core/placement.hpp>
#include <volute/core/simd.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>

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

/// Threads that are created once, here, and wait for jobs: at first spinning, so that a job reaches them within about 0.1 us, then asleep.
/// The calling thread works too, as worker 0. Each worker begins with its own part of the tasks, always the same one, so that it meets
/// again what its cache still holds of the kernel before; then it takes from the others' parts, so a thread that the system holds up delays
/// a job by one task at most.
///
/// On Linux no worker stays on the caller's processor while there are others: the system wakes a thread where it slept, also when the
/// caller runs there by now and another processor is idle, and can leave the two there for long, so that two threads are as slow as one
/// (seen for whole seconds with kernel 6.18 on two processors). A caller that finds a worker there bars it from the taken processors; the
/// worker lifts the bar as soon as it runs.
///
/// Several programs, also on several threads, may use one pool: a job that meets a busy pool runs on its own thread alone.
class spinning_pool final : public executor {
 public:
  /// `threads` includes the caller. Between jobs a thread spins for `spin`: long enough to bridge the short kernels between two large ones.
  explicit spinning_pool(int threads = static_cast<int>(std::thread::hardware_concurrency()),
                         std::chrono::microseconds spin = std::chrono::microseconds(100))
      : executor(threads),
        spin_(spin),
        lanes_(std::make_unique<lane[]>(static_cast<std::size_t>(executor::threads()))),
        thread_(std::make_unique<std::thread[]>(static_cast<std::size_t>(executor::threads()))) {
    for (int i = 1; i < executor::threads(); ++i) thread_[static_cast<std::size_t>(i)] = std::thread([this, i] { serve(i); });
  }
  ~spinning_pool() override {
    stop_.store(true, std::memory_order_relaxed);
    publish(0);
    for (int i = 1; i < threads(); ++i) thread_[static_cast<std::size_t>(i)].join();
  }

  void parallel(std::int64_t tasks, task t, void* context) noexcept override {
    constexpr std::int64_t most = remaining_mask;
    if (threads() == 1 || tasks < 2 || tasks > most || busy_.exchange(true, std::memory_order_acquire)) {
      for (std::int64_t i = 0; i < tasks; ++i) t(context, i, 0);
      return;
    }
    task_.store(t, std::memory_order_relaxed);
    context_.store(context, std::memory_order_relaxed);
    tasks_.store(tasks, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    publish(tasks);
    const std::int64_t mine = work(0);
    if (done_.fetch_add(mine, std::memory_order_acq_rel) + mine != tasks)
      wait([&] { return done_.load(std::memory_order_acquire) == tasks; },
           [] { std::this_thread::yield(); });  // its last tasks are under way
    busy_.store(false, std::memory_order_release);
  }

 private:
  // The state of a part is one word: the number of the job, and how many of the part's tasks are not taken yet. A thread takes a task by
  // changing the word from what it saw; if that succeeds, what it read of the job in between was that job's, because the next job begins
  // only when every task is done.
  struct alignas(64) lane {
    std::atomic<std::uint64_t> state{0};
    std::atomic<int> processor{-1};  // where it ran last
    std::atomic<bool> barred{false};
    placement::processors allowed;  // before it was barred; belongs to the worker while `barred`, else to the caller
  };
  static constexpr int remaining_bits = 24;
  static constexpr std::uint64_t remaining_mask = (std::uint64_t{1} << remaining_bits) - 1;

  std::chrono::microseconds spin_;
  bool room_ = placement::available() >= threads();  // a processor for each thread
  std::unique_ptr<lane[]> lanes_;
  std::unique_ptr<std::thread[]> thread_;
  std::uint64_t job_ = 0;
  alignas(64) std::atomic<task> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<std::int64_t> tasks_{0};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<std::int64_t> done_{0};
  alignas(64) std::atomic<std::uint32_t> bell_{0};  // the job's number again: 32 bits, on which a thread can sleep without a lock
  std::atomic<int> asleep_{0};
  std::atomic<bool> busy_{false};

  /// The first task of a worker's part.
  std::int64_t first(std::int64_t tasks, int worker) const noexcept { return tasks * worker / threads(); }

  /// A processor for each worker, as far as it is known where they are.
  void keep_apart() noexcept {
    placement::processors taken;
    placement::clear(taken);
    const int mine = placement::current();
    if (mine < 0) return;
    placement::insert(taken, mine);
    for (int i = 1; i < threads(); ++i) {
      lane& l = lanes_[static_cast<std::size_t>(i)];
      const int processor = l.processor.load(std::memory_order_relaxed);
      if (processor < 0) continue;
      if (!placement::contains(taken, processor))
        placement::insert(taken, processor);
      else if (!l.barred.load(std::memory_order_acquire) &&
               placement::leave(thread_[static_cast<std::size_t>(i)].native_handle(), taken, l.allowed))
        l.barred.store(true, std::memory_order_release);
    }
  }

  void publish(std::int64_t tasks) noexcept {
    if (room_) keep_apart();
    ++job_;
    for (int i = 0; i < threads(); ++i)
      lanes_[static_cast<std::size_t>(i)].state.store(
          job_ << remaining_bits | static_cast<std::uint64_t>(first(tasks, i + 1) - first(tasks, i)), std::memory_order_release);
    bell_.store(static_cast<std::uint32_t>(job_), std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_seq_cst) > 0) bell_.notify_all();  // either we see the sleeper or it sees the bell
  }

  /// Takes tasks, of its own part and then of the others', until none is left; how many were done.
  std::int64_t work(int worker) noexcept {
    std::int64_t count = 0;
    for (int k = 0; k < threads(); ++k) {
      const int part = worker + k < threads() ? worker + k : worker + k - threads();
      std::atomic<std::uint64_t>& state = lanes_[static_cast<std::size_t>(part)].state;
      std::uint64_t seen = state.load(std::memory_order_acquire);
      while ((seen & remaining_mask) != 0) {
        const task t = task_.load(std::memory_order_relaxed);
        void* const context = context_.load(std::memory_order_relaxed);
        const std::int64_t index =
            first(tasks_.load(std::memory_order_relaxed), part + 1) - static_cast<std::int64_t>(seen & remaining_mask);
        if (!state.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
        t(context, index, worker);
        ++count;
        seen = state.load(std::memory_order_acquire);
      }
    }
    return count;
  }

  /// Until `ready`: spins for a while, then calls `rest` in between.
  template <class Ready, class Rest>
  void wait(Ready ready, Rest rest) noexcept {
    using clock = std::chrono::steady_clock;
    const auto until = clock::now() + spin_;
    do {
      for (int i = 0; i < 64; ++i) {  // the clock costs as much as a few pauses
        if (ready()) return;
        simd::pause();
      }
    } while (clock::now() < until);
    while (!ready()) rest();
  }

  void serve(int worker) noexcept {
    lane& self = lanes_[static_cast<std::size_t>(worker)];
    std::uint32_t heard = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      wait([&] { return bell_.load(std::memory_order_acquire) != heard; },
           [&] {
             self.processor.store(placement::current(), std::memory_order_relaxed);
             asleep_.fetch_add(1, std::memory_order_seq_cst);
             bell_.wait(heard, std::memory_order_seq_cst);
             asleep_.fetch_sub(1, std::memory_order_relaxed);
           });
      self.processor.store(placement::current(), std::memory_order_relaxed);
      if (self.barred.load(std::memory_order_acquire)) {
        placement::allow(self.allowed);
        self.barred.store(false, std::memory_order_release);
      }
      heard = bell_.load(std::memory_order_acquire);
      const std::int64_t mine = work(worker);
      if (mine > 0) done_.fetch_add(mine, std::memory_order_acq_rel);
    }
  }
};

}  // namespace volute
