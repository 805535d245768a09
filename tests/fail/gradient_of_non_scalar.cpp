// expect: top level
// expect: gradient wants a scalar
// expect: got (2,3), no cotangent
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto loss(expression auto y) { return sum(y); }
#else
constexpr auto loss(expression auto y) { return y; }
#endif

inline constexpr auto x = input<"x", 2, 3>;
inline constexpr auto dx = gradient(loss(square(x)), x);
