// Small networks of every kind that tiles must get right: strides, pools, odd and even kernels, dilation, transposed convolutions,
// upsampling, causal time, residuals, groups, borders.
#pragma once

#include <volute/nn/nn.hpp>

namespace volumes_networks {
using namespace volute;
namespace nn = volute::nn;

template <int In, int Out, int K = 3>
using conv = nn::conv3d<In, Out, nn::kernel<K>, nn::same>;
using act = nn::leaky_relu<0.1>;

// Plain convolutions: what is padded inside differs from what the input would be padded with.
using plain = nn::sequential<conv<1, 3>, act, conv<3, 3, 5>, act, nn::conv3d<3, 2, nn::kernel<1>>>;
using unpadded = nn::sequential<nn::conv3d<1, 3, nn::kernel<3>>, act, nn::conv3d<3, 2, nn::kernel<2, 3, 4>>>;
using dilated = nn::sequential<conv<1, 2>, nn::conv3d<2, 2, nn::kernel<3>, nn::dilation<2>, nn::padding<2>>, act,
                               nn::conv3d<2, 2, nn::kernel<3>, nn::dilation<1, 3, 2>, nn::same>>;
using one_sided = nn::sequential<nn::conv3d<1, 2, nn::kernel<3>, nn::padding<0, 2, 1, 1, 2, 0>>, act, conv<2, 2>>;
using causal_time = nn::sequential<nn::conv3d<1, 2, nn::kernel<3>, nn::causal>, act, nn::conv3d<2, 2, nn::kernel<2, 3, 3>, nn::causal>>;
using grouped = nn::sequential<conv<2, 4>, act, nn::conv3d<4, 4, nn::kernel<3>, nn::groups<4>, nn::padding<1>>,
                               nn::conv3d<4, 2, nn::kernel<1>, nn::groups<2>>>;
using residuals = nn::sequential<conv<1, 3>, nn::residual<conv<3, 3>, act, conv<3, 3>>, nn::residual<conv<3, 3>, nn::batch_norm3d<3>>>;

// Strides and what goes back up.
using strided = nn::sequential<nn::conv3d<1, 3, nn::kernel<3>, nn::stride<2>, nn::padding<1>>, act,
                               nn::conv3d<3, 2, nn::kernel<3>, nn::stride<1, 2, 1>, nn::padding<1>>>;
using pooled_up = nn::sequential<conv<1, 2>, nn::max_pool3d<2>, conv<2, 2>, nn::upsample<nn::scale<2>>, conv<2, 2>>;
using linear_up = nn::sequential<conv<1, 2>, nn::avg_pool3d<2>, conv<2, 2>, nn::upsample<nn::scale<2>, nn::trilinear>, conv<2, 2>>;
using super = nn::sequential<conv<1, 2>, act,
                             nn::conv_transpose3d<2, 2, nn::kernel<3>, nn::stride<2>, nn::padding<1>, nn::output_padding<1>>, conv<2, 1>>;
using windows =
    nn::sequential<nn::max_pool3d<3, nn::stride<1>, nn::padding<1>>, conv<1, 2>, nn::avg_pool3d<3, nn::stride<2>, nn::padding<1>>>;
using ceil_pools = nn::sequential<conv<1, 2>, nn::max_pool3d<2, nn::ceil_mode>, conv<2, 2>,
                                  nn::avg_pool3d<3, nn::stride<2>, nn::padding<1>, nn::ceil_mode>>;

// U-Nets.
template <class... L>
using level = nn::skip<L...>;
using unet_pools = nn::sequential<conv<1, 2>, act,
                                  level<nn::max_pool3d<2>, conv<2, 3>, act,
                                        level<nn::max_pool3d<2>, conv<3, 3>, act, nn::conv_transpose3d<3, 2, nn::kernel<2>, nn::stride<2>>>,
                                        conv<5, 3>, act, nn::conv_transpose3d<3, 2, nn::kernel<2>, nn::stride<2>>>,
                                  conv<4, 2>>;
using unet_strides = nn::sequential<
    conv<1, 2>, act,
    level<nn::conv3d<2, 3, nn::kernel<3>, nn::stride<2>, nn::padding<1>>, act, conv<3, 3>, nn::upsample<nn::scale<2>, nn::trilinear>>,
    conv<5, 2>>;
/// Deep supervision: a prediction at each level, all of them brought to the finest and added.
struct supervised : nn::layer<supervised> {
  static constexpr auto forward(expression auto x) {
    const auto fine = invoke<nn::named<"fine", nn::sequential<conv<1, 2>, act>>>(x);
    const auto coarse =
        invoke<nn::named<"coarse", nn::sequential<nn::conv3d<2, 3, nn::kernel<3>, nn::stride<2>, nn::padding<1>>, act>>>(fine);
    const auto up = invoke<nn::named<"up", nn::conv_transpose3d<3, 2, nn::kernel<2>, nn::stride<2>>>>(coarse);
    return invoke<nn::named<"head", conv<4, 2>>>(concat(axis<1>, up, fine)) +
           upsample(invoke<nn::named<"coarse head", nn::conv3d<3, 2, nn::kernel<1>>>>(coarse), scale_factor<2>, trilinear);
  }
};
// As many channels as minimal filtering wants.
using minimal = nn::minimal_filtering<conv<1, 16>, act, conv<16, 16>, act, conv<16, 2>>;

/// Mirrored and repeated borders, written in the language.
struct bordered : nn::layer<bordered> {
  static constexpr auto forward(expression auto x) {
    const auto y = invoke<nn::named<"first", nn::conv3d<1, 2, nn::kernel<3>>>>(reflect_pad3d(x, padding<1>));
    return invoke<nn::named<"second", nn::conv3d<2, 2, nn::kernel<3>>>>(replicate_pad3d(y, padding<1>));
  }
};
/// Voxels that are cut off and zeros that are put on.
struct cropped : nn::layer<cropped> {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    const auto y = invoke<nn::named<"conv", conv<1, 2>>>(x);
    const auto inner = slice(slice(y, axis<2>, range<2, e[2] - 1>), axis<4>, range<0, e[4] - 3>);
    return invoke<nn::named<"last", conv<2, 1>>>(zero_pad3d(inner, padding<2, 1, 0, 0, 0, 0>));
  }
};

}  // namespace volumes_networks
