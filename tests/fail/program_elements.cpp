// expect: top level
// expect-gcc: a tensor: at most 2^48 elements
// expect-clang: a tensor: at most 2^48
#include <volute/volute.hpp>
using namespace volute;

#if defined(VOLUTE_CONTROL)
constexpr std::int64_t extent = 1 << 4;
#else
constexpr std::int64_t extent = 1 << 22;
#endif

int main() { program<outputs(input<"x", extent, extent, extent>)> p; }
