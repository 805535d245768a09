// expect: top level
// expect: without_background: classes > 1
// expect: got 1 in (2,1,3,3,3)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 2;
#else
constexpr int channels = 1;
#endif

inline constexpr auto y = binary_dice(input<"x", 2, channels, 3, 3, 3>, input<"t", 2, channels, 3, 3, 3>, without_background);
