// expect: top level
// expect: conv3d: an option once
// expect: got option 3 again
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto last = dilation<1>;
#else
constexpr auto last = same;
#endif

inline constexpr auto y = conv3d(input<"x", 1, 4, 8, 8, 8>, parameter<"w", 4, 2, 3, 3, 3>, groups<2>, padding<1>, last);
