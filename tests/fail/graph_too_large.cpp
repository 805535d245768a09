// expect: graph of at most 768 words
// expect: raise VOLUTE_GRAPH_WORDS
#if !defined(VOLUTE_CONTROL)
#define VOLUTE_GRAPH_WORDS 768
#endif
#include <volute/volute.hpp>

using namespace volute;

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>>, nn::relu, nn::flatten, nn::linear<32, 8>, nn::tanh, nn::linear<8, 2>> {};
constexpr auto x = input<"x", 2, 1, 4, 4, 4>;
constexpr auto loss = sum(square(net{}(x)));

void train(const float* volume) {
  program<outputs(loss, gradient(loss, parameters))> p;
  p.initialize(1);
  (void)volume;
}
