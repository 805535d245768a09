// expect: top level
// expect: conv3d wants weights of rank 5
// expect: got (8,3,3,3)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto w = parameter<"w", 8, 1, 3, 3, 3>;
#else
inline constexpr auto w = parameter<"w", 8, 3, 3, 3>;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 1, 8, 8, 8>, w);
