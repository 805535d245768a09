// expect: layer 1.both
// expect: sequential wants one result
// expect: got several
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

struct twice : nn::layer<twice> {
  constexpr auto operator()(expression auto x) const {
#if defined(VOLUTE_CONTROL)
    return x + x;
#else
    return std::tuple{x, x};
#endif
  }
};

using net = nn::sequential<nn::relu, nn::sequential<nn::named<"both", twice>, nn::relu>>;
inline constexpr auto y = net{}(input<"x", 1, 2, 2, 2, 2>);
