// expect: top level
// expect: conv_transpose3d: 8 channels
// expect: got 4 in (1,4,5,5,5)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 8;
#else
constexpr int channels = 4;
#endif

inline constexpr auto y = conv_transpose3d(input<"x", 1, channels, 5, 5, 5>, parameter<"w", 8, 2, 3, 3, 3>);
