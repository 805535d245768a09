// expect: top level
// expect: output_padding in 0..1
// expect-gcc: got (2,2,2), stride (2,2,2)
// expect-clang: got (2,2,2), stride (2,2,2)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr int margin = 1;
#else
constexpr int margin = 2;
#endif

inline constexpr auto y = conv_transpose3d(input<"x", 1, 8, 5, 5, 5>, parameter<"w", 8, 2, 3, 3, 3>, stride<2>, output_padding<margin>);
