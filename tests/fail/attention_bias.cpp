// expect: top level
// expect: a bias for (2,4,10,20)
// expect: got (4,20,10)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr auto bias = input<"b", 4, 10, 20>;
#else
constexpr auto bias = input<"b", 4, 20, 10>;
#endif

inline constexpr auto y = attention(input<"q", 2, 4, 10, 8>, input<"k", 2, 4, 20, 8>, input<"v", 2, 4, 20, 8>, attn_bias(bias));
