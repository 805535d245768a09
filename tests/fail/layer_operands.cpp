// expect: layer act
// expect: an operator() of 2 tensors
// expect: got none that takes them
#include <volute/nn/nn.hpp>

using namespace volute;

struct net {
  nn::named<"act", nn::relu> act;
#if defined(VOLUTE_CONTROL)
  constexpr auto operator()(expression auto x, expression auto y) const { return act(x + y); }
#else
  constexpr auto operator()(expression auto x, expression auto y) const { return act(x, y); }
#endif
};
inline constexpr auto y = net{}(input<"x", 1, 3>, input<"y", 1, 3>);
