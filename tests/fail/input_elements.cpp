// expect: top level
// expect-gcc: a tensor: at most 2^48 elements
// expect-clang: a tensor: at most 2^48
// expect-gcc: got (4194304,4194304,4194304)
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr std::int64_t extent = 1 << 16;
#else
constexpr std::int64_t extent = 1 << 22;
#endif

inline constexpr auto y = sum(input<"x", extent, extent, extent> * 2_c);
