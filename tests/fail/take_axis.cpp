// expect: top level
// expect: take wants an axis of rank 3
// expect: got axis 3
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int at = 2;
#else
constexpr int at = 3;
#endif

inline constexpr auto y = take(input<"x", 2, 3, 4>, axis<at>, indices<0, 1>);
