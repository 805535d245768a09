// expect: top level
// expect: sum wants axes of rank 3
// expect: got axis 4 of (2,3,4)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int a = 2;
#else
constexpr int a = 4;
#endif

inline constexpr auto y = sum(input<"x", 2, 3, 4>, axes<1, a>);
