// expect: top level
// expect: pixel_shuffle: channels / 8
// expect: got 12 in (1,12,2,2,2)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int channels = 16;
#else
constexpr int channels = 12;
#endif

inline constexpr auto y = pixel_shuffle(input<"x", 1, channels, 2, 2, 2>, scale_factor<2>);
