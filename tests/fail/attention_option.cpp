// expect: top level
// expect: attention has no such option
// expect: got option 2
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto option_given = attn_scale<0.5>;
#else
constexpr auto option_given = keepdims;
#endif

inline constexpr auto y = attention(input<"q", 10, 8>, input<"k", 20, 8>, input<"v", 20, 8>, causal, option_given);
