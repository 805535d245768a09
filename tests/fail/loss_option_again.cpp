// expect: top level
// expect: cross_entropy: an option once
// expect: got option 3 again
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto y = cross_entropy(input<"x", 2, 4, 8, 8, 8>, input<"t", 2, 8, 8, 8>, ignore_label<0>, label_smoothing<0.1>);
#else
inline constexpr auto y = cross_entropy(input<"x", 2, 4, 8, 8, 8>, input<"t", 2, 8, 8, 8>, ignore_label<0>, label_smoothing<0.1>, ignore_label<255>);
#endif
