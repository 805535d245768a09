// expect: top level
// expect: a parameter under H
// expect: got none
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr text part = "G.bias";
#else
constexpr text part = "H";
#endif

inline constexpr auto loss = nn::named<"G", nn::linear<2, 1>>{}(input<"x", 1, 2>);
trainer_of<outputs(loss), sgd, "G.weight", part> t;
