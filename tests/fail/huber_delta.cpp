// expect: top level
// expect: huber wants delta > 0
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr double delta = 0.5;
#else
constexpr double delta = 0;
#endif

inline constexpr auto loss = huber<delta>(input<"prediction", 4, 3>, input<"target", 4, 3>);
