// expect: top level
// expect: interpolate wants extents >= 1
// expect-gcc: got (1,2,1,0,4) from (1,2,2,2,8)
// expect-clang: got (1,2,1,0,4) from
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr double rows = 0.5;
#else
constexpr double rows = 0.25;
#endif

inline constexpr auto y = interpolate(input<"x", 1, 2, 2, 2, 8>, scale_factor<0.5, rows, 0.5>, trilinear);
