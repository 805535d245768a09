// Layers of lines (N, C, W) and planes (N, C, H, W), with PyTorch's names and shapes of parameters: the layers of volumes whose other
// extents are 1.
#pragma once

#include <volute/nn/convolution.hpp>
#include <volute/nn/normalization.hpp>
#include <volute/nn/pooling.hpp>

namespace volute::nn {
namespace detail {

/// An option of 1 or 2 axes as one of 3: the others get Rest.
template <int Axes, std::int64_t Rest, template <std::int64_t...> class O, std::int64_t... V>
struct widened {
  using type = O<V...>;  // a wrong count stays wrong
};
template <std::int64_t Rest, template <std::int64_t...> class O, std::int64_t A>
struct widened<1, Rest, O, A> {
  using type = O<Rest, Rest, A>;
};
template <std::int64_t Rest, template <std::int64_t...> class O, std::int64_t A>
struct widened<2, Rest, O, A> {
  using type = O<Rest, A, A>;
};
template <std::int64_t Rest, template <std::int64_t...> class O, std::int64_t A, std::int64_t B>
struct widened<2, Rest, O, A, B> {
  using type = O<Rest, A, B>;
};
template <int Axes, class O>
struct for_volumes {
  using type = O;
};
template <int Axes, std::int64_t... V>
struct for_volumes<Axes, option::kernel<V...>> : widened<Axes, 1, option::kernel, V...> {};
template <int Axes, std::int64_t... V>
struct for_volumes<Axes, option::stride<V...>> : widened<Axes, 1, option::stride, V...> {};
template <int Axes, std::int64_t... V>
struct for_volumes<Axes, option::dilation<V...>> : widened<Axes, 1, option::dilation, V...> {};
template <int Axes, std::int64_t... V>
struct for_volumes<Axes, option::padding<V...>> : widened<Axes, 0, option::padding, V...> {};
template <std::int64_t Lo, std::int64_t Hi>
struct for_volumes<1, option::padding<Lo, Hi>> {
  using type = option::padding<0, 0, 0, 0, Lo, Hi>;
};
template <std::int64_t A, std::int64_t B, std::int64_t C, std::int64_t D>
struct for_volumes<2, option::padding<A, B, C, D>> {
  using type = option::padding<0, 0, A, B, C, D>;
};

/// f of the input as a volume, and the result without the axes that were put in.
template <int Axes, text Kind, class F, expression X>
constexpr auto as_volume(X x, F f) {
  constexpr extents e = X::shape();
  if constexpr (e.rank != 2 + Axes) {
    constexpr line wanted = line(Kind.view()) << " wants rank " << 2 + Axes;
    constexpr line got = line("got ") << e;
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  } else {
    constexpr extents in = make_extents(e[0], e[1], 1, Axes == 2 ? e[2] : 1, e[1 + Axes]);
    const auto y = f(apply<ops::reshape_to{in}>(x));
    if constexpr (is_failed<std::remove_const_t<decltype(y)>>) {
      return y;
    } else {
      constexpr extents out = decltype(y)::shape();
      constexpr extents back = Axes == 2 ? make_extents(out[0], out[1], out[3], out[4]) : make_extents(out[0], out[1], out[4]);
      return apply<ops::reshape_to{back}>(y);
    }
  }
}

/// conv3d of such volumes, with the parameters' axes left out.
template <int Axes, text Kind, std::int64_t In, std::int64_t Out, class... O>
struct planar_convolution {
  using whole = conv3d<In, Out, typename for_volumes<Axes, O>::type...>;
  static constexpr auto forward(expression auto x) {
    return as_volume<Axes, Kind>(x, []<class V>(V v) {
      using probe = decltype(whole::forward(v));
      if constexpr (is_failed<probe>) {
        return probe{};
      } else {
        constexpr ops::triple k = whole::kernel;
        constexpr extents shape_of_weight =
            Axes == 2 ? make_extents(Out, whole::group_in, k.h, k.w) : make_extents(Out, whole::group_in, k.w);
        const auto w =
            apply<ops::reshape_to{make_extents(Out, whole::group_in, k.d, k.h, k.w)}>(learned<"weight", shape_of_weight, whole::init>);
        const auto y = apply<ops::conv3d{whole::options}>(v, w);
        if constexpr (has<no_bias, O...>)
          return y;
        else
          return y + per_channel(learned<"bias", make_extents(Out), whole::init>);
      }
    });
  }
};

}  // namespace detail

/// conv3d of planes and lines: kernel<k>, or kernel<kh, kw>; padding 1, 2 or 4 numbers (1 or 2 of lines). Parameters: weight
/// (Out, In / groups, KH, KW), or (Out, In / groups, K), and bias (Out).
template <std::int64_t In, std::int64_t Out, class... O>
struct conv2d : layer<conv2d<In, Out, O...>> {
  static constexpr text kind = "conv2d";
  static constexpr auto forward(expression auto x) { return detail::planar_convolution<2, kind, In, Out, O...>::forward(x); }
};
template <std::int64_t In, std::int64_t Out, class... O>
struct conv1d : layer<conv1d<In, Out, O...>> {
  static constexpr text kind = "conv1d";
  static constexpr auto forward(expression auto x) { return detail::planar_convolution<1, kind, In, Out, O...>::forward(x); }
};
/// Poolings of planes and lines, with the options of max_pool3d and avg_pool3d.
template <std::int64_t K, class... O>
struct max_pool2d : layer<max_pool2d<K, O...>> {
  static constexpr text kind = "max_pool2d";
  static constexpr auto forward(expression auto x) {
    return detail::as_volume<2, kind>(x, [](auto v) {
      return detail::pool<kind, ops::max_pool3d, 1, option::kernel<1, K, K>, typename detail::for_volumes<2, O>::type...>(v);
    });
  }
};
template <std::int64_t K, class... O>
struct max_pool1d : layer<max_pool1d<K, O...>> {
  static constexpr text kind = "max_pool1d";
  static constexpr auto forward(expression auto x) {
    return detail::as_volume<1, kind>(x, [](auto v) {
      return detail::pool<kind, ops::max_pool3d, 1, option::kernel<1, 1, K>, typename detail::for_volumes<1, O>::type...>(v);
    });
  }
};
template <std::int64_t K, class... O>
struct avg_pool2d : layer<avg_pool2d<K, O...>> {
  static constexpr text kind = "avg_pool2d";
  static constexpr auto forward(expression auto x) {
    return detail::as_volume<2, kind>(x, [](auto v) {
      return detail::pool<kind, ops::avg_pool3d, 1, option::kernel<1, K, K>, typename detail::for_volumes<2, O>::type...>(v);
    });
  }
};
template <std::int64_t K, class... O>
struct avg_pool1d : layer<avg_pool1d<K, O...>> {
  static constexpr text kind = "avg_pool1d";
  static constexpr auto forward(expression auto x) {
    return detail::as_volume<1, kind>(x, [](auto v) {
      return detail::pool<kind, ops::avg_pool3d, 1, option::kernel<1, 1, K>, typename detail::for_volumes<1, O>::type...>(v);
    });
  }
};
/// batch_norm3d of planes and lines: the same parameters and states. batch_norm1d takes (N, C) too.
template <std::int64_t C, class... O>
struct batch_norm2d : layer<batch_norm2d<C, O...>> {
  static constexpr text kind = "batch_norm2d";
  static constexpr auto forward(expression auto x) {
    return detail::as_volume<2, kind>(x, [](auto v) { return batch_norm3d<C, O...>::forward(v); });
  }
};
template <std::int64_t C, class... O>
struct batch_norm1d : layer<batch_norm1d<C, O...>> {
  static constexpr text kind = "batch_norm1d";
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    if constexpr (e.rank == 2) {  // lines of one number
      const auto y = forward(apply<ops::reshape_to{make_extents(e[0], e[1], 1)}>(x));
      if constexpr (is_failed<std::remove_const_t<decltype(y)>>)
        return y;
      else
        return apply<ops::reshape_to{e}>(y);
    } else {
      return detail::as_volume<1, kind>(x, [](auto v) { return batch_norm3d<C, O...>::forward(v); });
    }
  }
};

}  // namespace volute::nn
