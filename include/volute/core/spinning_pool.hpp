// An executor of threads that spin between kernels.
#pragma once

#include <volute/core/executor_base.hpp>
#include <volute/core/fork.hpp>
#include <volute/core/hints.hpp>
#include <volute/core/placement.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

namespace volute {

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
/// A worker that loses its processor in the middle of a task keeps everybody waiting, for 3 ms or more where other programs want the
/// processors too. On Linux the caller finds out after 0.1 ms of waiting, sleeps until the task is done, and lets that worker rest for 8
/// times as long as it waited; if that happens again soon, for twice as many, up to 64 times or 1 s. So lasting contention costs little,
/// and a worker whose processor is its own never rests.
///
/// Several programs, also on several threads, may use one pool: a job that meets a busy pool runs on its own thread alone. So does every
/// job in a forked child, which has none of its parent's threads; it may use an inherited pool and destroy it, or make one of its own.
class spinning_pool final : public executor {
 public:
  /// `threads` includes the caller. Between jobs a thread spins for `spin`: long enough to bridge the short kernels between two large ones.
  /// Throws std::system_error if the system does not give so many threads, and gives back those it had; without exceptions that ends the
  /// program.
  explicit spinning_pool(int threads = static_cast<int>(std::thread::hardware_concurrency()),
                         std::chrono::microseconds spin = std::chrono::microseconds(100))
      : executor(threads),
        spin_(spin),
        lanes_(std::make_unique<lane[]>(static_cast<std::size_t>(executor::threads()))),
        thread_(std::make_unique<std::thread[]>(static_cast<std::size_t>(executor::threads()))) {
    if (const int error = forks::watch()) refuse(std::error_code(error, std::generic_category()), 1);
    for (int i = 1; i < executor::threads(); ++i) {
#if defined(__cpp_exceptions)
      try {
        start(i);
      } catch (const std::system_error& e) {
        stop(i);
        refuse(e.code(), i);
      } catch (...) {
        stop(i);
        throw;
      }
#else
      start(i);
#endif
    }
  }
  ~spinning_pool() override { stop(threads()); }

