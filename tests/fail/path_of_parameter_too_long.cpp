// expect: parameter path < 95 characters
// expect-gcc: got aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_...
// expect-clang: got
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

// They agree in their first 95 characters, as many as a line holds.
#if defined(VOLUTE_CONTROL)
constexpr auto a = parameter<"aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaa1", 3>;
constexpr auto b = parameter<"aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaa2", 3>;
#else
constexpr auto a = parameter<"aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaa1", 3>;
constexpr auto b = parameter<"aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaa2", 3>;
#endif

int main() {
  program<outputs(a - b)> p;
#if defined(VOLUTE_CONTROL)
  static_assert(decltype(p)::facts::graph.size.parameters == 2);
#endif
}
