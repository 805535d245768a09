// A volume cut along its depth: loss, gradients and updates of the slabs' training against those of one program of the whole volume, in
// double; and the same bits for any number of ranks.
#include "distributed_support.hpp"

#include <volute/distributed/data_parallel.hpp>
#include <volute/distributed/in_process.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <xtensor/xview.hpp>

using namespace volute;

namespace {

constexpr std::int64_t slabs = 4, depth = 32;

/// Convolutions with and without strides, dilation and overlap, pooling, both upsamplings, norms of each kind, a skip connection.
struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<5, 3, 3>, nn::padding<2, 1, 1>>, nn::batch_norm3d<4>, nn::tanh,
                            nn::skip<nn::max_pool3d<2>, nn::conv3d<4, 4, nn::kernel<3>, nn::dilation<2>, nn::padding<2>>,
                                     nn::group_norm<2, 4>, nn::leaky_relu<0.1>, nn::upsample<nn::scale<2>>>,
                            nn::conv3d<8, 3, nn::kernel<3, 1, 1>, nn::padding<1, 0, 0>>> {};

template <class Net, std::int64_t D>
using learner = basic_trainer<double, Net, nn::cross_entropy<>, sgd, input<"x", 2, 1, D, 6, 4>, input<"y", 2, D, 6, 4>>;

xt::xtensor<double, 5> image() {
  xt::xtensor<double, 5> x({2, 1, depth, 6, 4});
  for (std::size_t k = 0; k < x.size(); ++k) x.data()[k] = std::sin(0.37 * static_cast<double>(k)) + 0.01 * static_cast<double>(k % 97);
  return x;
}
xt::xtensor<int, 4> labels() {
  xt::xtensor<int, 4> y({2, depth, 6, 4});
  for (std::size_t k = 0; k < y.size(); ++k) y.data()[k] = static_cast<int>(k * k / 7 % 3);
  return y;
}
template <class Trainer>
Trainer begin() {
  Trainer t(sgd{.lr = 0.1, .momentum = 0.9});
  t.initialize(3);
  return t;
}
using distributed_test::everything;

}  // namespace

TEST_CASE("slabs of a volume train as the volume") {
  using whole = learner<net, depth>;
  using slab = learner<nn::depth_parallel<net>, depth / slabs>;
  const xt::xtensor<double, 5> x = image();
  const xt::xtensor<int, 4> y = labels();
  whole one = begin<whole>();
  std::vector<double> losses;
  for (int s = 0; s < 3; ++s) losses.push_back(one.step(x, y));
  const std::vector<double> expected = everything(one);

  std::vector<double> first;
  for (int ranks : {1, 2, 3, 4}) {
    std::vector<std::vector<double>> ends(static_cast<std::size_t>(ranks));
    distributed::in_process::run(ranks, [&](auto& world) {
      slab t = begin<slab>();
      distributed::data_parallel step(t, world, {.runs = slabs});
      std::vector<double>& end = ends[static_cast<std::size_t>(world.rank())];
      double most = 0;
      for (double loss : losses)
        most = std::max(most, std::abs(loss - step.step([&](std::int64_t i, auto run) {
                          const auto planes = [&] { return xt::range(i * depth / slabs, (i + 1) * depth / slabs); };
                          run(xt::view(x, xt::all(), xt::all(), planes()), xt::view(y, xt::all(), planes()));
                        })));
      end = everything(t);
      end.push_back(most);
    });
    for (const auto& end : ends) {
      REQUIRE(end.size() == expected.size() + 1);
      CHECK(end.back() < 1e-13);
      double most = 0;
      for (std::size_t k = 0; k < expected.size(); ++k) most = std::max(most, std::abs(end[k] - expected[k]));
      CHECK(most < 1e-11);  // the moments show the gradients
      if (first.empty()) first = end;
      CHECK(end == first);
    }
  }
}
