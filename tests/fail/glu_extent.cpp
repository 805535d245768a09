// expect: top level
// expect: glu wants an even extent
// expect: got 3 in (2,3,5)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 4;
#else
constexpr int channels = 3;
#endif

inline constexpr auto y = glu(input<"x", 2, channels, 5>, axis<1>);
