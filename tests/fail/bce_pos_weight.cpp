// expect: top level
// expect: pos_weight that repeats to
// expect: (4,3,2,2,2)
// expect: got (3)
#include <volute/language/language.hpp>
using namespace volute;

inline constexpr auto logits = input<"logits", 4, 3, 2, 2, 2>;
inline constexpr auto weight = input<"weight", 3>;
#if defined(VOLUTE_CONTROL)
inline constexpr auto loss = bce_with_logits(logits, logits, per_channel(weight));
#else
inline constexpr auto loss = bce_with_logits(logits, logits, weight);
#endif
