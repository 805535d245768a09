// The pool where the system does not play along: threads that cannot be had, forked children, workers that lose their processor.
#include <volute/core/executor.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__) && defined(__GLIBC__)
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VOLUTE_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define VOLUTE_TEST_SANITIZED 1
#endif
#endif

namespace {

using namespace volute;
using namespace std::chrono_literals;
using std::int64_t;

/// Which task was done how often, and by how many threads.
struct record {
  std::vector<std::atomic<int>> done;
  std::vector<std::atomic<int>> by;
  record(int64_t tasks, int workers) : done(static_cast<std::size_t>(tasks)), by(static_cast<std::size_t>(workers)) {}
  static void task(void* context, int64_t i, int worker) noexcept {
    record& r = *static_cast<record*>(context);
    r.done[static_cast<std::size_t>(i)] += 1;
    r.by[static_cast<std::size_t>(worker)] += 1;
  }
  bool each(int times) const {
    return std::all_of(done.begin(), done.end(), [&](const auto& n) { return n == times; });
  }
};

bool works(executor& e, int jobs = 50) {
  record r(40, e.threads());
  for (int round = 1; round <= jobs; ++round) {
    e.parallel(40, &record::task, &r);
    if (!r.each(round)) return false;
  }
  return true;
}

/// What f returns in a forked child; -1 if the child dies or takes more than 20 s.
template <class F>
int in_child(F f) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(f());
  }
  int state = 0;
  waitpid(child, &state, 0);
  return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

#ifndef VOLUTE_TEST_SANITIZED  // sanitizers need address space of their own
/// A number of /proc/self/status.
long status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (long value = 0; word == name + ':' && file >> value) return value;
  return -1;
}

// [native]: qemu's user mode (7.2) keeps no limit of address space, and of a program with threads it forks children that cannot make any.
TEST_CASE("threads that the system does not give are an exception, and those it gave are given back", "[native]") {
  const long before = status("Threads");
  rlimit all;
  REQUIRE(getrlimit(RLIMIT_AS, &all) == 0);
  rlimit little = all;
  little.rlim_cur = (static_cast<rlim_t>(status("VmSize")) << 10) + (256 << 20);  // stacks of 8 MB
  REQUIRE(setrlimit(RLIMIT_AS, &little) == 0);
  std::string what;
  int code = 0;
  try {
    spinning_pool pool(400);
  } catch (const std::system_error& e) {
    what = e.what();
    code = e.code().value();
  }
  setrlimit(RLIMIT_AS, &all);
  CHECK(code == EAGAIN);
  CHECK_THAT(what, Catch::Matchers::StartsWith("spinning_pool: 400 threads wanted, the system gives "));
  for (int i = 0; i < 1000 && status("Threads") != before; ++i) std::this_thread::sleep_for(1ms);  // a joined thread's last moments
  CHECK(status("Threads") == before);
  spinning_pool pool(3);
  CHECK(works(pool));
}
#endif

TEST_CASE("a forked child works alone on the pool it inherits, and its parent never notices", "[native]") {
  auto pool = std::make_unique<spinning_pool>(3);
  REQUIRE(works(*pool));
  const auto child = [&] {
    const int before = placement::available();
    record r(40, pool->threads());
    for (int round = 1; round <= 200; ++round) pool->parallel(40, &record::task, &r);
    if (!r.each(200)) return 1;
    if (r.by[0] != 200 * 40) return 2;
    if (placement::available() != before) return 3;
#ifndef VOLUTE_TEST_SANITIZED  // the thread sanitizer does not let a child of threads make any
    spinning_pool own(2);
    if (!works(own)) return 4;
    if (in_child([&] { return works(own) && works(*pool) ? 0 : 1; }) != 0) return 5;
    if (!works(own)) return 6;
#endif
    pool.reset();
    return 0;
  };
  for (int i = 0; i < 40; ++i) {
    CAPTURE(i);
    if (i % 2 != 0) works(*pool, 3);  // its workers are awake, or asleep
    CHECK(in_child(child) == 0);
  }
  CHECK(works(*pool));
}

