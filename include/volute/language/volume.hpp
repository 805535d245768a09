// Convolution and pooling of volumes (N, C, D, H, W), and the modulated filter banks of style-based generators.
#pragma once

#include <volute/language/composite.hpp>

namespace volute {

/// Cross-correlation of x (N, C, D, H, W) with w (O, C / groups, KD, KH, KW); out = (S + lo + hi - d (K - 1) - 1) / s + 1 on each axis.
/// Options: stride, padding (or same, valid, causal), dilation, groups. A rank-6 w (N, O, C / groups, KD, KH, KW) has one filter bank a
/// sample. (Document Conv3D.)
template <expression X, expression W, class... O>
requires(!expression<O> && ...) constexpr auto conv3d(X x, W w, O...) {
  return apply<ops::conv3d{option::collect<ops::conv_options, O...>()}>(x, w);
}
/// The same plus a bias (O).
template <expression X, expression W, expression B, class... O>
requires(!expression<O> && ...) constexpr auto conv3d(X x, W w, B b, O...) {
  return apply<ops::conv3d{option::collect<ops::conv_options, O...>()}>(x, w) + per_channel(b);
}

/// The adjoint of conv3d in its input; w is (C, O / groups, KD, KH, KW), out = (S - 1) s - lo - hi + d (K - 1) + output_padding + 1.
template <expression X, expression W, class... O>
requires(!expression<O> && ...) constexpr auto conv_transpose3d(X x, W w, O...) {
  return apply<ops::conv_transpose3d{option::collect<ops::conv_options, O...>()}>(x, w);
}
/// The same plus a bias (O).
template <expression X, expression W, expression B, class... O>
requires(!expression<O> && ...) constexpr auto conv_transpose3d(X x, W w, B b, O...) {
  return apply<ops::conv_transpose3d{option::collect<ops::conv_options, O...>()}>(x, w) + per_channel(b);
}

/// Largest value of each window: max_pool3d(x, kernel<2>), with stride (default: the kernel), padding (by -inf), dilation, ceil_mode.
template <expression X, std::int64_t... K, class... O>
constexpr auto max_pool3d(X x, option::kernel<K...>, O...) {
  return apply<ops::max_pool3d{option::collect<ops::pool_options, option::kernel<K...>, O...>()}>(x);
}
/// Mean of each window, with stride, padding, ceil_mode, count_include_pad<false>, divisor<n>.
template <expression X, std::int64_t... K, class... O>
constexpr auto avg_pool3d(X x, option::kernel<K...>, O...) {
  return apply<ops::avg_pool3d{option::collect<ops::pool_options, option::kernel<K...>, O...>()}>(x);
}
/// Means of windows chosen so that the result has these spatial extents: adaptive_avg_pool3d(x, output_size<1>).
template <expression X, std::int64_t... S>
constexpr auto adaptive_avg_pool3d(X x, option::output_size<S...>) {
  return apply<ops::adaptive_avg_pool3d{option::to_triple<S...>()}>(x);
}

/// Largest values of such windows.
template <expression X, std::int64_t... S>
constexpr auto adaptive_max_pool3d(X x, option::output_size<S...>) {
  return apply<ops::adaptive_max_pool3d{option::to_triple<S...>()}>(x);
}

namespace function {

/// What the voxels of a border are.
enum class border_of { zeros, replicate, reflect, circular };

/// A border whose voxels repeat the outermost ones, or mirror what lies inside of them: one axis after the other, its slices before and
/// behind.
template <border_of Border, ops::conv_options O>
struct pad_volume {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::inferred r = check(X::shape());
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else if constexpr (Border == border_of::zeros) {
      return apply<ops::pad_axes{make_extents(0, 0, O.lo.d, O.lo.h, O.lo.w), make_extents(0, 0, O.hi.d, O.hi.h, O.hi.w), 0}>(x);
    } else {
      return along<4, O.lo.w, O.hi.w>(along<3, O.lo.h, O.hi.h>(along<2, O.lo.d, O.hi.d>(x)));
    }
  }

