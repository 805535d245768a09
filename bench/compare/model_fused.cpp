// A convolution of 64 channels on 32^3, alone (FUSED=0) or with bias, residual addition and activation in its registers (FUSED=1).
#include "model.hpp"

namespace {

using namespace compare;
using namespace volute;

constexpr auto x = input<"x", 1, 64, 32, 32, 32>;
constexpr auto r = input<"r", 1, 64, 32, 32, 32>;
constexpr auto w = parameter<"w", 64, 64, 3, 3, 3>;
constexpr auto b = parameter<"b", 64>;
constexpr auto result = [] {
  if constexpr (FUSED)
    return filtered(relu(conv3d(x, w, b, volute::padding<1>) + r));
  else
    return filtered(conv3d(x, w, volute::padding<1>));
}();
using forward = program<outputs(result)>;

prepared_model prepare(bool) {
  std::vector<floats> inputs{noise_for(0, x.shape().size())};
  if (FUSED) inputs.push_back(noise_for(1, r.shape().size()));
  return prepare_program<forward>(compare::training::none, std::move(inputs));
}

constexpr double flops = useful_flops({1, 64, 64, 1, {32, 32, 32}, {32, 32, 32}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}});
constexpr double bytes = 4.0 * static_cast<double>(forward::facts::parameters + (2 + FUSED) * x.shape().size());
const bool entered = model_workloads(minimal)
                         .emplace(FUSED ? "5 fused" : "5 bare",
                                  model_workload{FUSED ? "conv_64_32c+bias+residual+relu" : "conv_64_32c", FUSED ? "fused 1" : "fused 0",
                                                 flops, bytes, nullptr, prepare})
                         .second;

}  // namespace
