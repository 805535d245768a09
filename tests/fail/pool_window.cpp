// expect: top level
// expect: avg_pool3d: kernel <= input
// expect-gcc: got (4,4,4) on (1,1,8,8,3)
// expect-clang: got (4,4,4) on
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int width = 4;
#else
constexpr int width = 3;
#endif

inline constexpr auto y = avg_pool3d(input<"x", 1, 1, 8, 8, width>, kernel<4>);