 private:
  static constexpr std::string_view name = Border == border_of::zeros       ? "zero_pad3d"
                                           : Border == border_of::replicate ? "replicate_pad3d"
                                           : Border == border_of::reflect   ? "reflect_pad3d"
                                                                            : "circular_pad3d";
  static constexpr ops::inferred check(const extents& x) {
    if (x.rank != 5) return ops::refuse(line(name) << " wants rank 5", line("got ") << x);
    if (const ops::inferred r = ops::check_options(line(name), O, {1, 1, 1}); !r.ok()) return r;
    for (int a = 0; a < 3; ++a) {
      const std::int64_t most = O.lo[a] > O.hi[a] ? O.lo[a] : O.hi[a];
      if (Border == border_of::reflect && most >= x[2 + a])
        return ops::refuse(line(name) << " wants less than " << x[2 + a], line("got ") << most << " on " << x);
      if (Border == border_of::circular && most > x[2 + a])
        return ops::refuse(line(name) << " wants at most " << x[2 + a], line("got ") << most << " on " << x);
    }
    return {};
  }
  template <int Axis, std::int64_t Low, std::int64_t High, class V>
  static constexpr auto along(V v) {
    if constexpr (Low + High == 0) {
      return v;
    } else if constexpr (Border == border_of::circular) {
      constexpr std::int64_t n = V::shape()[Axis];
      if constexpr (High == 0)
        return concat(axis<Axis>, slice(v, axis<Axis>, range<n - Low, n>), v);
      else if constexpr (Low == 0)
        return concat(axis<Axis>, v, slice(v, axis<Axis>, range<0, High>));
      else
        return concat(axis<Axis>, slice(v, axis<Axis>, range<n - Low, n>), v, slice(v, axis<Axis>, range<0, High>));
    } else {
      constexpr std::int64_t n = V::shape()[Axis];
      constexpr bool mirrors = Border == border_of::reflect;
      return [v]<std::int64_t... L, std::int64_t... H>(std::integer_sequence<std::int64_t, L...>,
                                                       std::integer_sequence<std::int64_t, H...>) {
        return concat(axis<Axis>, voxels < Axis, mirrors ? Low - L : 0 > (v)..., v, voxels < Axis, mirrors ? n - 2 - H : n - 1 > (v)...);
      }
      (std::make_integer_sequence<std::int64_t, Low>{}, std::make_integer_sequence<std::int64_t, High>{});
    }
  }
  template <int Axis, std::int64_t At, class V>
  static constexpr auto voxels(V v) {
    return slice(v, axis<Axis>, range<At, At + 1>);
  }
};

}  // namespace function

/// A border around the volume: one number, three (d, h, w), or six (low and high of each): zero_pad3d(x, padding<1>).
template <expression X, std::int64_t... P>
constexpr auto zero_pad3d(X x, option::padding<P...> p) {
  return invoke<function::pad_volume<function::border_of::zeros, option::collect<ops::conv_options, decltype(p)>()>>(x);
}
/// Its voxels are the nearest ones of the volume.
template <expression X, std::int64_t... P>
constexpr auto replicate_pad3d(X x, option::padding<P...> p) {
  return invoke<function::pad_volume<function::border_of::replicate, option::collect<ops::conv_options, decltype(p)>()>>(x);
}
/// The volume is mirrored at its outermost voxels, which are not repeated; less than an extent.
template <expression X, std::int64_t... P>
constexpr auto reflect_pad3d(X x, option::padding<P...> p) {
  return invoke<function::pad_volume<function::border_of::reflect, option::collect<ops::conv_options, decltype(p)>()>>(x);
}
/// The volume repeats; at most an extent.
template <expression X, std::int64_t... P>
constexpr auto circular_pad3d(X x, option::padding<P...> p) {
  return invoke<function::pad_volume<function::border_of::circular, option::collect<ops::conv_options, decltype(p)>()>>(x);
}

