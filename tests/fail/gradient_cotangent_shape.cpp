// expect: top level
// expect: cotangent of shape (2,3)
// expect: got (3,2)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto v = input<"v", 2, 3>;
#else
inline constexpr auto v = input<"v", 3, 2>;
#endif

inline constexpr auto x = input<"x", 2, 3>;
inline constexpr auto dx = gradient(square(x), x, cotangent(v));
