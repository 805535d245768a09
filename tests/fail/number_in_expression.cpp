// expect: top level
// expect: a number is part of the type
// expect: write 2_c or constant<2>
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
inline constexpr auto two = 2_c;
#else
inline constexpr double two = 2;
#endif

inline constexpr auto y = input<"x", 2, 3> * two;
