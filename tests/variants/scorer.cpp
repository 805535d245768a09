#include "scorer.hpp"

#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

namespace nn = volute::nn;

struct net
    : nn::sequential<nn::conv3d<1, 5, nn::kernel<3>, nn::padding<1>>, nn::silu, nn::max_pool3d<2>, nn::flatten, nn::linear<5 * 8, 4>> {};

struct scorer::network : volute::model<net, volute::input<"volume", 1, 1, 5, 5, 5>> {};

scorer::scorer(const std::string& weights) : network_(std::make_unique<network>()) {
  if (!weights.empty()) network_->load(weights);
}
scorer::~scorer() = default;

void scorer::operator()(std::span<const float, 125> volume, std::span<float, 4> scores) noexcept {
  const float* const inputs[]{volume.data()};
  network_->run(inputs, scores.data());
}
void scorer::save(const std::string& weights) const { network_->save(weights); }

static const std::string remembered = std::string("compiled for ") + volute::isa_name;

const char* scorer_isa() { return volute::isa_name; }
const std::string& scorer_remembers() { return remembered; }
