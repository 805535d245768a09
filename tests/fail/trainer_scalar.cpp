// expect: top level
// expect: gradient wants a scalar
// expect: got (4,3), no cotangent
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

inline constexpr auto y = nn::linear<2, 3>{}(input<"x", 4, 2>);
#if defined(VOLUTE_CONTROL)
inline constexpr auto loss = sum(y);
#else
inline constexpr auto loss = y;
#endif

int main() {
  trainer_of<outputs(loss), sgd> t;
  return static_cast<int>(t.step(input<"x", 4, 2> = std::vector<float>(8))) * 0;
}
