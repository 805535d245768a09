// expect: top level
// expect: max_pool3d: padding < kernel
// expect-gcc: got padding 0 and 2, kernel (2,2,2)
// expect-clang: got padding 0 and 2, kernel
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int behind = 1;
#else
constexpr int behind = 2;
#endif

inline constexpr auto y = max_pool3d(input<"x", 1, 1, 4, 4, 4>, kernel<2>, padding<0, 0, 0, behind, 0, 0>);
