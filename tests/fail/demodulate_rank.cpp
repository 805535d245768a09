// expect: top level
// expect: demodulate wants rank 6
// expect: got (6,4,3,3,3)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto w = input<"w", 1, 6, 4, 3, 3, 3>;
#else
inline constexpr auto w = input<"w", 6, 4, 3, 3, 3>;
#endif

inline constexpr auto bank = demodulate(w);
