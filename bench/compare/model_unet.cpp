// A 3D U-Net of four levels with BASE channels at the first, on a volume of 64^3: instance norm, leaky relu, transposed convolutions.
#include "model.hpp"

#include "../unet.hpp"

namespace {

using namespace compare;
using namespace volute;

using net = unet::net<BASE>;

constexpr auto x = input<"x", 1, 1, 64, 64, 64>;
constexpr auto labels = input<"labels", 1, 64, 64, 64>;
constexpr auto result = filtered(invoke<net>(x));
constexpr auto loss = filtered(cross_entropy(invoke<net>(x), labels));
using forward = program<outputs(result)>;
using step = program<outputs(loss, gradient(loss, parameters))>;

prepared_model prepare(bool trained) {
  const auto volume = noise_for(0, x.shape().size());
  if (!trained) return prepare_program<forward>(training::none, {volume});
  floats classes;
  for (int64_t i = 0; i < labels.shape().size(); ++i) classes.push_back(static_cast<float>(i % 2));
  return prepare_program<step>(training::adam, {volume, classes});
}

constexpr conv_geometry convolution(int64_t in, int64_t out, int64_t n) {
  return {1, in, out, 1, {n, n, n}, {n, n, n}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}};
}
constexpr double flops = [] {
  double f = useful_flops(convolution(1, BASE, 64)) - useful_flops(convolution(BASE, BASE, 64)) + 2.0 * BASE * 2 * 64 * 64 * 64;
  for (int64_t c = BASE, n = 64; n >= 8; c *= 2, n /= 2) {
    f += 2 * useful_flops(convolution(c, c, n));
    if (n > 8) f += useful_flops(convolution(c, 2 * c, n / 2)) - useful_flops(convolution(2 * c, 2 * c, n / 2));  // into the level below
    if (n > 8) f += useful_flops(convolution(2 * c, c, n)) + useful_flops(convolution(c, c, n));                  // decoder
    if (n > 8) f += 2.0 * static_cast<double>(2 * c * c * n * n * n);                                             // transposed
  }
  return f;
}();
constexpr double bytes = 4.0 * static_cast<double>(forward::facts::parameters + x.shape().size() + result.shape().size());
const std::string base = std::to_string(BASE);
[[maybe_unused]] const bool entered = model_workloads(minimal)
                                          .emplace("3 " + std::to_string(1000 + BASE),
                                                   model_workload{"unet3d_" + base, "unet " + base, flops, bytes, "training step", prepare})
                                          .second;

}  // namespace
