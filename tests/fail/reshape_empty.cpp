// expect: top level
// expect: reshape wants 0 elements
// expect: got (0,-1) from (0,3,4)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto to = shape<0, 12>;
#else
constexpr auto to = shape<0, -1>;  // any number would do
#endif

inline constexpr auto y = reshape(input<"x", 0, 3, 4>, to);
