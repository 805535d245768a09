// Attention to channels.
#pragma once

#include <volute/nn/activation.hpp>
#include <volute/nn/convolution.hpp>

namespace volute::nn {

/// x * sigmoid(fc2(relu(fc1(mean of each channel)))): each channel of a sample is scaled by what all of them say. fc1 and fc2 are
/// convolutions with kernel 1, to C / Reduction channels and back. (Hu et al. 2018, https://arxiv.org/abs/1709.01507; paths as
/// torchvision.ops.SqueezeExcitation.)
template <std::int64_t C, std::int64_t Reduction>
struct squeeze_excitation : layer<squeeze_excitation<C, Reduction>> {
  static constexpr text kind = "squeeze_excitation";
  static constexpr std::int64_t squeezed = Reduction > 0 ? C / Reduction : 0;

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::inferred r = check(X::shape());
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      const auto few = volute::relu(invoke<named<"fc1", conv3d<C, squeezed, kernel<1>>>>(mean(x, axes<2, 3, 4>, keepdims)));
      return x * volute::sigmoid(invoke<named<"fc2", conv3d<squeezed, C, kernel<1>>>>(few));
    }
  }

 private:
  static constexpr ops::inferred check(const extents& x) {
    if (x.rank != 5) return ops::refuse(line("squeeze_excitation: rank 5"), line("got ") << x);
    if (x[1] != C) return ops::refuse(line("squeeze_excitation: ") << C << " channels", line("got ") << x[1] << " in " << x);
    if (squeezed < 1) return ops::refuse(line("squeeze_excitation: C / reduction"), line("got ") << C << " / " << Reduction);
    return {};
  }
};

}  // namespace volute::nn
