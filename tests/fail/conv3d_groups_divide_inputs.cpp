// expect: top level
// expect: conv3d wants channels / groups
// expect: got 6 channels, groups 4
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int parts = 2;
#else
constexpr int parts = 4;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 6, 4, 4, 4>, parameter<"w", 4, 3, 3, 3, 3>, groups<parts>);
