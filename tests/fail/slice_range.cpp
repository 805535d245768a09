// expect: top level
// expect: slice wants a range in 0..8
// expect: got 4..9 step 1
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int stop = 8;
#else
constexpr int stop = 9;
#endif

inline constexpr auto y = slice(input<"x", 2, 8>, axis<1>, range<4, stop>);
