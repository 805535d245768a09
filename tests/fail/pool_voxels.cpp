// expect: top level
// expect: max_pool3d wants voxels
// expect: got (1,2,0,4,4)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto x = input<"x", 0, 2, 1, 4, 4>;  // an empty batch is well
#else
constexpr auto x = input<"x", 1, 2, 0, 4, 4>;
#endif

inline constexpr auto y = max_pool3d(x, kernel<1, 2, 2>);
