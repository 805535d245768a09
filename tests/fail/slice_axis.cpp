// expect: top level
// expect: slice wants an axis of rank 2
// expect: got axis 2
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int along = 1;
#else
constexpr int along = 2;
#endif

inline constexpr auto y = slice(input<"x", 2, 8>, axis<along>, range<0, 1>);
