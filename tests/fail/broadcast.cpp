// expect: top level
// expect: wants shapes that broadcast
// expect: got (4,3) and (2,3)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int rows = 4;
#else
constexpr int rows = 2;
#endif

inline constexpr auto y = input<"a", 4, 3> + input<"b", rows, 3>;
