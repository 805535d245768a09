// How a kernel hands out its tasks. What each sum adds, and in which order, depends on the sizes alone, never on the number of threads, so
// results have the same bits for any.
#pragma once

#include <volute/core/executor.hpp>
#include <volute/core/simd.hpp>

#include <cstdint>
#include <type_traits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// The workers that a kernel may use, and the scratch memory of those beyond the first (worker 0 has the kernel's own). The default: nobody
/// else.
template <class T>
struct team {
  executor* workers = nullptr;
  T* scratch = nullptr;
  std::int64_t scratch_each = 0;

  bool alone() const noexcept { return workers == nullptr; }
  T* memory(int worker, T* first) const noexcept { return worker == 0 ? first : scratch + (worker - 1) * scratch_each; }
};

/// f(task, worker) for each task. Without company this is a plain loop, and costs what one costs.
template <class T, class F>
VOLUTE_INLINE void share(const team<T>& t, std::int64_t tasks, F&& f) noexcept {
  if (t.alone() || tasks < 2) {
    for (std::int64_t i = 0; i < tasks; ++i) f(i, 0);
    return;
  }
  using body = std::remove_reference_t<F>;
  t.workers->parallel(
      tasks, [](void* context, std::int64_t i, int worker) noexcept { (*static_cast<body*>(context))(i, worker); }, &f);
}

/// The same, or a plain loop: settled while compiling, so that small kernels stay one piece of code for the optimiser.
template <bool Shared, class T, class F>
VOLUTE_INLINE void share_if(const team<T>& t, std::int64_t tasks, F&& f) noexcept {
  if constexpr (Shared)
    share(t, tasks, f);
  else
    for (std::int64_t i = 0; i < tasks; ++i) f(i, 0);
}

/// f(begin, end, worker) over [0, count) in `parts` near-equal ranges whose borders are multiples of `unit`.
template <class T, class F>
VOLUTE_INLINE void share_ranges(const team<T>& t, std::int64_t count, std::int64_t unit, std::int64_t parts, F&& f) noexcept {
  const std::int64_t units = (count + unit - 1) / unit;
  if (t.alone() || parts < 2 || units < 2) {
    if (count > 0) f(std::int64_t{0}, count, 0);
    return;
  }
  const std::int64_t n = parts < units ? parts : units;
  share(t, n, [&](std::int64_t i, int worker) noexcept {
    const std::int64_t begin = units * i / n * unit, end = units * (i + 1) / n * unit;
    f(begin, end < count ? end : count, worker);
  });
}

/// Nanoseconds of one thread's work that are worth sharing, as estimated for a core of 116 GFLOP/s. Hand-over and barrier cost 1 us when the
/// threads are awake and 5 us when they are asleep, but between layers the second thread also fetches its operands from the first one's
/// cache: sharing the Conv3D document's second layer (18 us, batch 1) made the model 42 instead of 37 us on two cores of a virtual machine.
inline constexpr double worth_sharing = 60e3;

/// Parts into which this much work (in nanoseconds) is cut: of 5 us at least, and not more than 32, which 2, 4, 8 or 16 threads share
/// without a rest; 1 if it is not worth it.
constexpr std::int64_t parts_of(double work) {
  if (work < worth_sharing) return 1;
  const double n = work / 5e3;
  return n > 32 ? 32 : static_cast<std::int64_t>(n);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
