// expect: top level
// expect: conv3d padding same
// expect: got stride (2,2,2)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int step = 1;
#else
constexpr int step = 2;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 1, 8, 8, 8>, parameter<"w", 1, 1, 3, 3, 3>, same, stride<step>);
