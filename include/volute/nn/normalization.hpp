// Normalisations: each takes a mean off, divides by a standard deviation (of the population: divided by n), and gives each channel a
// learned scale and shift. Means and variances are two reductions, one after the other: the one-pass formula E[x^2] - E[x]^2 loses all
// digits where the mean is large.
#pragma once

#include <volute/nn/layer.hpp>
#include <volute/nn/options.hpp>

namespace volute::nn {

namespace detail {

/// The settings of a normalisation, and which option it does not know (0: none).
struct norm_settings {
  double eps = 1e-5, momentum = 0.1;
  bool affine = true, tracks = false;  // tracks: keeps running statistics
  int unknown = 0;

  template <auto E>
  constexpr bool set(nn::eps<E>) {
    eps = E;
    return true;
  }
  template <bool On>
  constexpr bool set(nn::affine<On>) {
    affine = On;
    return true;
  }
  template <auto M>
  constexpr bool set(nn::momentum<M>) {
    momentum = M;
    return tracks;
  }
  template <class O>
  constexpr bool set(O) {
    return false;
  }
};
template <class... O>
constexpr norm_settings norm_settings_of(norm_settings s) {
  s.unknown = refused_setting<O...>(s);
  return s;
}

inline constexpr initializer ones{initializer::constant, 1};

/// x * (scale * weight) + bias, or x * scale without them; weight and bias have the shape `Shape` and are seen as `View`.
template <bool Affine, extents Shape, class X, class S, std::int64_t... View>
constexpr auto scaled(X x, S scale, shape_constant<View...> view) {
  if constexpr (Affine)
    return x * (scale * reshape(learned<"weight", Shape, ones>, view)) + reshape(learned<"bias", Shape, initializer{}>, view);
  else
    return x * scale;
}

/// weight * rsqrt(variance + eps) * (x - mean) + bias, mean and variance over the axes A.
template <norm_settings S, extents Shape, class X, class A, class View>
constexpr auto normalized(X x, A a, View view) {
  const auto centred = x - mean(x, a, keepdims);
  return scaled<S.affine, Shape>(centred, rsqrt(mean(square(centred), a, keepdims) + constant<S.eps>), view);
}

/// Why a normalisation refuses its input or its options; the line is empty where it does not.
constexpr ops::inferred norm_check(std::string_view kind, const norm_settings& s, const extents& x, std::int64_t channels) {
  if (const ops::inferred r = check_option(kind, s.unknown); !r.ok()) return r;
  if (!(s.eps >= 0)) return ops::refuse(line(kind) << " wants eps >= 0", line("got eps < 0"));
  if (x.rank < 2) return ops::refuse(line(kind) << " wants (N,C,...)", line("got ") << x);
  if (x[1] != channels) return ops::refuse(line(kind) << ": " << channels << " channels", line("got ") << x[1] << " in " << x);
  return {};
}

/// The same by means and variances that are given: `statistics` (2, C), of the channels of x (N, C, D, H, W).
template <text Kind, norm_settings S, std::int64_t C, class X, class M>
constexpr auto normalized_by(X x, M statistics) {
  constexpr ops::inferred r = norm_check(Kind.view(), S, X::shape(), C);
  if constexpr (!r.ok()) {
    return refuse<r>();
  } else if constexpr (X::shape().rank != 5 || !(M::shape() == make_extents(2, C))) {
    constexpr line wanted = line("norm wants statistics (2,") << C << ')';
    constexpr line got = line("got ") << M::shape() << " beside " << X::shape();
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  } else {
    const auto mean = reshape(slice(statistics, axis<0>, range<0, 1>), shape<C, 1, 1, 1>);
    const auto variance = reshape(slice(statistics, axis<0>, range<1, 2>), shape<C, 1, 1, 1>);
    return scaled<S.affine, make_extents(C)>(x - mean, rsqrt(variance + constant<S.eps>), shape<C, 1, 1, 1>);
  }
}

}  // namespace detail

/// Groups of channels, each normalised by its mean and variance over its channels and all voxels of a sample: (N, C, ...) of any rank from
/// 2 on. Options: eps<1e-5>, affine<true>. Parameters: weight (C), ones, and bias (C), zeros. (Wu and He 2018,
/// https://arxiv.org/abs/1803.08494.)
template <std::int64_t Groups, std::int64_t C, class... O>
struct group_norm : layer<group_norm<Groups, C, O...>> {
  static constexpr text kind = "group_norm";
  static constexpr detail::norm_settings settings = detail::norm_settings_of<O...>({});

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::inferred r = check(X::shape());
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      constexpr extents e = X::shape();
      const auto y = detail::normalized<settings, make_extents(C)>(reshape(x, shape<e[0], Groups, C / Groups, e.stride(1)>), axes<2, 3>,
                                                                   shape<1, Groups, C / Groups, 1>);
      return apply<ops::reshape_to{e}>(y);
    }
  }
  /// By means and variances (2, C) that are given, such as those of a volume of which x is a tile.
  template <expression X, expression M>
  static constexpr auto forward(X x, M statistics) {
    return detail::normalized_by<kind, settings, C>(x, statistics);
  }

 private:
  static constexpr ops::inferred check(const extents& x) {
    if (Groups < 1 || C % (Groups < 1 ? 1 : Groups) != 0)
      return ops::refuse(line("group_norm: channels / groups"), line("got ") << C << " channels, groups " << Groups);
    if (const ops::inferred r = detail::norm_check(kind.view(), settings, x, C); !r.ok()) return r;
    if (x.stride(0) == Groups) return ops::refuse(line("group_norm wants values > 1"), line("got one a group in ") << x);
    return {};
  }
};

