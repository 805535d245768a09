// expect: graph of at most 1024 words
// expect: raise VOLUTE_GRAPH_WORDS
#if !defined(VOLUTE_CONTROL)
#define VOLUTE_GRAPH_WORDS 1024
#endif
#include <volute/volute.hpp>

using namespace volute;

struct tall {
  static constexpr auto forward(expression auto v) { return sin(cos(tanh(sin(cos(tanh(sin(cos(v)))))))); }
};
using five = nn::sequential<tall, tall, tall, tall, tall>;
using all = nn::sequential<five, five, five, five>;

float run(const float* const* in, float* const* out) {
  program<outputs(all{}(input<"x", 2>))> p;
  p.run(in, out);
  return *out[0];
}
