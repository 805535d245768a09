// expect: top level
// expect: conv3d wants padding >= 0
// expect: got (0,0,0) and (-1,0,0)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int high = 1;
#else
constexpr int high = -1;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 1, 4, 4, 4>, parameter<"w", 1, 1, 3, 3, 3>, padding<0, high, 0, 0, 0, 0>);
