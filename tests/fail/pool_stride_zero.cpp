// expect: top level
// expect: max_pool3d wants stride >= 1
// expect: got (2,0,2)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int step = 1;
#else
constexpr int step = 0;
#endif

inline constexpr auto y = max_pool3d(input<"x", 1, 1, 8, 8, 8>, kernel<2>, stride<2, step, 2>);
