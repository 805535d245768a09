// expect: layer 1
// expect: batch_norm3d wants values > 1
// expect-gcc: got one a channel in (1,2,1,1,1)
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

inline constexpr auto y = nn::sequential<nn::relu, nn::batch_norm3d<2>>{}(input<"x", 1, 2, 1, 1, 1>);
#if defined(VOLUTE_CONTROL)
inline constexpr auto result = inference(y);
#else
inline constexpr auto result = training(y);
#endif

int main() { program<outputs(result)> p; }
