// expect: top level
// expect: cross_entropy: labels (4)
// expect: got (4,10)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto labels = input<"labels", 4>;
#else
inline constexpr auto labels = input<"labels", 4, 10>;
#endif

inline constexpr auto loss = cross_entropy(input<"logits", 4, 10>, labels);
