// expect: top level
// expect: matmul wants batch (2)
// expect: got (4) in (4,3,5)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int batch = 2;
#else
constexpr int batch = 4;
#endif

inline constexpr auto y = matmul(input<"a", 2, 6, 3>, input<"b", batch, 3, 5>);
