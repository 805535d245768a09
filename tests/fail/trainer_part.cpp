// expect: top level
// expect: a parameter under D
// expect: got none
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr text part = "G";
#else
constexpr text part = "D";
#endif

inline constexpr auto loss = nn::named<"G", nn::linear<2, 1>>{}(input<"x", 1, 2>);
trainer_of<outputs(loss), sgd, part> t;
