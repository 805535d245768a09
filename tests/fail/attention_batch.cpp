// expect: top level
// expect: attention: keys for (2,4)
// expect: got (2,3,20,8)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int heads = 4;
#else
constexpr int heads = 3;
#endif

inline constexpr auto y = attention(input<"q", 2, 4, 10, 8>, input<"k", 2, heads, 20, 8>, input<"v", 2, 4, 20, 8>);
