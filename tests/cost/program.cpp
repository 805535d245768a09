// A training step of the Conv3D document's model, for check.py: forward, backward, update.
#include <volute/volute.hpp>

namespace nn = volute::nn;
using volute::input;

struct net : nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu,
                            nn::max_pool3d<2>, nn::flatten, nn::linear<16 * 4 * 4 * 4, 10>> {};
using trainer = volute::trainer<net, nn::cross_entropy<>, volute::adam, input<"image", 4, 1, 10, 10, 10>, input<"label", 4>>;

float step(trainer& t, const xt::xtensor<float, 5>& images, const xt::xtensor<float, 1>& labels) { return t.step(images, labels); }

#ifdef VOLUTE_PLANTED  // what a careless header adds: a class for each of 900 numbers
template <int N>
struct careless {
  static constexpr int value = careless<N - 1>::value + 1;
};
template <>
struct careless<0> {
  static constexpr int value = 0;
};
static_assert(careless<900>::value == 900);
#endif
