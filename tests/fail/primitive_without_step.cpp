// expect: no_branch<roll
// expect: graph/plan.hpp: kernel
#include <volute/graph/plan.hpp>

/// A primitive whose author forgot what launches it.
struct roll {
  std::int64_t by = 0;
};

#if !defined(VOLUTE_CONTROL)
template void volute::graph::planner::kernel<roll>(const roll&, int);
#endif
