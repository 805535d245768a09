// expect: top level
// expect: label_smoothing in 0..1
// expect: got 1.5
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr double smoothing = 1;
#else
constexpr double smoothing = 1.5;
#endif

inline constexpr auto loss = cross_entropy(input<"logits", 4, 3>, input<"labels", 4>, label_smoothing<smoothing>);
