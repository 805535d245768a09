// expect: top level
// expect: dice: an option once
// expect: got option 3 again
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using loss = nn::dice<1e-5, nn::over_batch, nn::ignore_label<255>>;
#else
using loss = nn::dice<1e-5, nn::ignore_label<0>, nn::over_batch, nn::ignore_label<255>>;
#endif

inline constexpr auto y = loss{}(input<"x", 2, 4, 8, 8, 8>, input<"t", 2, 8, 8, 8>);
