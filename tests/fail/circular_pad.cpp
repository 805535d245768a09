// expect: top level
// expect: circular_pad3d wants at most 3
// expect: got 4 on (1,1,3,4,4)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int before = 3;
#else
constexpr int before = 4;
#endif

inline constexpr auto y = circular_pad3d(input<"x", 1, 1, 3, 4, 4>, padding<before, 0, 0, 0, 0, 0>);
