// expect: top level
// expect-gcc: a tensor: at most 2^48 elements
// expect-clang: a tensor: at most 2^48
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr std::int64_t scale = 1 << 4;
#else
constexpr std::int64_t scale = std::int64_t{1} << 40;
#endif

inline constexpr auto y = upsample(input<"x", 1, 1, 1 << 8, 1 << 8, 1 << 8>, scale_factor<scale>);
