// expect: top level
// expect: conv3d wants 2 filter banks
// expect-gcc: got 3 in (3,6,4,3,3,3)
// expect-clang: got 3 in
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int batch = 2;
#else
constexpr int batch = 3;
#endif

inline constexpr auto y = conv3d(input<"x", 2, 4, 5, 5, 5>, demodulate(modulate(parameter<"w", 6, 4, 3, 3, 3>, input<"mod", batch, 4>)));
