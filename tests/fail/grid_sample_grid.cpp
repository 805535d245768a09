// expect: top level
// expect: grid_sample: a grid (2,D,H,W,3)
// expect: got (2,4,4,4,2)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int coordinates = 3;
#else
constexpr int coordinates = 2;
#endif

inline constexpr auto y = grid_sample(input<"x", 2, 1, 4, 4, 4>, input<"grid", 2, 4, 4, 4, coordinates>);