namespace function {

/// Interpolation weights (n * s, n): row o holds 1 - |position of o - i| where that is positive.
template <std::int64_t N, std::int64_t S, bool AlignCorners>
constexpr auto interpolation() {
  constexpr double last = static_cast<double>(N - 1);
  const auto o = reshape(arange<N * S>, shape<N * S, 1>);
  const auto distance = [](auto position) { return maximum(0_c, 1_c - abs(position - arange<N>)); };
  if constexpr (AlignCorners)
    return distance(o * constant < N * S == 1 ? 0.0 : last / static_cast<double>(N * S - 1) >);
  else  // before the first centre and behind the last the border repeats
    return distance(minimum(maximum((o + 0.5_c) * constant<1.0 / static_cast<double>(S)> - 0.5_c, 0_c), constant<last>));
}

/// One axis after the other, the smallest tensors first, as products with constant matrices: any factor and both conventions are one
/// formula, and the gradient is the product with the transpose.
template <ops::triple S, bool AlignCorners>
struct upsample_trilinear {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    constexpr ops::inferred r = ops::infer_upsample(e, S);
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      constexpr std::int64_t n = e[0] * e[1];
      const auto d = along<n, e[2], e[3] * e[4], S.d>(x);
      const auto h = along<n * e[2] * S.d, e[3], e[4], S.h>(d);
      const auto w = along<n * e[2] * S.d * e[3] * S.h, e[4], 1, S.w>(h);
      return apply<ops::reshape_to{r.shape}>(w);
    }
  }

 private:
  template <std::int64_t Before, std::int64_t N, std::int64_t After, std::int64_t Factor, class V>
  static constexpr auto along(V v) {
    if constexpr (Factor == 1)
      return v;
    else if constexpr (After == 1)
      return linear(reshape(v, shape<Before, N>), interpolation<N, Factor, AlignCorners>());
    else
      return matmul(interpolation<N, Factor, AlignCorners>(), reshape(v, shape<Before, N, After>));
  }
};

}  // namespace function

/// Larger by whole factors: upsample(x, scale_factor<2>, nearest), upsample(x, scale_factor<1, 2, 2>, trilinear), and with align_corners.
/// As torch.nn.functional.interpolate.
template <expression X, class Factors>
requires requires { Factors::value; }
constexpr auto upsample(X x, Factors s, option::nearest = {}) { return apply<ops::upsample_nearest{s.value}>(x); }
template <expression X, class Factors>
requires requires { Factors::value; }
constexpr auto upsample(X x, Factors s, option::trilinear) { return invoke<function::upsample_trilinear<s.value, false>>(x); }
template <expression X, class Factors>
requires requires { Factors::value; }
constexpr auto upsample(X x, Factors s, option::trilinear, option::align_corners) {
  return invoke<function::upsample_trilinear<s.value, true>>(x);
}

/// How eps enters the demodulation: max(q, eps) (the document's), or q + eps (StyleGAN2's).
enum class eps_mode { floor, added };

namespace function {

/// The modules behind modulate and demodulate below.
struct modulate {
  static constexpr auto forward(auto w, auto mod) {
    constexpr extents e = decltype(w)::shape(), m = decltype(mod)::shape();
    if constexpr (e.rank != 5) {
      constexpr line got = line("got ") << e;
      return failed<text(""), text("modulate wants weights of rank 5"), to_text<got>()>{};
    } else if constexpr (m.rank != 2 || m[1] != e[1]) {
      constexpr line wanted = line("modulate wants mod (N,") << e[1] << ')';
      constexpr line got = line("got ") << m;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      return reshape(w, shape<1, e[0], e[1], e[2], e[3], e[4]>) * reshape(mod + 1_c, shape<m[0], 1, m[1], 1, 1, 1>);
    }
  }
};

template <double Eps, eps_mode Mode>
struct demodulate {
  static constexpr auto forward(auto w) {
    if constexpr (!(Eps > 0)) {
      return failed<text(""), text("demodulate wants eps > 0"), text("got eps <= 0")>{};
    } else if constexpr (w.shape().rank != 6) {
      constexpr line got = line("got ") << decltype(w)::shape();
      return failed<text(""), text("demodulate wants rank 6"), to_text<got>()>{};
    } else {
      const auto q = sum(square(w), axes<2, 3, 4, 5>, keepdims);
      if constexpr (Mode == eps_mode::floor)
        return w * rsqrt(volute::at_least(q, constant<Eps>));
      else
        return w * rsqrt(q + constant<Eps>);
    }
  }
};

}  // namespace function

/// One filter bank a sample, W[o,i,k] * s[b,i] with s = mod + 1: w (O, I, KD, KH, KW), mod (B, I) -> (B, O, I, KD, KH, KW). Never built
/// when it is only convolved with or demodulated. (Karras et al. 2020, https://arxiv.org/abs/1912.04958, equation 1; document
/// AdaptiveConv3DMod.)
template <expression W, expression M>
constexpr auto modulate(W w, M mod) {
  return invoke<function::modulate>(w, mod);
}

/// Divides each filter of each sample by the root of its sum of squares q: w * rsqrt(max(q, eps)); w is (B, O, I, KD, KH, KW).
template <double Eps = 1e-8, eps_mode Mode = eps_mode::floor, expression W>
constexpr auto demodulate(W w) {
  return invoke<function::demodulate<Eps, Mode>>(w);
}

}  // namespace volute
