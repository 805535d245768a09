// expect: top level
// expect: attention: 64 features of keys
// expect: got 32 in (2,20,32)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int features = 64;
#else
constexpr int features = 32;
#endif

inline constexpr auto y = attention(input<"q", 2, 10, 64>, input<"k", 2, 20, features>, input<"v", 2, 20, 16>);
