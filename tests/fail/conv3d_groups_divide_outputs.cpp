// expect: top level
// expect: conv3d wants outputs / groups
// expect: got 5 outputs, groups 2
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int outs = 4;
#else
constexpr int outs = 5;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 6, 4, 4, 4>, parameter<"w", outs, 3, 3, 3, 3>, groups<2>);
