// expect: top level
// expect: gather: an index like (2,4,3)
// expect: got (2,5,1)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int columns = 4;
#else
constexpr int columns = 5;
#endif

inline constexpr auto y = gather(input<"x", 2, 3, 4>, axis<1>, input<"index", 2, 1, columns>);
