// expect: top level
// expect: max_pool3d
// expect: max_pool3d: padding <= kernel/2
// expect: got padding (2,2,2)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int margin = 1;
#else
constexpr int margin = 2;
#endif

inline constexpr auto y = max_pool3d(input<"x", 1, 1, 8, 8, 8>, kernel<3>, padding<margin>);
