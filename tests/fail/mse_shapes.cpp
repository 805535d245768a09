// expect: top level
// expect: mse wants equal shapes
// expect: got (4,3) and (4,1)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int columns = 3;
#else
constexpr int columns = 1;
#endif

inline constexpr auto loss = mse(input<"prediction", 4, 3>, input<"target", 4, columns>);
