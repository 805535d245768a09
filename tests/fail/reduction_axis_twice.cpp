// expect: top level
// expect: mean wants each axis once
// expect: got one twice
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int other = -2;
#else
constexpr int other = -3;
#endif

inline constexpr auto y = mean(input<"x", 2, 3, 4>, axes<0, other>);
