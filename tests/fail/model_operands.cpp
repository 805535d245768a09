// expect: layer join
// expect: an operator() of 2 tensors
// expect: got none that takes them
#include <volute/volute.hpp>

using namespace volute;

struct joined {
  nn::named<"fc", nn::linear<3, 2>> fc;
#if defined(VOLUTE_CONTROL)
  constexpr auto operator()(expression auto x, expression auto y) const { return fc(x + y); }
#else
  constexpr auto operator()(expression auto x) const { return fc(x); }
#endif
};
struct net {
  nn::named<"join", joined> join;
  constexpr auto operator()(expression auto x, expression auto y) const { return join(x, y); }
};
void use() {
  model<net, input<"x", 1, 3>, input<"y", 1, 3>> m;
  (void)m;
}
