// expect: top level
// expect: grid_sample: an option once
// expect: got option 3 again
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto last = border_padding;
#else
constexpr auto last = trilinear;
#endif

inline constexpr auto y = grid_sample(input<"x", 1, 2, 8, 8, 8>, input<"places", 1, 4, 4, 4, 3>, nearest, align_corners, last);
