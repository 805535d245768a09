// expect: top level
// expect: transpose wants 3 axes
// expect-gcc: got (0,2,2) for (2,3,4)
// expect-clang: got (0,2,2) for
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int middle = 1;
#else
constexpr int middle = 2;
#endif

inline constexpr auto y = transpose(input<"x", 2, 3, 4>, axes<0, 2, middle>);
