// expect: top level
// expect: linear wants 4 features
// expect: got 3 in (2,3)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int features = 4;
#else
constexpr int features = 3;
#endif

inline constexpr auto y = linear(input<"x", 2, features>, parameter<"w", 5, 4>, parameter<"b", 5>);
