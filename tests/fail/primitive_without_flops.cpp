// expect: no_branch<roll
// expect: graph/frozen.hpp: flops_of
#include <volute/ops/list.hpp>

using namespace volute;

/// One primitive more than the chain knows.
struct roll {};
#if defined(VOLUTE_CONTROL)
using all = ops::op_list<ops::input, ops::fill>;
#else
using all = ops::op_list<ops::input, ops::fill, roll>;
#endif
static_assert(sizeof(all::all_among<"graph/frozen.hpp: flops_of", ops::input, ops::fill>));
