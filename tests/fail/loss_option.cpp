// expect: top level
// expect: cross_entropy has no such
// expect: got option 2
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using second = nn::ignore_label<-100>;
#else
using second = nn::pos_weight;
#endif

inline constexpr auto loss = nn::cross_entropy<nn::label_smoothing<0.1>, second>{}(input<"logits", 4, 10>, input<"labels", 4>);
