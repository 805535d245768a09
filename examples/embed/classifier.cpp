// The one file that includes the library.
#include "classifier.hpp"

#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

namespace nn = volute::nn;

struct net : nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu,
                            nn::max_pool3d<2>, nn::flatten, nn::linear<16 * 4 * 4 * 4, 10>> {};

struct classifier::network : volute::model<net, volute::input<"volume", 1, 1, 10, 10, 10>> {
  static_assert(output_shape() == volute::shape<1, classes>);
};

classifier::classifier(const std::string& weights) : network_(std::make_unique<network>()) {
  if (!weights.empty()) network_->load(weights);
}
classifier::~classifier() = default;

void classifier::operator()(std::span<const float, voxels> volume, std::span<float, classes> scores) noexcept {
  const float* const inputs[]{volume.data()};
  network_->run(inputs, scores.data());
}
