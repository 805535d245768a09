// expect: layer attn
// expect: tiles: neighbourhoods along
// expect-gcc: depth
// expect: got attention between voxels
#include <volute/volumes/swept.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

struct of_all_voxels : nn::layer<of_all_voxels> {
  static constexpr text kind = "of_all_voxels";
  static constexpr auto forward(expression auto x) {
#if defined(VOLUTE_CONTROL)
    return x;
#else
    const auto t = transpose(reshape(x, shape<1, 4, 512>), axes<0, 2, 1>);
    return reshape(transpose(attention(t, t, t), axes<0, 2, 1>), shape<1, 4, 8, 8, 8>);
#endif
  }
};

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::instance_norm3d<4>, nn::named<"attn", of_all_voxels>,
                            nn::conv3d<4, 2, nn::kernel<1>>> {};
void use() {
  swept<net, input<"x", 1, 1, 8, 8, 8>> t;
  (void)t;
}
