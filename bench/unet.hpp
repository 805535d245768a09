// The U-Net of the benchmarks: four levels with Base channels at the first, instance norm, leaky relu, transposed convolutions.
#pragma once

#include <volute/volute.hpp>

namespace unet {

using namespace volute;
using std::int64_t;

template <int64_t In, int64_t Out>
struct block : nn::sequential<nn::conv3d<In, Out, nn::kernel<3>, nn::padding<1>, nn::no_bias>, nn::instance_norm3d<Out, nn::affine<true>>,
                              nn::leaky_relu<>, nn::conv3d<Out, Out, nn::kernel<3>, nn::padding<1>, nn::no_bias>,
                              nn::instance_norm3d<Out, nn::affine<true>>, nn::leaky_relu<>> {};
template <int64_t In, int64_t Out>
using up = nn::conv_transpose3d<In, Out, nn::kernel<2>, nn::stride<2>>;

template <int64_t Base>
struct net {
  nn::named<"enc0", block<1, Base>> enc0;
  nn::named<"enc1", block<Base, 2 * Base>> enc1;
  nn::named<"enc2", block<2 * Base, 4 * Base>> enc2;
  nn::named<"bottom", block<4 * Base, 8 * Base>> bottom;
  nn::named<"up2", up<8 * Base, 4 * Base>> up2;
  nn::named<"dec2", block<8 * Base, 4 * Base>> dec2;
  nn::named<"up1", up<4 * Base, 2 * Base>> up1;
  nn::named<"dec1", block<4 * Base, 2 * Base>> dec1;
  nn::named<"up0", up<2 * Base, Base>> up0;
  nn::named<"dec0", block<2 * Base, Base>> dec0;
  nn::named<"head", nn::conv3d<Base, 2, nn::kernel<1>>> head;
  constexpr auto operator()(expression auto x) const {
    const auto down = nn::max_pool3d<2>{};
    const auto a = enc0(x);
    const auto b = enc1(down(a));
    const auto c = enc2(down(b));
    const auto d = bottom(down(c));
    const auto e = dec2(concat(axis<1>, c, up2(d)));
    const auto f = dec1(concat(axis<1>, b, up1(e)));
    return head(dec0(concat(axis<1>, a, up0(f))));
  }
};

}  // namespace unet