  void parallel(std::int64_t tasks, task t, void* context) noexcept override {
    constexpr std::int64_t most = remaining_mask;
    if (threads() == 1 || tasks < 2 || tasks > most || forked() || busy_.exchange(true, std::memory_order_acquire)) {
      for (std::int64_t i = 0; i < tasks; ++i) t(context, i, 0);
      return;
    }
    task_.store(t, std::memory_order_relaxed);
    context_.store(context, std::memory_order_relaxed);
    tasks_.store(tasks, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    publish(tasks);
    const std::int64_t mine = work(0);
    if (done_.fetch_add(mine, std::memory_order_acq_rel) + mine != tasks) await(tasks);  // its last tasks are under way
    busy_.store(false, std::memory_order_release);
  }

 private:
  using clock = std::chrono::steady_clock;

  // The state of a part is one word: the number of the job, and how many of the part's tasks are not taken yet. A thread takes a task by
  // changing the word from what it saw; if that succeeds, what it read of the job in between was that job's, because the next job begins
  // only when every task is done.
  struct alignas(64) lane {
    std::atomic<std::uint64_t> state{0};
    std::atomic<int> processor{-1};  // where it ran last
    std::atomic<bool> barred{false};
    placement::processors allowed;  // before it was barred; belongs to the worker while `barred`, else to the caller
    std::atomic<bool> working{false};
    std::atomic<std::uint32_t> resting{0};  // the worker sleeps on it; 32 bits, as the bell
    std::int64_t time = 0;                  // on its processor; this and what follows belongs to the caller
    clock::time_point rested{}, doubted{};  // when it will have rested; until when another rest is to be longer
    int rest_for_wait = 0;
  };
  static constexpr std::chrono::microseconds patience{50};  // between two looks at a worker that is waited for
  static constexpr int least_rest = 8, most_rest = 64;      // as multiples of the wait
  static constexpr std::chrono::milliseconds longest_rest{1000};
  static constexpr int remaining_bits = 24;
  static constexpr std::uint64_t remaining_mask = (std::uint64_t{1} << remaining_bits) - 1;

  std::chrono::microseconds spin_;
  unsigned forks_ = forks::count.load(std::memory_order_relaxed);
  bool room_ = placement::available() >= threads();  // a processor for each thread
  int resting_ = 0;
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
  std::atomic<bool> awaited_{false};  // the caller sleeps until the last task is done
  std::mutex mutex_;
  std::condition_variable all_done_;

  bool forked() const noexcept { return forks::count.load(std::memory_order_relaxed) != forks_; }
  void start(int worker) {
    thread_[static_cast<std::size_t>(worker)] = std::thread([this, worker] { serve(worker); });
  }
  [[noreturn]] void refuse(std::error_code code, int made) const {
    const std::string what = "spinning_pool: " + std::to_string(threads()) + " threads wanted, the system gives " + std::to_string(made) +
                             ", the caller among them";
#if defined(__cpp_exceptions)
    throw std::system_error(code, what);
#else
    std::fprintf(stderr, "volute: %s: %s\n", what.c_str(), code.message().c_str());
    std::abort();
#endif
  }

  /// Ends the workers below `made`. A forked child has none, and forgets their handles: it must neither join nor detach them.
  void stop(int made) noexcept {
    if (forked()) {
      for (int i = 1; i < made; ++i) std::construct_at(&thread_[static_cast<std::size_t>(i)]);
      std::construct_at(&all_done_);  // a caller may have slept on it, whom its destructor would wait for
      return;
    }
    stop_.store(true, std::memory_order_relaxed);
    for (int i = 1; i < made; ++i) rouse(lanes_[static_cast<std::size_t>(i)]);
    publish(0);
    for (int i = 1; i < made; ++i) thread_[static_cast<std::size_t>(i)].join();
  }

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
    if (resting_ > 0) rouse();
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

  /// Until `ready`, but for `limit` at most; whether it is.
  template <class Ready>
  static bool spin(clock::duration limit, Ready ready) noexcept {
    const auto until = clock::now() + limit;
    do {
      for (int i = 0; i < 64; ++i) {  // the clock costs as much as a few pauses
        if (ready()) return true;
        simd::pause();
      }
    } while (clock::now() < until);
    return false;
  }

  /// Until all tasks are done, the last of which are under way.
  void await(std::int64_t tasks) noexcept {
    const auto finished = [&] { return done_.load(std::memory_order_seq_cst) == tasks; };
    if (spin(patience, finished)) return;
    auto since = clock::now();
    const bool known = look(clock::duration::zero()) != standing::unknown;
    while (!spin(patience, finished)) {
      if (!known) {
        std::this_thread::yield();
        continue;
      }
      const auto now = clock::now();
      if (look(now - since) == standing::held_up) return sleep(finished, since);
      since = now;
    }
  }

  enum class standing { unknown, running, held_up };
  /// Whether a worker with a task had no processor for most of the time since the last look, the first of a job with 0. Such a worker
  /// rests from the end of its task on.
  standing look(clock::duration since) noexcept {
    standing all = standing::running;
    for (int i = 1; i < threads(); ++i) {
      lane& l = lanes_[static_cast<std::size_t>(i)];
      const std::int64_t time = placement::time_on_processor(thread_[static_cast<std::size_t>(i)].native_handle());
      if (time < 0) return standing::unknown;
      if (l.working.load(std::memory_order_relaxed) && std::chrono::nanoseconds(time - l.time) * 2 < since) {
        all = standing::held_up;
        if (l.resting.exchange(1, std::memory_order_relaxed) == 0) ++resting_;
        l.rested = clock::time_point::max();
      }
      l.time = time;
    }
    return all;
  }

  /// Sleeps until the job is finished, and settles how long the workers rest that held it up.
  template <class Finished>
  void sleep(Finished finished, clock::time_point since) noexcept {
    awaited_.store(true, std::memory_order_seq_cst);
    {
      std::unique_lock lock(mutex_);
      all_done_.wait(lock, finished);
    }
    awaited_.store(false, std::memory_order_relaxed);
    const auto now = clock::now();
    for (int i = 1; i < threads(); ++i) {
      lane& l = lanes_[static_cast<std::size_t>(i)];
      if (l.rested != clock::time_point::max()) continue;
      l.rest_for_wait = since < l.doubted ? std::min(2 * l.rest_for_wait, most_rest) : least_rest;
      const auto rest = std::min<clock::duration>(l.rest_for_wait * (now - since), longest_rest);
      l.rested = now + rest;
      l.doubted = l.rested + rest;
    }
  }

  /// Ends the rest of those who have had theirs.
  void rouse() noexcept {
    const auto now = clock::now();
    for (int i = 1; i < threads(); ++i) {
      lane& l = lanes_[static_cast<std::size_t>(i)];
      if (l.resting.load(std::memory_order_relaxed) != 0 && l.rested <= now) rouse(l);
    }
  }
  void rouse(lane& l) noexcept {
    if (l.resting.exchange(0, std::memory_order_release) == 0) return;
    --resting_;
    l.resting.notify_one();
  }

  void serve(int worker) noexcept {
    lane& self = lanes_[static_cast<std::size_t>(worker)];
    std::uint32_t heard = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      if (self.resting.load(std::memory_order_acquire) != 0) {
        self.processor.store(-1, std::memory_order_relaxed);
        self.resting.wait(1, std::memory_order_acquire);
      }
      const auto rung = [&] { return bell_.load(std::memory_order_acquire) != heard; };
      if (!spin(spin_, rung))
        while (!rung()) {
          self.processor.store(placement::current(), std::memory_order_relaxed);
          asleep_.fetch_add(1, std::memory_order_seq_cst);
          bell_.wait(heard, std::memory_order_seq_cst);
          asleep_.fetch_sub(1, std::memory_order_relaxed);
        }
      self.processor.store(placement::current(), std::memory_order_relaxed);
      if (self.barred.load(std::memory_order_acquire)) {
        placement::allow(self.allowed);
        self.barred.store(false, std::memory_order_release);
      }
      heard = bell_.load(std::memory_order_acquire);
      self.working.store(true, std::memory_order_relaxed);
      const std::int64_t mine = work(worker);
      self.working.store(false, std::memory_order_relaxed);
      if (mine > 0) {
        done_.fetch_add(mine, std::memory_order_seq_cst);
        if (awaited_.load(std::memory_order_seq_cst)) {  // either we see the caller or it sees what is done
          std::lock_guard lock(mutex_);
          all_done_.notify_one();
        }
      }
    }
  }
};

}  // namespace volute