/// Each channel of each sample, normalised by its mean and variance over the voxels, in training and inference alike: (N, C, D, H, W).
/// Options: eps<1e-5>, affine<false>. Parameters, if affine: weight (C), ones, and bias (C), zeros. (Ulyanov et al. 2016,
/// https://arxiv.org/abs/1607.08022.)
template <std::int64_t C, class... O>
struct instance_norm3d : layer<instance_norm3d<C, O...>> {
  static constexpr text kind = "instance_norm3d";
  static constexpr detail::norm_settings settings = detail::norm_settings_of<O...>({.affine = false});

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::inferred r = check(X::shape());
    if constexpr (!r.ok())
      return detail::refuse<r>();
    else
      return detail::normalized<settings, make_extents(C)>(x, axes<2, 3, 4>, shape<C, 1, 1, 1>);
  }
  /// By means and variances (2, C) that are given, such as those of a volume of which x is a tile.
  template <expression X, expression M>
  static constexpr auto forward(X x, M statistics) {
    return detail::normalized_by<kind, settings, C>(x, statistics);
  }

 private:
  static constexpr ops::inferred check(const extents& x) {
    if (x.rank != 5) return ops::refuse(line("instance_norm3d wants rank 5"), line("got ") << x);
    if (x.stride(1) < 2) return ops::refuse(line("instance_norm3d wants voxels > 1"), line("got ") << x);
    return detail::norm_check(kind.view(), settings, x, C);
  }
};

/// Each channel, normalised by its mean and variance: (N, C, D, H, W). In training these are the batch's, and the running statistics move
/// towards them: running = (1 - momentum) * running + momentum * batch, with the variance divided by n - 1. In inference they are the
/// running ones, and three vectors that a convolution before it applies to its results. Options: eps<1e-5>, momentum<0.1>,
/// affine<true>. Parameters: weight (C), ones, and bias (C), zeros; states: running_mean (C), zeros, and running_var (C), ones. Training is
/// refused where a channel has one value. (Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167.)
template <std::int64_t C, class... O>
struct batch_norm3d : layer<batch_norm3d<C, O...>> {
  static constexpr text kind = "batch_norm3d";
  static constexpr detail::norm_settings settings = detail::norm_settings_of<O...>({.tracks = true});

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::inferred r = check(X::shape());
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      constexpr extents vector = make_extents(C);
      constexpr bool trains = X::shape().size() > C;  // a channel has more than one value
      constexpr double n = trains ? static_cast<double>(X::shape().size() / C) : 2, step = settings.momentum;
      constexpr auto running_mean = detail::kept<"running_mean", vector, initializer{}>;
      constexpr auto running_var = detail::kept<"running_var", vector, detail::ones>;
      constexpr auto all = axes<0, 2, 3, 4>;

      const auto m = apply<ops::mean_over_runs{}>(mean(x, all, keepdims));
      const auto centred = x - m;
      const auto variance = apply<ops::mean_over_runs{}>(mean(square(centred), all, keepdims));
      const auto y = detail::scaled<settings.affine, vector>(centred, rsqrt(variance + constant<settings.eps>), shape<C, 1, 1, 1>);
      const auto moved = [](auto running, auto latest) {
        return running * constant<1 - step> + reshape(latest, shape<C>) * constant<step>;
      };
      const auto in_training =
          updating(updating(y, running_mean, moved(running_mean, m)), running_var, moved(running_var, apply<ops::unbiased{n}>(variance)));

