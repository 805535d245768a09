// expect: top level
// expect: conv3d wants groups >= 1
// expect: got 0
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int parts = 1;
#else
constexpr int parts = 0;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 6, 4, 4, 4>, parameter<"w", 4, 6, 3, 3, 3>, groups<parts>);
