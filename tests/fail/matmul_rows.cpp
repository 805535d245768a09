// expect: top level
// expect: matmul wants 3 rows
// expect: got 4 in (4,5)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int rows = 3;
#else
constexpr int rows = 4;
#endif

inline constexpr auto y = matmul(input<"a", 2, 3>, input<"b", rows, 5>);
