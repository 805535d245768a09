// The receptive field by formulas, and which networks are cut into tiles.
#include <volute/nn/nn.hpp>
#include <volute/volumes/growth.hpp>

using namespace volute;
namespace nn = volute::nn;

namespace {

constexpr auto cube = input<"x", 1, 4, 16, 16, 16>;
template <class Net>
constexpr volume_field field = receptive_field<Net, cube>;

// n convolutions of 3 see n voxels to either side; a stride multiplies what comes after it.
using three = nn::sequential<nn::conv3d<4, 4, nn::kernel<3>, nn::same>, nn::conv3d<4, 4, nn::kernel<3>, nn::same>,
                             nn::conv3d<4, 4, nn::kernel<3>, nn::same>>;
static_assert(field<three>.depth.low == 3 && field<three>.width.high == 3);
using down =
    nn::sequential<nn::conv3d<4, 4, nn::kernel<3>, nn::stride<2>, nn::padding<1>>, nn::conv3d<4, 4, nn::kernel<5>, nn::padding<2>>>;
static_assert(field<down>.height.low == 1 + 2 * 2 && field<down>.height.stride == ratio(2) && field<down>.height.phase == ratio(0));
using halves = nn::avg_pool3d<2>;
static_assert(field<halves>.depth.low == 0 && field<halves>.depth.high == 1 && field<halves>.depth.phase == ratio(1, 2));
using twice = nn::upsample<nn::scale<2>>;
static_assert(field<twice>.depth.low == 0 && field<twice>.depth.high == 0 && field<twice>.depth.stride == ratio(1, 2));
static_assert(field<twice>.depth.phase == ratio(-1, 4));
using linear_twice = nn::upsample<nn::scale<1, 2, 3>, nn::trilinear>;
static_assert(field<linear_twice>.depth.low == 0 && field<linear_twice>.depth.high == 0 && field<linear_twice>.depth.stride == ratio(1));
static_assert(field<linear_twice>.height.low == 1 && field<linear_twice>.height.high == 1 &&
              field<linear_twice>.width.stride == ratio(1, 3));
using there_and_back = nn::sequential<halves, twice>;
static_assert(field<there_and_back>.width.low == 1 && field<there_and_back>.width.high == 1 &&
              field<there_and_back>.width.phase == ratio(0));
using ahead = nn::conv3d<4, 4, nn::kernel<3>, nn::padding<0, 2, 0, 2, 0, 2>>;
static_assert(field<ahead>.depth.low == 0 && field<ahead>.depth.high == 2);
using grown = nn::conv_transpose3d<4, 4, nn::kernel<4>, nn::stride<2>, nn::padding<1>>;
static_assert(field<grown>.depth.low == 1 && field<grown>.depth.high == 1 && field<grown>.depth.stride == ratio(1, 2));

// What looks at everything says so, with its layer.
using corners = nn::sequential<nn::relu, nn::upsample<nn::scale<2>, nn::trilinear, nn::align_corners>>;
static_assert(field<corners>.depth.everything() && field<corners>.depth.where.view() == "1: a product of matrices over voxels");
using pooled = nn::sequential<nn::relu, nn::named<"pool", nn::adaptive_avg_pool3d<4>>>;
static_assert(field<pooled>.width.where.view() == "pool: pooling that adapts to the size");
using grouped = nn::sequential<nn::conv3d<4, 4, nn::kernel<3>, nn::same>, nn::group_norm<2, 4>>;
static_assert(field<grouped>.everything());
struct along_width : nn::layer<along_width> {
  static constexpr auto forward(expression auto x) { return x - mean(x, axes<4>, keepdims); }
};
static_assert(field<along_width>.depth.low == 0 && field<along_width>.height.low == 0 && field<along_width>.width.everything());
struct turned : nn::layer<turned> {
  static constexpr auto forward(expression auto x) { return x + transpose(x, axes<0, 1, 3, 2, 4>); }
};
static_assert(field<turned>.depth.everything() && field<turned>.height.everything() && field<turned>.width.low == 0);

// Several results and inputs.
constexpr auto mask = input<"mask", 1, 1, 16, 16, 16>;
constexpr auto y = avg_pool3d(cube, kernel<3>, padding<1>, stride<1>) * mask;
static_assert(receptive_field_of<outputs(y, cube + mask), 0, 0>.depth.low == 1);
static_assert(receptive_field_of<outputs(y, cube + mask), 0, 1>.depth.low == 0);
static_assert(receptive_field_of<outputs(y, cube + mask), 1, 0>.depth.high == 0);

// Which networks are cut.
template <class Net>
constexpr bool cut = !volumes::tile_facts<Net, std::remove_const_t<decltype(cube)>>::is_refused;
static_assert(cut<three> && cut<down> && cut<halves> && cut<twice> && cut<linear_twice> && cut<there_and_back> && cut<grown>);
static_assert(!cut<corners> && !cut<pooled> && !cut<grouped> && !cut<along_width> && !cut<turned>);
using likely = nn::sequential<nn::conv3d<4, 4, nn::kernel<1>>, nn::softmax<1>>;
static_assert(cut<likely>);
struct by_matrix : nn::layer<by_matrix> {  // a convolution of 1 as a product of matrices: over channels
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    return reshape(matmul(parameter<"w", 3, 4>, reshape(x, shape<1, 4, e[2] * e[3] * e[4]>)), shape<1, 3, e[2], e[3], e[4]>);
  }
};
static_assert(cut<by_matrix>);
struct attention : nn::layer<attention> {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    const auto rows = reshape(transpose(x, axes<0, 2, 3, 1, 4>), shape<e[2] * e[3], 4, e[4]>);
    return transpose(reshape(matmul(rows, matmul(transpose(rows, axes<0, 2, 1>), rows)), shape<1, e[2], e[3], 4, e[4]>),
                     axes<0, 3, 1, 2, 4>);
  }
};
static_assert(!cut<attention>);
struct ramp : nn::layer<ramp> {
  template <expression X>
  static constexpr auto forward(X x) {
    return x * (arange<X::shape()[4]> + 1_c);
  }
};
static_assert(!cut<ramp> &&
              volumes::tile_facts<ramp, std::remove_const_t<decltype(cube)>>::failure::got.view() == "got another value at each place");
