// expect: top level
// expect: conv3d wants 8 channels
// expect: got 16 in (1,16,8,8,8)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 8;
#else
constexpr int channels = 16;
#endif

inline constexpr auto y = conv3d(input<"x", 1, channels, 8, 8, 8>, parameter<"w", 4, 8, 3, 3, 3>);
