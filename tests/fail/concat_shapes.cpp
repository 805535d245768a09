// expect: top level
// expect: concat wants (2,3,4)
// expect: got (2,5,5) along axis 1
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int last = 4;
#else
constexpr int last = 5;
#endif

inline constexpr auto y = concat(axis<1>, input<"a", 2, 3, 4>, input<"b", 2, 5, last>);
