// expect: top level
// expect: weights with 2.weight (4,2)
// expect: got 2.weight (5,2)
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr int classes = 4;
#else
constexpr int classes = 5;
#endif
struct trained : nn::sequential<nn::linear<3, 2>, nn::relu, nn::linear<2, classes>> {};
struct net : nn::sequential<nn::linear<3, 2>, nn::relu, nn::linear<2, 4>> {};

int main() {
  model<trained, input<"x", 2, 3>> m;
  model<net, input<"x", 1, 3>> other(m.weights());
}
