// The modulated convolution of style-based generators on video (document AdaptiveConv3DMod; StyleGAN2, https://arxiv.org/abs/1912.04958).
// The layer writes the paper's formula with one filter bank a sample; the graph never builds one (graph/contract.hpp).
#pragma once

#include <volute/nn/options.hpp>

#include <limits>

namespace volute {
namespace nn {

// clang-format off
/// Filter extents in height and width, and in time: odd, 3 where they are not given. (Document AdaptiveConv3DMod.)
template <std::int64_t K> struct spatial_kernel { static constexpr std::int64_t value = K; };
template <std::int64_t K> struct time_kernel { static constexpr std::int64_t value = K; };
/// Output channels; as many as there are input channels where it is not given.
template <std::int64_t N> struct dim_out { static constexpr std::int64_t value = N; };
/// Whether the filters are demodulated; true where it is not given (StyleGAN2 does not in ToRGB).
template <bool On> struct demod { static constexpr bool value = On; };
/// rsqrt(q + eps), as StyleGAN2 writes it; without this option eps is a floor: rsqrt(max(q, eps)).
struct added_eps {};
/// The given tensor is the scale itself, not the scale less one.
struct scale_is_mod {};
/// N banks, mixed for each sample by softmax(kernel_mod) before the modulation (GigaGAN, https://arxiv.org/abs/2303.05511).
template <std::int64_t N> struct num_kernels { static constexpr std::int64_t value = N; };
/// Multiplies the demodulated filters (StyleGAN3, https://arxiv.org/abs/2106.12423).
template <auto Gain> struct input_gain { static constexpr double value = Gain; };
/// Filters and scales are divided by their root mean square before they meet, the scales' over the whole batch (StyleGAN3).
struct pre_normalized {};
// clang-format on

}  // namespace nn
// clang-format off
template <std::int64_t K> inline constexpr int option::says<nn::spatial_kernel<K>> = 19;
template <std::int64_t K> inline constexpr int option::says<nn::time_kernel<K>> = 20;
template <std::int64_t N> inline constexpr int option::says<nn::dim_out<N>> = 21;
template <bool On> inline constexpr int option::says<nn::demod<On>> = 22;
template <std::int64_t N> inline constexpr int option::says<nn::num_kernels<N>> = 23;
template <auto Gain> inline constexpr int option::says<nn::input_gain<Gain>> = 24;
// clang-format on
namespace nn {
namespace detail {

struct mod_settings {
  int unknown = 0;  // as of a norm
  std::int64_t spatial = 3, time = 3, out = 0, kernels = 1;
  bool demod = true, added = false, plain_scale = false, causal = false, pre_normalized = false;
  double eps = 1e-8, gain = 1;

