// expect: top level
// expect: conv3d wants kernel <= input
// expect: dilated 3
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int reach = 2;
#else
constexpr int reach = 3;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 1, 6, 6, 6>, parameter<"w", 1, 1, 3, 3, 3>, dilation<1, reach, 1>);
