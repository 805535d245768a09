// expect: top level
// expect: attention: an option once
// expect: got option 3 again
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto option_given = attn_bias(input<"b", 10, 20>);
#else
constexpr auto option_given = attn_mask(input<"m", 10, 20>);
#endif

inline constexpr auto y =
    attention(input<"q", 10, 8>, input<"k", 20, 8>, input<"v", 20, 8>, attn_mask(input<"n", 20>), attn_bias(input<"a", 20>), option_given);
