// expect: sweeps: a volume (N,C,D,H,W)
// expect: got none
#include <volute/volumes/swept.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using in = decltype(input<"x", 1, 4, 16, 16, 16>);
#else
using in = decltype(input<"x", 1, 4>);
#endif

struct net {
  nn::named<"mix", nn::linear<4, 2>> mix;
  constexpr auto operator()(expression auto x) const {
    if constexpr (decltype(x)::shape().rank == 5)
      return mix(mean(x, axes<2, 3, 4>));
    else
      return mix(x);
  }
};
void use() {
  swept<net, std::remove_const_t<in>{}> t;
  (void)t;
}