  template <std::int64_t K>
  constexpr bool set(spatial_kernel<K>) {
    return spatial = K, true;
  }
  template <std::int64_t K>
  constexpr bool set(time_kernel<K>) {
    return time = K, true;
  }
  template <std::int64_t N>
  constexpr bool set(dim_out<N>) {
    return out = N, true;
  }
  template <bool B>
  constexpr bool set(nn::demod<B>) {
    return demod = B, true;
  }
  template <auto E>
  constexpr bool set(nn::eps<E>) {
    return eps = E, true;
  }
  template <std::int64_t N>
  constexpr bool set(num_kernels<N>) {
    return kernels = N, true;
  }
  template <auto G>
  constexpr bool set(input_gain<G>) {
    return gain = G, true;
  }
  constexpr bool set(added_eps) { return added = true; }
  constexpr bool set(scale_is_mod) { return plain_scale = true; }
  constexpr bool set(nn::causal) { return causal = true; }
  constexpr bool set(nn::pre_normalized) { return pre_normalized = true; }
  template <class O>
  constexpr bool set(O) {
    return false;
  }
};

}  // namespace detail

/// (B, Dim, T, H, W), modulated by mod (B, Dim), gives (B, dim_out, T, H, W): y = conv(x, d * W * (mod + 1)), d = rsqrt(max(sum over (i, k)
/// of (W * (mod + 1))^2, eps)), zero padding that keeps the extents. Options: spatial_kernel<3>, time_kernel<3> (odd), dim_out<Dim>,
/// demod<true>, eps<1e-8>, added_eps, scale_is_mod, causal, num_kernels<N> (then a third operand kernel_mod (B, N) is wanted),
/// input_gain<g>, pre_normalized. mod may be left out: it counts as 0. A sum of squares that underflows gives 1 / sqrt(eps), one that
/// overflows gives 0. Parameter: weights (dim_out, Dim, KT, KH, KW), or (N, dim_out, ...); normal, deviation 0.75 / sqrt(fan_in).
template <std::int64_t Dim, class... O>
struct adaptive_conv3d_mod : layer<adaptive_conv3d_mod<Dim, O...>> {
  static constexpr text kind = "adaptive_conv3d_mod";
  static constexpr detail::mod_settings settings = [] {
    detail::mod_settings s;
    s.unknown = detail::refused_setting<O...>(s);
    if (s.out == 0) s.out = Dim;
    return s;
  }();
  static constexpr std::int64_t out = settings.out, kt = settings.time, ks = settings.spatial, kernels = settings.kernels;
  static constexpr initializer init{initializer::normal,
                                    kt > 0 && ks > 0 && Dim > 0 ? 0.75 / detail::root(static_cast<double>(Dim* kt* ks* ks)) : 0};

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr std::int64_t batch = X::shape().rank > 0 ? X::shape()[0] : 1;
    return checked(x, constant < settings.plain_scale ? 1 : 0, batch, Dim >, 0);
  }
  template <expression X, expression M>
  static constexpr auto forward(X x, M mod) {
    return checked(x, mod, 0);
  }
  template <expression X, expression M, expression K>
  static constexpr auto forward(X x, M mod, K kernel_mod) {
    return checked(x, mod, kernel_mod);
  }

 private:
  /// The first thing that does not fit: wanted and got.
  static constexpr ops::inferred check(const extents& x, const extents& m, const extents& k, bool selects) {
    if (const ops::inferred r = detail::check_option("adaptive_conv3d", settings.unknown); !r.ok()) return r;
    if (x.rank != 5) return ops::refuse(line("rank 5 (B,C,T,H,W)"), line("got ") << x);
    if (x[1] != Dim) return ops::refuse(line("") << Dim << " channels", line("got ") << x[1] << " in " << x);
    if (!(settings.eps > 0)) return ops::refuse(line("eps > 0"), line("got eps <= 0"));
    if (kt < 1 || ks < 1 || kt % 2 == 0 || ks % 2 == 0)
      return ops::refuse(line("odd kernels"), line("got time ") << kt << ", spatial " << ks);
    if (kernels < 1) return ops::refuse(line("num_kernels >= 1"), line("got ") << kernels);
    if (m.rank != 2 || m[0] != x[0] || m[1] != Dim) return ops::refuse(line("mod of shape ") << make_extents(x[0], Dim), line("got ") << m);
    if (kernels > 1 && !selects) return ops::refuse(line("kernel_mod for ") << kernels << " kernels", line("got none"));
    if (selects && (k.rank != 2 || k[0] != x[0] || k[1] != kernels))
      return ops::refuse(line("kernel_mod ") << make_extents(x[0], kernels), line("got ") << k);
    return {};
  }

  static constexpr ops::conv_options options = [] {
    ops::conv_options o{};
    o.mode = settings.causal ? ops::border::causal : ops::border::same;
    return o;
  }();

  template <class X, class M, class K>
  static constexpr auto checked(X x, M mod, K kernel_mod) {
    constexpr bool selects = !std::is_same_v<K, int>;
    constexpr ops::inferred r = [] {
      extents k{};
      if constexpr (selects) k = K::shape();
      return check(X::shape(), M::shape(), k, selects);
    }();
    if constexpr (!r.ok()) {
      constexpr line wanted = r.wanted, got = r.got;
      return failed<kind, to_text<wanted>(), to_text<got>()>{};  // the place ends with the layer's name
    } else if constexpr (kernels > 1) {
      return several(x, scale_of(mod), kernel_mod);
    } else {
      return one(x, scale_of(mod));
    }
  }

