// An executor on OpenMP's threads, for programs that have such a team already. Exists with -fopenmp only; spinning_pool hands over faster.
#pragma once

#if defined(_OPENMP)

#include <volute/core/executor.hpp>

#include <omp.h>

namespace volute {

/// `threads`: at most; OpenMP may give fewer.
class openmp_executor final : public executor {
 public:
  explicit openmp_executor(int threads = omp_get_max_threads()) noexcept : executor(threads) {}

  void parallel(std::int64_t tasks, task t, void* context) noexcept override {
    const int team = threads();
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
    for (std::int64_t i = 0; i < tasks; ++i) t(context, i, omp_get_thread_num());
  }
};

}  // namespace volute

#endif
