// How often this process was forked from another since its programs were loaded: who holds threads asks, because a forked child has none of
// them. POSIX; elsewhere there is no fork.
#pragma once

#include <atomic>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define VOLUTE_FORK 1
#endif

namespace volute::forks {

/// Grows by one in a forked child, before fork() returns there. Known from the first call of watch() on.
inline std::atomic<unsigned> count{0};

/// Begins to count; 0, or the error number if the system has no memory for that.
inline int watch() noexcept {
#ifdef VOLUTE_FORK
  static const int error = pthread_atfork(nullptr, nullptr, [] { count.fetch_add(1, std::memory_order_relaxed); });
  return error;
#else
  return 0;
#endif
}

}  // namespace volute::forks
