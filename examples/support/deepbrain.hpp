// The network of PyPI's deepbrain 0.1 (Ivan Itzcovich, MIT licence): a 3D U-Net that finds the brain in an MRI of a head. Its weights are
// fetched and decoded by examples/deepbrain.py, under the names that they have in its graph.
#pragma once

#include <volute/volute.hpp>

namespace example {

namespace nn = volute::nn;

template <volute::text Name, int In, int Out>
using conv = nn::named<Name, nn::conv3d<In, Out, nn::kernel<3>, nn::same>>;
/// TensorFlow's SAME for the adjoint of a convolution with stride 2: twice the extent, what is too much cut off behind.
template <volute::text Name, int In, int Out>
using up = nn::named<Name, nn::conv_transpose3d<In, Out, nn::kernel<3>, nn::stride<2>, nn::padding<0, 1, 0, 1, 0, 1>, nn::no_bias>>;

/// Logits of the brain, voxel by voxel, of a volume that has been divided by its largest value.
struct deepbrain {
  conv<"conv3d", 1, 8> c0;
  conv<"conv3d_1", 8, 8> c1;
  conv<"conv3d_2", 8, 16> c2;
  conv<"conv3d_3", 16, 16> c3;
  conv<"conv3d_4", 16, 32> c4;
  conv<"conv3d_5", 32, 32> c5;
  up<"conv3d_transpose", 32, 32> t0;
  conv<"conv3d_6", 64, 32> c6;
  up<"conv3d_transpose_1", 32, 16> t1;
  conv<"conv3d_7", 32, 16> c7;
  up<"conv3d_transpose_2", 16, 8> t2;
  conv<"conv3d_8", 16, 8> c8;
  nn::named<"conv3d_9", nn::conv3d<8, 1, nn::kernel<1>>> c9;

  constexpr auto operator()(volute::expression auto x) const {
    using volute::concat, volute::axis;
    const auto half = nn::max_pool3d<2>{};
    const auto a = relu(c1(relu(c0(x))));
    const auto b = relu(c3(relu(c2(half(a)))));
    const auto c = relu(c5(relu(c4(half(b)))));
    const auto d = relu(c6(concat(axis<1>, t0(half(c)), c)));
    const auto e = relu(c7(concat(axis<1>, t1(d), b)));
    return c9(relu(c8(concat(axis<1>, t2(e), a))));
  }
};

}  // namespace example
