// Which processor a thread runs on, whether it runs at all, and which processors it shall leave: Linux with glibc. Elsewhere nothing is
// known and nothing is moved.
#pragma once

#include <cstdint>
#include <thread>

#if defined(__linux__) && defined(__GLIBC__)
#include <pthread.h>
#include <sched.h>
#include <time.h>
#define VOLUTE_PLACEMENT 1
#endif

namespace volute::placement {

#ifdef VOLUTE_PLACEMENT

/// A set of processors.
using processors = cpu_set_t;

/// The processor that the calling thread runs on; negative if the system does not say.
inline int current() noexcept { return sched_getcpu(); }

/// How many processors the calling thread may use; 0 if that is not known.
inline int available() noexcept {
  processors set;
  return pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

/// Empties a set, adds to it, asks it.
inline void clear(processors& set) noexcept { CPU_ZERO(&set); }
inline void insert(processors& set, int processor) noexcept { CPU_SET(static_cast<unsigned>(processor), &set); }
inline bool contains(const processors& set, int processor) noexcept { return CPU_ISSET(static_cast<unsigned>(processor), &set); }

/// Takes `taken` from the processors that `thread` may use, and leaves in `before` what those were. False, and nothing is changed, if none
/// were left.
inline bool leave(std::thread::native_handle_type thread, const processors& taken, processors& before) noexcept {
  if (pthread_getaffinity_np(thread, sizeof before, &before) != 0) return false;
  processors both, rest;
  CPU_AND(&both, &before, &taken);
  CPU_XOR(&rest, &before, &both);
  return CPU_COUNT(&rest) > 0 && pthread_setaffinity_np(thread, sizeof rest, &rest) == 0;
}

/// Nanoseconds for which a living thread has had a processor; negative if the system does not say. About 0.3 us.
inline std::int64_t time_on_processor(std::thread::native_handle_type thread) noexcept {
  clockid_t clock;
  timespec t;
  if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &t) != 0) return -1;
  return std::int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
}

/// Lets the calling thread use `set` again.
inline void allow(const processors& set) noexcept { pthread_setaffinity_np(pthread_self(), sizeof set, &set); }

#else

struct processors {};
inline int current() noexcept { return -1; }
inline int available() noexcept { return 0; }
inline void clear(processors&) noexcept {}
inline void insert(processors&, int) noexcept {}
inline bool contains(const processors&, int) noexcept { return false; }
inline bool leave(std::thread::native_handle_type, const processors&, processors&) noexcept { return false; }
inline std::int64_t time_on_processor(std::thread::native_handle_type) noexcept { return -1; }
inline void allow(const processors&) noexcept {}

#endif

}  // namespace volute::placement
