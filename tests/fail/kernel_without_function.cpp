// expect: no_branch_for
// expect: kernel_table.hpp: function_of
#include <volute/runtime/kernel_table.hpp>

using namespace volute;

/// A plan with a kernel that nothing runs.
struct plan {
  static constexpr graph::plan_size size{.kernels = 1};
  static constexpr auto tables = [] {
    lowering::plan_tables<size, 0> t;
#if defined(VOLUTE_CONTROL)
    t.kernels[0].kind = graph::kernel_kind::copy;
#else
    t.kernels[0].kind = static_cast<graph::kernel_kind>(100);
#endif
    return t;
  }();
};
template runtime::kernel_function<float> runtime::function_of<float, plan, 0>();
