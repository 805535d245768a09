// expect: top level
// expect: conv3d wants kernel >= 1
// expect: got (0,3,3)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int size = 1;
#else
constexpr int size = 0;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 1, 4, 4, 4>, parameter<"w", 1, 1, size, 3, 3>);
