// expect: top level
// expect: conv3d wants whole numbers
// expect: got 1.5
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto y = conv3d(input<"x", 1, 2, 5, 5, 5>, input<"w", 3, 2, 3, 3, 3>, stride<2>);
#else
inline constexpr auto y = conv3d(input<"x", 1, 2, 5, 5, 5>, input<"w", 3, 2, 3, 3, 3>, stride<1, 1.5, 1>);
#endif
