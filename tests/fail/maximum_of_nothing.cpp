// expect: top level
// expect: maximum wants an element
// expect: got axis 1 of (2,0,4)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto over = axes<2>;
#else
constexpr auto over = axes<1>;
#endif

inline constexpr auto y = maximum(input<"x", 2, 0, 4>, over);
