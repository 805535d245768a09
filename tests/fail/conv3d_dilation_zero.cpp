// expect: top level
// expect: conv3d wants dilation >= 1
// expect: got (0,0,0)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int reach = 1;
#else
constexpr int reach = 0;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 1, 4, 4, 4>, parameter<"w", 1, 1, 3, 3, 3>, dilation<reach>);