using noisy = nn::sequential<nn::conv3d<4, 4, nn::kernel<3>, nn::same>, nn::noise_injection<4>>;  // a number for each voxel
static_assert(!cut<noisy> && field<noisy>.depth.low == 1);
struct patches : nn::layer<patches> {  // voxels in another order
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    return reshape(transpose(reshape(x, shape<1, 4, e[2] / 2, 2, e[3], e[4]>), axes<0, 1, 3, 2, 4, 5>), shape<1, 8, e[2] / 2, e[3], e[4]>);
  }
};
static_assert(!cut<patches>);

// What tiles can do.
using axis_of_three = volumes::tile_facts<three, std::remove_const_t<decltype(cube)>>;
static_assert(axis_of_three::axis[0].first == 3 && axis_of_three::axis[0].last == 13 && axis_of_three::axis[0].grid == 1);
static_assert(axis_of_three::axis[0].most_move() == 10 && axis_of_three::axis[0].fits(17) && !axis_of_three::axis[0].fits(15));
using axis_of_down = volumes::tile_facts<down, std::remove_const_t<decltype(cube)>>;
static_assert(axis_of_down::axis[2].grid == 2 && axis_of_down::axis[2].fits(18) && !axis_of_down::axis[2].fits(17));
static_assert(axis_of_down::axis[2].fitting(17) == 18 && axis_of_down::axis[2].whole_result(18) == 9);
static_assert(volumes::count_tiles(axis_of_three::axis[0], 16) == 1 && volumes::count_tiles(axis_of_three::axis[0], 17) == 2);

}  // namespace
