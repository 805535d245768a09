// A loss at several scales.
#pragma once

#include <volute/language/interpolate.hpp>
#include <volute/nn/options.hpp>

namespace volute::nn {

/// The sum of Loss at each of several predictions (N, C, D, H, W), finest first, times its weight: 1, 1/2, 1/4, ... where none are given.
/// The network returns the predictions as a structure; the target, labels (N, D, H, W) or a tensor (N, C, D, H, W), is brought to the
/// size of each by its nearest voxels. (MONAI DeepSupervisionLoss with its defaults, but that its sixth weight and those after it are 1/16)
template <class Loss, auto... Weights>
struct deep_supervision : layer<deep_supervision<Loss, Weights...>> {
  template <structured P, expression T>
  static constexpr auto forward(P, T target) {
    using all = volute::detail::flat_type<P>;
    constexpr std::size_t n = std::tuple_size_v<all>;
    if constexpr (sizeof...(Weights) > 0 && sizeof...(Weights) != n) {
      constexpr line wanted = line("deep_supervision: ") << static_cast<int>(n) << " weights";
      constexpr line got = line("got ") << static_cast<int>(sizeof...(Weights));
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      return sum_of(all{}, target, std::make_index_sequence<n>{});
    }
  }

 private:
  static constexpr double weight(std::size_t i) {
    const double given[]{static_cast<double>(Weights)..., 0};
    double halved = 1;
    for (std::size_t k = 0; k < i; ++k) halved /= 2;
    return sizeof...(Weights) > 0 ? given[i] : halved;
  }
  template <class... P, class T, std::size_t... I>
  static constexpr auto sum_of(std::tuple<P...>, T target, std::index_sequence<I...>) {
    return (... + (invoke<Loss>(P{}, sized<P::shape()>(target)) * constant<weight(I)>));
  }
  template <extents E, class T>
  static constexpr auto sized(T target) {
    constexpr extents t = T::shape();
    if constexpr (E.rank != 5 || (t.rank != 4 && t.rank != 5)) {
      return target;
    } else if constexpr (t[t.rank - 3] == E[2] && t[t.rank - 2] == E[3] && t[t.rank - 1] == E[4]) {
      return target;
    } else if constexpr (t.rank == 5) {
      return volute::interpolate(target, volute::output_size<E[2], E[3], E[4]>, volute::nearest_exact);
    } else {
      return reshape(volute::interpolate(reshape(target, shape<t[0], 1, t[1], t[2], t[3]>), volute::output_size<E[2], E[3], E[4]>,
                                         volute::nearest_exact),
                     shape<t[0], E[2], E[3], E[4]>);
    }
  }
};

}  // namespace volute::nn
