// What several threads may meet at, where there are threads.
#pragma once

#if defined(__STDCPP_THREADS__)
#include <mutex>
#endif

namespace volute::detail {

#if defined(__STDCPP_THREADS__)
using mutex = std::mutex;
using lock = std::lock_guard<std::mutex>;
#else  // the standard library has none: WebAssembly
struct mutex {};
struct lock {
  explicit lock(mutex&) noexcept {}
};
#endif

}  // namespace volute::detail
