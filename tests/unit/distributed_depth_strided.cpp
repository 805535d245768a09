// Slabs of a volume through strides, transposed convolutions and checkpointed blocks, with a loss of sums over the volume.
#include "distributed_support.hpp"

#include <volute/distributed/data_parallel.hpp>
#include <volute/distributed/in_process.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <xtensor/xview.hpp>

using namespace volute;

namespace {

constexpr std::int64_t slabs = 3, depth = 24;

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::instance_norm3d<4, nn::affine<true>>, nn::relu,
                            nn::skip<nn::conv3d<4, 6, nn::kernel<3>, nn::stride<2>, nn::padding<1>>,
                                     nn::checkpoint<nn::conv3d<6, 6, nn::kernel<3>, nn::same>, nn::instance_norm3d<6>, nn::tanh>,
                                     nn::conv_transpose3d<6, 4, nn::kernel<2>, nn::stride<2>>>,
                            nn::conv3d<8, 3, nn::kernel<3>, nn::same>> {};
/// Also of every other voxel, as deep supervision asks for.
struct scales : nn::layer<scales> {
  static constexpr auto forward(expression auto scores, expression auto labels) {
    constexpr extents e = decltype(scores)::shape();
    return invoke<nn::dice<>>(scores, labels) +
           mean(square(interpolate(scores, output_size<e[2] / 2, e[3] / 2, e[4] / 2>, nearest_exact))) * 0.3_c;
  }
};
template <class Net, std::int64_t D>
using learner = basic_trainer<double, Net, scales, sgd, input<"x", 1, 1, D, 4, 4>, input<"y", 1, D, 4, 4>>;

template <class Trainer>
Trainer begin() {
  Trainer t(sgd{.lr = 0.2, .momentum = 0.9});
  t.initialize(4);
  return t;
}
using distributed_test::everything;

}  // namespace

TEST_CASE("strides, transposed convolutions, checkpoints and Dice over slabs") {
  using slab = learner<nn::depth_parallel<net>, depth / slabs>;
  xt::xtensor<double, 5> x({1, 1, depth, 4, 4});
  xt::xtensor<int, 4> y({1, depth, 4, 4});
  for (std::size_t k = 0; k < x.size(); ++k)
    x.data()[k] = std::sin(0.7 * static_cast<double>(k)), y.data()[k] = static_cast<int>(k * k % 3);
  learner<net, depth> one = begin<learner<net, depth>>();
  std::vector<double> losses;
  for (int s = 0; s < 3; ++s) losses.push_back(one.step(x, y));
  const std::vector<double> expected = everything(one);
  std::vector<double> first;
  for (int ranks : {1, 2, 5}) {  // of five, two have no slab
    std::vector<std::vector<double>> ends(static_cast<std::size_t>(ranks));
    distributed::in_process::run(ranks, [&](auto& world) {
      slab t = begin<slab>();
      distributed::data_parallel step(t, world, {.runs = slabs});
      double most = 0;
      for (double loss : losses)
        most = std::max(most, std::abs(loss - step.step([&](std::int64_t i, auto run) {
                          const auto planes = [&] { return xt::range(i * depth / slabs, (i + 1) * depth / slabs); };
                          run(xt::view(x, xt::all(), xt::all(), planes()), xt::view(y, xt::all(), planes()));
                        })));
      std::vector<double>& end = ends[static_cast<std::size_t>(world.rank())];
      end = everything(t);
      end.push_back(most);
    });
    for (const auto& end : ends) {
      REQUIRE(end.size() == expected.size() + 1);
      CHECK(end.back() < 1e-13);
      double most = 0;
      for (std::size_t k = 0; k < expected.size(); ++k) most = std::max(most, std::abs(end[k] - expected[k]));
      CHECK(most < 1e-11);
      if (first.empty()) first = end;
      CHECK(end == first);
    }
  }
}

TEST_CASE("planes leave when they are made, and what hides their way comes before they are wanted") {
  using plan = learner<nn::depth_parallel<net>, depth / slabs>::facts::plan;
  const auto kind = [](int i) { return plan::tables.kernels[plan::tables.launches[i].kernel].kind; };
  int hidden = 0, again = 0, exchanges = 0;
  for (const distributed::stop& s : distributed::stops_of<plan>()) {
    again += s.what == distributed::stop::kinds::planes_again;
    if (s.what != distributed::stop::kinds::planes_leave) continue;
    ++exchanges;
    CHECK(s.before <= s.launch);
    bool filter = false;
    for (int i = s.before; i < s.launch; ++i) filter = filter || kind(i) == graph::kernel_kind::conv_weights;
    hidden += filter && plan::tables.kernels[plan::tables.launches[s.launch].kernel].first;
  }
  // Four convolutions see neighbours; the derivative of each by its filter gets the same planes again, and those by three inputs (nobody
  // asks for that by the image) leave before the filter's derivative is made.
  CHECK(exchanges == 4 + 3);
  CHECK(again >= 4);
  CHECK(hidden == 3);
}