  template <class M>
  static constexpr auto scale_of(M mod) {
    if constexpr (settings.plain_scale)
      return normalized_scale(mod);
    else
      return normalized_scale(mod + 1_c);
  }
  template <class S>
  static constexpr auto normalized_scale(S s) {
    if constexpr (settings.pre_normalized)
      return s * rsqrt(mean(square(s)));
    else
      return s;
  }
  template <class W, class A>
  static constexpr auto normalized_bank(W w, A a) {
    if constexpr (settings.pre_normalized)
      return w * rsqrt(mean(square(w), a, keepdims));
    else
      return w;
  }
  template <class Q>
  static constexpr auto demodulation(Q q) {
    if constexpr (settings.added)
      return rsqrt(q + constant<settings.eps>);
    else
      return rsqrt(at_least(q, constant<settings.eps>));
  }
  template <class Y>
  static constexpr auto gained(Y y) {
    if constexpr (settings.gain != 1)
      return y * constant<settings.gain>;
    else
      return y;
  }

  template <class X, class S>
  static constexpr auto one(X x, S s) {
    constexpr std::int64_t batch = X::shape()[0];
    const auto w = normalized_bank(detail::learned<"weights", make_extents(out, Dim, kt, ks, ks), init>, axes<1, 2, 3, 4>);
    const auto bank = reshape(w, shape<1, out, Dim, kt, ks, ks>) * reshape(s, shape<batch, 1, Dim, 1, 1, 1>);
    if constexpr (settings.demod) {
      // The sum of squares in its factored form, with a ceiling: filters whose squares overflow give d = 0, and 0 * infinity in the
      // gradient by mod would be NaN.
      const auto squares = minimum(sum(square(w), axes<2, 3, 4>), constant<std::numeric_limits<double>::max()>);
      const auto d = demodulation(linear(square(s), squares));
      return gained(apply<ops::conv3d{options}>(x, bank * reshape(d, shape<batch, out, 1, 1, 1, 1>)));
    } else {
      return gained(apply<ops::conv3d{options}>(x, bank));
    }
  }

  /// sum over n of a[b,n] conv(x s, W_n) as one convolution of the N * Dim channels a[b,n] s[b,i] x[b,i]; the sum of squares of the mixed
  /// bank is sum over (n, m, i) of a_n a_m s_i^2 G[n,m,o,i] with G = sum over k of W_n W_m. No bank is mixed, and none is built for a
  /// sample.
  template <class X, class S, class K>
  static constexpr auto several(X x, S s, K kernel_mod) {
    constexpr std::int64_t batch = X::shape()[0], t = X::shape()[2], h = X::shape()[3], v = X::shape()[4], n = kernels;
    const auto w = normalized_bank(detail::learned<"weights", make_extents(n, out, Dim, kt, ks, ks), init>, axes<2, 3, 4, 5>);
    const auto a = volute::softmax(kernel_mod, axis<1>);
    const auto mixed = reshape(a, shape<batch, n, 1>) * reshape(s, shape<batch, 1, Dim>);  // (B, N, I)
    const auto wide =
        reshape(reshape(x, shape<batch, 1, Dim, t, h, v>) * reshape(mixed, shape<batch, n, Dim, 1, 1, 1>), shape<batch, n * Dim, t, h, v>);
    const auto bank = reshape(transpose(w, axes<1, 0, 2, 3, 4, 5>), shape<out, n * Dim, kt, ks, ks>);
    const auto y = apply<ops::conv3d{options}>(wide, bank);
    if constexpr (settings.demod) {
      const auto pairs =
          sum(reshape(w, shape<n, 1, out, Dim, kt * ks * ks>) * reshape(w, shape<1, n, out, Dim, kt * ks * ks>), axes<4>);  // (N, N, O, I)
      const auto weights = reshape(mixed, shape<batch, n, 1, Dim>) * reshape(mixed, shape<batch, 1, n, Dim>);
      const auto q =
          linear(reshape(weights, shape<batch, n * n * Dim>), reshape(transpose(pairs, axes<2, 0, 1, 3>), shape<out, n * n * Dim>));
      return gained(y * per_sample_channel(demodulation(q)));
    } else {
      return gained(y);
    }
  }
};

}  // namespace nn
}  // namespace volute
