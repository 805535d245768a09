// expect: top level
// expect: conv3d wants kernel <= input
// expect-gcc: got (5,3,3) on (1,1,4,6,6)
// expect-clang: got (5,3,3) on
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int depth = 5;
#else
constexpr int depth = 4;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 1, depth, 6, 6>, parameter<"w", 1, 1, 5, 3, 3>);
