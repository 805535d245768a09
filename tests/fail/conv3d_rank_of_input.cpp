// expect: top level
// expect: conv3d wants rank 5 (N,C,D,H,W)
// expect: got (1,8,8,8)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto x = input<"x", 1, 1, 8, 8, 8>;
#else
inline constexpr auto x = input<"x", 1, 8, 8, 8>;
#endif

inline constexpr auto y = conv3d(x, parameter<"w", 1, 1, 3, 3, 3>);
