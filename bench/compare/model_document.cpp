// The model of the document on the Conv3D layer, on BATCH volumes of 10^3 voxels.
#include "model.hpp"

namespace {

using namespace compare;
using namespace volute;

struct net : nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu,
                            nn::max_pool3d<2>, nn::flatten, nn::linear<16 * 4 * 4 * 4, 10>> {};

constexpr auto x = input<"x", BATCH, 1, 10, 10, 10>;
constexpr auto labels = input<"labels", BATCH>;
constexpr auto result = filtered(net{}(x));
constexpr auto loss = filtered(cross_entropy(result, labels));
using forward = program<outputs(result)>;
using step = program<outputs(loss, gradient(loss, parameters))>;

prepared_model prepare(bool trained) {
  const auto volumes = noise_for(0, x.shape().size());
  if (!trained) return prepare_program<forward>(training::none, {volumes});
  floats classes;
  for (int i = 0; i < BATCH; ++i) classes.push_back(static_cast<float>(i % 10));
  return prepare_program<step>(training::adam, {volumes, classes});
}

constexpr conv_geometry first{BATCH, 1, 8, 1, {10, 10, 10}, {10, 10, 10}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}};
constexpr conv_geometry second{BATCH, 8, 16, 1, {10, 10, 10}, {8, 8, 8}, {3, 3, 3}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}};
constexpr double flops = useful_flops(first) + useful_flops(second) + 2.0 * BATCH * 1024 * 10;
constexpr double bytes = 4.0 * static_cast<double>(forward::facts::parameters + x.shape().size() + result.shape().size());
const std::string batch = std::to_string(BATCH);
const bool entered =
    model_workloads(minimal)
        .emplace("1 " + batch, model_workload{"conv3d_document_b" + batch, "document " + batch, flops, bytes, "training step", prepare})
        .second;

}  // namespace
