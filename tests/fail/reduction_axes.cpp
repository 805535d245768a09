// expect: top level
// expect: sum wants axes of rank 3
// expect: got one outside (2,3,4)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int last = 2;
#else
constexpr int last = 4;
#endif

inline constexpr auto y = sum(input<"x", 2, 3, 4>, axes<1, last>);
