// expect: top level
// expect-gcc: max_pool3d: kernel < input + stride
// expect-clang: max_pool3d: kernel < input
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int width = 2;
#else
constexpr int width = 1;
#endif

inline constexpr auto y = max_pool3d(input<"x", 1, 1, 8, 8, width>, kernel<4>, stride<3>, ceil_mode);
