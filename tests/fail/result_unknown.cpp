// expect: top level
// expect: a result mask
// expect: got 2 without it
#include <volute/volute.hpp>
using namespace volute;

inline constexpr auto x = input<"x", 4>;
#if defined(VOLUTE_CONTROL)
inline constexpr auto y = named_result<"mask">(exp(x));
#else
inline constexpr auto y = exp(x);
#endif

inline float first() {
  program<outputs(x, y)> p;
  return p.result<"mask">()(0);
}
