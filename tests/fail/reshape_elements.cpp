// expect: top level
// expect: reshape wants 16 elements
#include <volute/language/language.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr std::int64_t extent = 1;
#else
constexpr std::int64_t extent = std::int64_t{1} << 62;
#endif

inline constexpr auto y = reshape(input<"x", 16>, shape<extent, 4, 4>);
