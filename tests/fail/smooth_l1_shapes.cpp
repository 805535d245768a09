// expect: layer head
// expect: smooth_l1 wants equal shapes
// expect: got (4,3) and (3,4)
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
inline constexpr auto target = input<"target", 4, 3>;
#else
inline constexpr auto target = input<"target", 3, 4>;
#endif

inline constexpr auto loss = nn::named<"head", nn::smooth_l1<0.5>>{}(input<"prediction", 4, 3>, target);
