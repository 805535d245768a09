// expect: top level
// expect: a mask for (4,10,20)
// expect: got (3,1,20)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto mask = input<"m", 4, 1, 20>;
#else
constexpr auto mask = input<"m", 3, 1, 20>;
#endif

inline constexpr auto y = attention(input<"q", 4, 10, 8>, input<"k", 4, 20, 8>, input<"v", 4, 20, 8>, attn_mask(mask), causal);
