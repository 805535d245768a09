// expect: top level
// expect: prelu wants 1 or 4 slopes
// expect: got (3) for (2,4,5)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int slopes = 4;
#else
constexpr int slopes = 3;
#endif

inline constexpr auto y = prelu(input<"x", 2, 4, 5>, parameter<"slopes", slopes>);