TEST_CASE("a fork in the middle of another thread's job leaves the child free") {
  spinning_pool pool(2);
  std::atomic<bool> end{false};
  std::thread busy([&] {
    while (!end) works(pool, 1);
  });
  for (int i = 0; i < 40; ++i) CHECK(in_child([&] { return works(pool) ? 0 : 1; }) == 0);
  end = true;
  busy.join();
  CHECK(works(pool));
}

TEST_CASE("a thread's time on a processor passes while it computes, and stands still while it does not") {
  const auto self = pthread_self();
  const int64_t before = placement::time_on_processor(self);
  REQUIRE(before >= 0);
  std::this_thread::sleep_for(20ms);
  CHECK(placement::time_on_processor(self) - before < 10'000'000);
  while (placement::time_on_processor(self) - before < 12'000'000) {
  }
}

/// Worker 1 sleeps in its tasks, which is what a worker without a processor looks like; worker 0 waits until it has one.
struct sleeper {
  std::atomic<bool> begun{false};
  std::atomic<int> slept{0};
  static void task(void* context, int64_t, int worker) noexcept {
    sleeper& s = *static_cast<sleeper*>(context);
    if (worker == 1 && !s.begun.exchange(true)) std::this_thread::sleep_for(100ms), ++s.slept;
    if (worker == 0 && !s.begun) std::this_thread::sleep_for(1ms);
  }
};

TEST_CASE("a worker that kept its caller waiting rests, and comes back") {
  spinning_pool pool(2);
  sleeper s;
  for (int i = 0; i < 1000 && s.slept == 0; ++i) pool.parallel(2, &sleeper::task, &s);
  REQUIRE(s.slept == 1);
  // 0.8 s of rest: jobs of less are the caller's alone.
  record r(40, 2);
  const auto begin = std::chrono::steady_clock::now();
  int rounds = 0;
  while (std::chrono::steady_clock::now() - begin < 50ms) pool.parallel(40, &record::task, &r), ++rounds;
  CHECK(r.each(rounds));
  CHECK(r.by[1] == 0);
  // Afterwards both work again.
  const auto both = [&] {
    while (std::chrono::steady_clock::now() - begin < 20s)
      if (sleeper again; pool.parallel(2, &sleeper::task, &again), again.begun) return true;
    return false;
  };
  CHECK(both());
}

TEST_CASE("a fork while a caller sleeps leaves the child free to destroy the pool") {
  auto pool = std::make_unique<spinning_pool>(2);
  sleeper s;
  std::thread caller([&] {
    for (int i = 0; i < 1000 && s.slept == 0; ++i) pool->parallel(2, &sleeper::task, &s);
  });
  while (!s.begun) std::this_thread::yield();
  std::this_thread::sleep_for(10ms);  // by now it sleeps
  CHECK(in_child([&] { return works(*pool) ? pool.reset(), 0 : 1; }) == 0);
  caller.join();
  CHECK(works(*pool));
}

TEST_CASE("a pool with a worker at rest can be destroyed, and more workers than processors get everything done") {
  {
    spinning_pool pool(2);
    sleeper s;
    for (int i = 0; i < 1000 && s.slept == 0; ++i) pool.parallel(2, &sleeper::task, &s);
  }
  placement::processors one, before;
  placement::clear(one);
  placement::insert(one, placement::current());
  REQUIRE(pthread_getaffinity_np(pthread_self(), sizeof before, &before) == 0);
  placement::allow(one);
  spinning_pool crowd(9, 1us);
  struct work {
    static void some(void* context, int64_t i, int worker) noexcept {
      const auto until = std::chrono::steady_clock::now() + 20us;
      while (std::chrono::steady_clock::now() < until) {
      }
      record::task(context, i, worker);
    }
  };
  record r(40, 9);
  for (int round = 0; round < 200; ++round) crowd.parallel(40, &work::some, &r);
  CHECK(r.each(200));
  placement::allow(before);
}

}  // namespace
#endif
