// expect: top level
// expect: demodulate wants eps > 0
// expect: got eps <= 0
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr double eps = 1e-6;
#else
constexpr double eps = 0;
#endif

inline constexpr auto bank = demodulate<eps>(modulate(parameter<"w", 6, 4, 3, 3, 3>, input<"mod", 2, 4>));
