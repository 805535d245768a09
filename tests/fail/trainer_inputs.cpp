// expect: top level
// expect: trainer wants inputs, then 2
// expect: got 2 in all
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
trainer<nn::linear<2, 3>, nn::cross_entropy<nn::class_weights>, sgd, input<"x", 4, 2>, input<"labels", 4>, input<"weights", 3>> t;
#else
trainer<nn::linear<2, 3>, nn::cross_entropy<nn::class_weights>, sgd, input<"x", 4, 2>, input<"labels", 4>> t;
#endif
