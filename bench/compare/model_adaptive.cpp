// A layer of adaptive_conv3d_mod on a feature map of SHAPE (batch, channels, time, height, width).
#include "model.hpp"

namespace {

using namespace compare;
using namespace volute;

constexpr auto fmap = input<"fmap", SHAPE>;
constexpr auto n = fmap.shape();
constexpr auto mod = input<"mod", n[0], n[1]>;
constexpr auto result = filtered(nn::adaptive_conv3d_mod<n[1]>{}(fmap, mod));
constexpr auto loss = filtered(mean(square(result)));
using forward = program<outputs(result)>;
using backward = program<outputs(loss, gradient(loss, fmap), gradient(loss, mod), gradient(loss, parameters))>;

prepared_model prepare(bool trained) {
  std::vector<floats> inputs{noise_for(0, fmap.shape().size()), noise_for(1, mod.shape().size())};
  if (!trained) return prepare_program<forward>(training::none, std::move(inputs));
  return prepare_program<backward>(training::gradients, std::move(inputs));
}

constexpr conv_geometry geometry{n[0], n[1], n[1], 1, {n[2], n[3], n[4]}, {n[2], n[3], n[4]}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}};
constexpr double bytes = 4.0 * static_cast<double>(forward::facts::parameters + 2 * fmap.shape().size() + mod.shape().size());

std::string numbers(const char* between) {
  std::string s;
  for (int a = 0; a < 5; ++a) s.append(a > 0 ? between : "").append(std::to_string(n[a]));
  return s;
}
const bool entered = model_workloads(minimal)
                         .emplace("2 " + std::to_string(100000 - n[1]) + numbers(" "),
                                  model_workload{"adaptive_conv3d_mod(" + numbers(",") + ")", "adaptive " + numbers(" "),
                                                 useful_flops(geometry), bytes, "forward+backward", prepare})
                         .second;

}  // namespace
