// Networks, data and comparisons of the tests of distributed training, on threads (unit) and on processes (mpi).
#pragma once

#include <volute/distributed/data_parallel.hpp>
#include <volute/volute.hpp>

#include <cmath>
#include <cstring>
#include <vector>

namespace ranks {

using namespace volute;

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::batch_norm3d<4>, nn::relu, nn::dropout<0.25>, nn::flatten,
                            nn::linear<4 * 3 * 3 * 3, 3>> {};
/// Without states, so that a trainer alone does the same.
struct plain : nn::sequential<nn::linear<27, 40>, nn::tanh, nn::dropout<0.25>, nn::linear<40, 3>> {};

constexpr auto image = input<"image", 1, 1, 3, 3, 3>;
constexpr auto label = input<"label", 1>;
constexpr auto row = input<"row", 1, 27>;
using net_trainer = trainer<net, nn::cross_entropy<>, adamw, image, label>;
using sync_trainer = trainer<nn::convert_sync_batchnorm<net>, nn::cross_entropy<>, adamw, image, label>;
/// A quarter of a volume.
struct local : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::instance_norm3d<4>, nn::relu, nn::dropout<0.25>,
                              nn::conv3d<4, 3, nn::kernel<3>, nn::same>> {};
using slab_trainer =
    trainer<nn::depth_parallel<local>, nn::cross_entropy<>, adamw, input<"image", 1, 1, 4, 5, 6>, input<"label", 1, 4, 5, 6>>;
using plain_trainer = trainer<plain, nn::cross_entropy<>, adamw, row, label>;

inline training_settings settings() {
  return {.schedule = schedule::warm_up{3, schedule::cosine{1e-2, 20}},
          .clip_norm = 0.5,
          .ema_decay = 0.9,
          .groups = {{.where = biases_and_norms, .weight_decay = 0}}};
}
/// Sample number n of an endless data set.
template <class Tensor>
Tensor voxels(std::int64_t n, const typename Tensor::shape_type& shape) {
  Tensor v(shape);
  for (std::size_t k = 0; k < v.size(); ++k)
    v.data()[k] = std::sin(static_cast<float>(n * 27 + static_cast<std::int64_t>(k)) * 1.7f) + static_cast<float>(n % 3) * 0.3f;
  return v;
}
inline xt::xtensor<int, 1> number(std::int64_t n) { return {static_cast<int>(n % 3)}; }

template <class Trainer>
Trainer begin() {
  Trainer t(adamw{.lr = 1e-2}, settings());
  t.initialize(5);
  t.seed(9);
  return t;
}
template <class Step>
auto take(Step& step, std::int64_t s) {
  return step.step([&](std::int64_t i, auto run) {
    const std::int64_t n = s * step.settings().runs + i;
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(step.trainer())>, plain_trainer>)
      run(voxels<xt::xtensor<float, 2>>(n, {1, 27}), number(n));
    else if constexpr (std::is_same_v<std::remove_cvref_t<decltype(step.trainer())>, slab_trainer>)
      run(voxels<xt::xtensor<float, 5>>(n, {1, 1, 4, 5, 6}), xt::xtensor<int, 4>({1, 4, 5, 6}, static_cast<int>(n % 3)));
    else
      run(voxels<xt::xtensor<float, 5>>(n, {1, 1, 3, 3, 3}), number(n));
  });
}
/// All that a training is, as numbers.
template <class Trainer>
std::vector<float> everything(Trainer& t) {
  std::vector<float> all;
  for (const auto& p : t.parameter_table()) all.insert(all.end(), p.data, p.data + p.shape.size());
  for (const auto& b : t.state_blocks()) all.insert(all.end(), b.values.begin(), b.values.end());
  all.push_back(static_cast<float>(t.progress.steps)), all.push_back(static_cast<float>(t.random().run));
  all.push_back(static_cast<float>(t.gradient_norm()));
  return all;
}
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace ranks
