// expect: dice wants smoothing >= 0
// expect: got less
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr double below = 1;
#else
constexpr double below = -1;
#endif
inline constexpr auto loss = dice(input<"scores", 2, 3, 4>, input<"labels", 2, 4>, denominator_smoothing<below>);
