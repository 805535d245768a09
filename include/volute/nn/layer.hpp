// What layers are made of, and how they are put together. A layer is a stateless type with `forward`: a function from expressions to an
// expression, which may name parameters relative to the layer. Applying it makes one node (language/call.hpp). `kind` is its name in
// reports, `label` its part of the path.
#pragma once

#include <volute/language/language.hpp>

namespace volute::nn {

/// Makes a layer callable: `relu{}(x)`. (Its body is `forward`, so that this operator is none.)
template <class L>
struct layer {
  template <structured... X>
  requires(!detail::asks_for_body<L, X...>)
  constexpr auto operator()(X... x) const {
    return invoke<L>(x...);
  }
};

/// A part of a module with a name of its own in the path: nn::named<"conv1", nn::conv3d<8, 8, nn::kernel<3>>> conv1;
template <text Name, class L>
struct named : layer<named<Name, L>> {
  static constexpr text label = Name;
  template <structured... X>
  static constexpr auto forward(X... x) {
    return invoke<L>(x...);
  }
};

/// As `named`, but it may be applied several times: every application uses the same parameters.
template <text Name, class L>
struct shared : layer<shared<Name, L>> {
  static constexpr text label = Name;
  static constexpr bool shares_parameters = true;
  template <structured... X>
  static constexpr auto forward(X... x) {
    return invoke<L>(x...);
  }
};

/// Layers in a row; the path numbers them from 0, as torch.nn.Sequential, but a named one stands under its name. Derive from it to give a
/// model a short name: struct net : nn::sequential<...> {};
template <class... L>
struct sequential : layer<sequential<L...>> {
  using modules = sequence<L...>;
};

/// x + L(...(x)): the layers in a row around which the input is carried. Paths as in sequential.
template <class... L>
struct residual : layer<residual<L...>> {
  template <expression X>
  static constexpr auto forward(X x) {
    const auto y = invoke<sequential<L...>>(x);
    if constexpr (is_failed<std::remove_const_t<decltype(y)>>) {
      return y;
    } else if constexpr (!(y.shape() == X::shape())) {
      constexpr line wanted = line("residual wants ") << X::shape();
      constexpr line got = line("got ") << y.shape();
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      return x + y;
    }
  }
};

/// The input, and behind it along the channels what the layers in a row make of it: a level of a U-Net. Paths as in sequential.
template <class... L>
struct skip : layer<skip<L...>> {
  static constexpr auto forward(expression auto x) { return concat(axis<1>, x, invoke<sequential<L...>>(x)); }
};

/// The layers in a row, computed again in the backward pass: only their input and result are kept, and what a derivative reads of their
/// inside is made anew when it is needed. Costs a forward pass of theirs, saves their memory; results have the same bits. Paths as in
/// sequential; those of a single layer as without the checkpoint. (Chen et al. 2016, https://arxiv.org/abs/1604.06174;
/// torch.utils.checkpoint.)
template <class... L>
struct checkpoint : layer<checkpoint<L...>> {
  static constexpr bool recomputes = true;
  template <expression X>
  static constexpr auto forward(X x) {
    if constexpr (sizeof...(L) == 1)
      return invoke<L...>(x);
    else
      return invoke<sequential<L...>>(x);
  }
};

/// The layers in a row with their convolutions, forward and backward, computed by minimal filtering where that pays: see
/// volute::minimal_filtering. Paths as in sequential; those of a single layer as without it. `model<nn::minimal_filtering<net>, x> m;`
template <class... L>
struct minimal_filtering : layer<minimal_filtering<L...>> {
  template <expression X>
  static constexpr auto forward(X x) {
    if constexpr (sizeof...(L) == 1)
      return volute::minimal_filtering(invoke<L...>(x));
    else
      return volute::minimal_filtering(invoke<sequential<L...>>(x));
  }
};

/// The layers in a row with synchronised batch norms: see volute::convert_sync_batchnorm. Paths as in sequential; those of a single layer
/// as without it. `trainer<nn::convert_sync_batchnorm<net>, ...>`
template <class... L>
struct convert_sync_batchnorm : layer<convert_sync_batchnorm<L...>> {
  template <expression X>
  static constexpr auto forward(X x) {
    if constexpr (sizeof...(L) == 1)
      return volute::convert_sync_batchnorm(invoke<L...>(x));
    else
      return volute::convert_sync_batchnorm(invoke<sequential<L...>>(x));
  }
};

/// The layers in a row on slabs of a volume: see volute::depth_parallel. Paths as in sequential; those of a single layer as without it.
/// `trainer<nn::depth_parallel<net>, ...>`
template <class... L>
struct depth_parallel : layer<depth_parallel<L...>> {
  template <expression X>
  static constexpr auto forward(X x) {
    if constexpr (sizeof...(L) == 1)
      return volute::depth_parallel(invoke<L...>(x));
    else
      return volute::depth_parallel(invoke<sequential<L...>>(x));
  }
};

/// The input itself.
struct identity : layer<identity> {
  static constexpr auto forward(expression auto x) { return x; }
};

/// (N, a, b, ...) -> (N, a * b * ...).
struct flatten : layer<flatten> {
  static constexpr auto forward(expression auto x) { return volute::flatten(x); }
};

}  // namespace volute::nn
