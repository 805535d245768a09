// A network of two results; in the control, of one.
#pragma once

#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>

using namespace volute;
namespace nn = volute::nn;

struct net {
  nn::named<"a", nn::conv3d<1, 2, nn::kernel<3>, nn::same>> a;
  nn::named<"b", nn::conv3d<2, 2, nn::kernel<3>, nn::same>> b;
  constexpr auto operator()(expression auto x) const {
    const auto y = a(x);
#if defined(VOLUTE_CONTROL)
    return b(y);
#else
    return outputs(y, b(y));
#endif
  }
};
