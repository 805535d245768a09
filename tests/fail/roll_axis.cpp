// expect: top level
// expect: roll wants an axis of rank 2
// expect: got axis 2
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int at = 1;
#else
constexpr int at = 2;
#endif

inline constexpr auto y = roll<1>(input<"x", 2, 4>, axis<at>);
