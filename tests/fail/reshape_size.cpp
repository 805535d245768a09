// expect: top level
// expect: reshape wants 24 elements
// expect: got (5,5) from (2,3,4)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto to = shape<4, 6>;
#else
inline constexpr auto to = shape<5, 5>;
#endif

inline constexpr auto y = reshape(input<"x", 2, 3, 4>, to);