      const auto in_inference = detail::scaled<settings.affine, vector>(
          x - per_channel(running_mean), rsqrt(per_channel(running_var) + constant<settings.eps>), shape<C, 1, 1, 1>);
      if constexpr (X::shape().size() == 0) {
        return in_inference;  // nothing to learn from: the running statistics stay
      } else if constexpr (trains) {
        return by_mode(in_training, in_inference);
      } else {
        constexpr line got = line("got one a channel in ") << X::shape();
        return by_mode(failed<text(""), text("batch_norm3d wants values > 1"), to_text<got>()>{}, in_inference);
      }
    }
  }

 private:
  static constexpr ops::inferred check(const extents& x) {
    if (x.rank != 5) return ops::refuse(line("batch_norm3d wants rank 5"), line("got ") << x);
    return detail::norm_check(kind.view(), settings, x, C);
  }
};

/// batch_norm3d whose statistics in training are those of all runs of a step, on whatever rank (torch.nn.SyncBatchNorm); the same
/// parameters, states and options. A network that is written already: nn::convert_sync_batchnorm<net>.
template <std::int64_t C, class... O>
using sync_batch_norm3d = convert_sync_batchnorm<batch_norm3d<C, O...>>;

namespace detail {
/// The last axes: a number, or a shape.
template <auto Shape>
constexpr auto normalized_shape() {
  if constexpr (std::is_integral_v<decltype(Shape)>)
    return shape<static_cast<std::int64_t>(Shape)>;
  else
    return Shape;
}
constexpr ops::inferred last_axes_check(std::string_view kind, const norm_settings& s, const extents& x, const extents& last) {
  if (const ops::inferred r = check_option(kind, s.unknown); !r.ok()) return r;
  if (!(s.eps >= 0)) return ops::refuse(line(kind) << " wants eps >= 0", line("got eps < 0"));
  bool fits = x.rank >= last.rank && last.rank > 0;
  for (int i = 0; fits && i < last.rank; ++i) fits = x[x.rank - last.rank + i] == last[i];
  if (!fits) return ops::refuse(line(kind) << " wants (...," << last << ')', line("got ") << x);
  return {};
}
template <int... I>
constexpr option::axes<-1 - I...> last_axes(std::integer_sequence<int, I...>) {
  return {};
}
}  // namespace detail

/// Mean and variance over the last axes: layer_norm<64>, or layer_norm<shape<16, 4>>. Options: eps<1e-5>, affine<true>. Parameters: weight,
/// ones, and bias, zeros, of that shape. (Ba et al. 2016, https://arxiv.org/abs/1607.06450.)
template <auto Shape, class... O>
struct layer_norm : layer<layer_norm<Shape, O...>> {
  static constexpr text kind = "layer_norm";
  static constexpr detail::norm_settings settings = detail::norm_settings_of<O...>({});
  static constexpr extents last = detail::normalized_shape<Shape>();

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::inferred r = detail::last_axes_check(kind.view(), settings, X::shape(), last);
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      constexpr auto over = detail::last_axes(std::make_integer_sequence<int, last.rank>{});
      const auto centred = x - mean(x, over, keepdims);
      const auto y = centred * rsqrt(mean(square(centred), over, keepdims) + constant<settings.eps>);
      if constexpr (settings.affine)
        return y * detail::learned<"weight", last, detail::ones> + detail::learned<"bias", last, initializer{}>;
      else
        return y;
    }
  }
};

/// x * rsqrt(mean(x^2) + eps) * weight, the mean over the last axes: rms_norm<64>, or rms_norm<shape<16, 4>>. Options: eps<2^-23>,
/// affine<true>. Parameter: weight, ones, of that shape. (Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467; as torch.nn.RMSNorm of
/// PyTorch 2.4, whose eps is that of the element type: float's is taken here.)
template <auto Shape, class... O>
struct rms_norm : layer<rms_norm<Shape, O...>> {
  static constexpr text kind = "rms_norm";
  static constexpr detail::norm_settings settings = detail::norm_settings_of<O...>({.eps = 1.0 / 8388608});
  static constexpr extents last = detail::normalized_shape<Shape>();

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::inferred r = detail::last_axes_check(kind.view(), settings, X::shape(), last);
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      constexpr auto over = detail::last_axes(std::make_integer_sequence<int, last.rank>{});
      const auto y = x * rsqrt(mean(square(x), over, keepdims) + constant<settings.eps>);
      if constexpr (settings.affine)
        return y * detail::learned<"weight", last, detail::ones>;
      else
        return y;
    }
  }
};

}  // namespace volute::nn
