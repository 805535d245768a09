// expect: top level
// expect: attention: 20 values
// expect: got 21 in (2,21,16)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int tokens = 20;
#else
constexpr int tokens = 21;
#endif

inline constexpr auto y = attention(input<"q", 2, 10, 8>, input<"k", 2, 20, 8>, input<"v", 2, tokens, 16>);
