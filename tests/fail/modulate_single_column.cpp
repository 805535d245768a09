// expect: top level
// expect: modulate wants mod (N,4)
// expect: got (2,1)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int columns = 4;
#else
constexpr int columns = 1;
#endif

inline constexpr auto bank = modulate(parameter<"w", 6, 4, 3, 3, 3>, input<"mod", 2, columns>);
