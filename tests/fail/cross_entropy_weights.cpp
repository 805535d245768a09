// expect: top level
// expect: cross_entropy: weights (10)
// expect: got (4)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int weights = 10;
#else
constexpr int weights = 4;
#endif

inline constexpr auto loss = cross_entropy(input<"logits", 4, 10>, input<"labels", 4>, input<"weights", weights>, label_smoothing<0.1>);
