// expect: top level
// expect: groups for (4,10)
// expect: got (4,20)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int keys = 10;
#else
constexpr int keys = 20;
#endif

inline constexpr auto y = attention(input<"q", 4, 10, 8>, input<"k", 4, keys, 8>, input<"v", 4, keys, 8>, attn_groups(input<"g", 4, keys>));
