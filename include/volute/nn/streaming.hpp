// Causal models over time in chunks: what a causal convolution needs of the frames before a chunk is kept in a state, so that the chunks'
// results, one behind the other, are those of the whole.
#pragma once

#include <volute/nn/activation.hpp>
#include <volute/nn/convolution.hpp>
#include <volute/nn/dropout.hpp>
#include <volute/nn/upsample.hpp>

namespace volute::nn {

/// Whether a layer makes each frame of (N, C, T, H, W) of the same frame of its input alone. Say it of a layer of your own:
/// template <> inline constexpr bool volute::nn::framewise<my_layer> = true;
template <class L>
inline constexpr bool framewise = false;
// clang-format off
template <> inline constexpr bool framewise<relu> = true;
template <auto S> inline constexpr bool framewise<leaky_relu<S>> = true;
template <auto A> inline constexpr bool framewise<elu<A>> = true;
template <> inline constexpr bool framewise<gelu> = true;
template <> inline constexpr bool framewise<silu> = true;
template <> inline constexpr bool framewise<sigmoid> = true;
template <> inline constexpr bool framewise<tanh> = true;
template <> inline constexpr bool framewise<softplus> = true;
template <> inline constexpr bool framewise<gelu_tanh> = true;
template <std::int64_t N, auto I> inline constexpr bool framewise<prelu<N, I>> = true;
template <auto L, auto H> inline constexpr bool framewise<hardtanh<L, H>> = true;
template <> inline constexpr bool framewise<relu6> = true;
template <> inline constexpr bool framewise<hardsigmoid> = true;
template <> inline constexpr bool framewise<hardswish> = true;
template <auto L> inline constexpr bool framewise<hardshrink<L>> = true;
template <auto L> inline constexpr bool framewise<softshrink<L>> = true;
template <auto T, auto V> inline constexpr bool framewise<threshold<T, V>> = true;
template <> inline constexpr bool framewise<selu> = true;
template <auto A> inline constexpr bool framewise<celu<A>> = true;
template <> inline constexpr bool framewise<mish> = true;
template <> inline constexpr bool framewise<logsigmoid> = true;
template <> inline constexpr bool framewise<softsign> = true;
template <> inline constexpr bool framewise<tanhshrink> = true;
template <> inline constexpr bool framewise<softmin<1>> = true;
template <> inline constexpr bool framewise<glu<1>> = true;
template <> inline constexpr bool framewise<softmax<1>> = true;
template <> inline constexpr bool framewise<log_softmax<1>> = true;
template <> inline constexpr bool framewise<identity> = true;
template <std::int64_t... S, class... M> inline constexpr bool framewise<upsample<option::scale_factor<S...>, M...>> = option::scale_factor<S...>::value.d == 1;
// clang-format on

/// A causal layer or model for chunks of any length >= 1: streaming<net>{}(chunk) with net a conv3d with `causal` (stride 1 in time), a
/// framewise layer, or sequential, residual, named or shared ones of these. Paths of parameters are those of net; each convolution has the
/// state `frames` (N, In, dilation * (KT - 1), H, W), zeros at first, as the padding of the whole. A program with it remembers what it has
/// seen: reset_stream(program) begins anew.
template <class L>
struct streaming : layer<streaming<L>> {
  static constexpr text kind = "streaming";
  static constexpr auto forward(expression auto x) {
    if constexpr (framewise<L>)
      return invoke<L>(x);
    else
      return failed<text(""), text("streaming wants causal or framewise"), text("got another layer")>{};
  }
};

/// By kind of layer: rows, residual and named ones by their parts, a convolution with its frames; a shared one is refused.
template <class L>
requires requires { typename L::modules; }
struct streaming<L> : layer<streaming<L>> {
  template <class... M>
  static constexpr auto each(sequence<M...>) -> sequence<streaming<M>...>;
  using modules = decltype(each(typename L::modules{}));
};
template <class... L>
struct streaming<residual<L...>> : residual<streaming<L>...> {};
template <text Name, class L>
struct streaming<named<Name, L>> : named<Name, streaming<L>> {};
template <text Name, class L>
struct streaming<shared<Name, L>> : layer<streaming<shared<Name, L>>> {
  static constexpr auto forward(expression auto) { return failed<text(""), text("streaming: each layer once"), text("got nn::shared")>{}; }
};

template <std::int64_t In, std::int64_t Out, class... O>
struct streaming<conv3d<In, Out, O...>> : layer<streaming<conv3d<In, Out, O...>>> {
  using whole = conv3d<In, Out, O...>;
  static constexpr text kind = "streaming conv3d";
  static constexpr std::int64_t kept = whole::options.dilation.d * (whole::kernel.d - 1);

  template <expression X>
  static constexpr auto forward(X x) {
    using y_type = decltype(whole::forward(x));
    if constexpr (is_failed<y_type>) {
      return y_type{};
    } else if constexpr (kept == 0 && whole::options.stride.d == 1 && whole::options.resolved(whole::kernel).lo.d == 0 &&
                         whole::options.resolved(whole::kernel).hi.d == 0) {
      return whole::forward(x);
    } else if constexpr (whole::options.mode != ops::border::causal) {
      return failed<text(""), text("streaming wants causal padding"), text("got another")>{};
    } else if constexpr (whole::options.stride.d != 1) {
      constexpr line got = line("got ") << whole::options.stride.d;
      return failed<text(""), text("streaming: stride 1 in time"), to_text<got>()>{};
    } else {
      constexpr extents e = X::shape();
      constexpr auto before = detail::kept<"frames", make_extents(e[0], In, kept, e[3], e[4]), initializer{}>;
      const auto frames = concat(axis<2>, before, x);
      return updating(whole::template convolved<options>(frames), before, slice(frames, axis<2>, range<e[2], e[2] + kept>));
    }
  }

 private:
  /// As the whole one's, but without padding in time.
  static constexpr ops::conv_options options = [] {
    ops::conv_options o = whole::options.resolved(whole::kernel);
    o.lo.d = o.hi.d = 0;
    return o;
  }();
};

}  // namespace volute::nn

namespace volute {

/// Zeroes the frames that the streaming layers of a program keep: the next chunk is the first of another sequence.
template <class Program>
void reset_stream(Program& p) {
  for (const auto& entry : p.parameter_table()) {
    const std::string_view path = entry.path;
    if (!entry.learned && (path == "frames" || path.ends_with(".frames")))
      for (std::int64_t i = 0; i < entry.shape.size(); ++i) entry.data[i] = 0;
  }
}

}  // namespace volute
