// expect: top level
// expect: conv3d wants stride >= 1
// expect: got (1,0,1)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int step = 2;
#else
constexpr int step = 0;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 1, 4, 4, 4>, parameter<"w", 1, 1, 3, 3, 3>, stride<1, step, 1>);
