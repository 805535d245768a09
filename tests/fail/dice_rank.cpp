// expect: top level
// expect: dice: logits (N,C,D,...)
// expect: got (4,3)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto loss = dice(input<"logits", 4, 3, 2, 2, 2>, input<"labels", 4, 2, 2, 2>);
#else
inline constexpr auto loss = dice(input<"logits", 4, 3>, input<"labels", 4>);
#endif
