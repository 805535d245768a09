// Layers of attention. Their scores are never built: see volute::attention.
#pragma once

#include <volute/nn/convolution.hpp>

namespace volute {
namespace nn {

namespace detail {

/// Shapes and orders of axes between (..., L, Count * Heads * D) and (Count, ..., Heads, L, D), and back from (..., Heads, L, D).
constexpr extents apart_in_heads(extents e, std::int64_t count, std::int64_t heads) {
  const std::int64_t features = e[e.rank - 1] / (count * heads);
  e[e.rank - 1] = count;
  e.push_back(heads), e.push_back(features);
  return e;
}
constexpr extents heads_first(int rank) {
  extents o = make_extents(rank - 1);
  for (int a = 0; a + 2 < rank; ++a) o.push_back(a);
  o.push_back(rank), o.push_back(rank - 2), o.push_back(rank + 1);
  return o;
}
constexpr extents tokens_first(int rank) {
  extents o;
  for (int a = 0; a < rank; ++a) o.push_back(a == rank - 3 ? rank - 2 : a == rank - 2 ? rank - 3 : a);
  return o;
}
constexpr extents heads_together(extents e) {
  const std::int64_t features = e[e.rank - 3] * e[e.rank - 1];
  e[e.rank - 3] = e[e.rank - 2], e[e.rank - 2] = features;
  e.rank -= 1;
  return e;
}
constexpr extents without_first(const extents& e) {
  extents s;
  for (int a = 1; a < e.rank; ++a) s.push_back(e[a]);
  return s;
}

/// Count projections that stand beside each other, each in heads.
template <std::int64_t Count, std::int64_t Heads, expression X>
constexpr auto to_heads(X x) {
  return apply<ops::permute{heads_first(X::shape().rank)}>(apply<ops::reshape_to{apart_in_heads(X::shape(), Count, Heads)}>(x));
}
template <expression Y>
constexpr auto from_heads(Y y) {
  constexpr extents e = Y::shape();
  return apply<ops::reshape_to{heads_together(e)}>(apply<ops::permute{tokens_first(e.rank)}>(y));
}
/// Number I of the first axis, which goes.
template <std::int64_t I, expression X>
constexpr auto item(X x) {
  return apply<ops::reshape_to{without_first(X::shape())}>(slice(x, axis<0>, range<I, I + 1>));
}

}  // namespace detail

/// Attention between projections of query (..., L, Embed), key and value (..., S, Embed) in heads, projected again: (..., L, Embed). With
/// one argument it is all three; a fourth one is a mask that repeats to (..., Heads, L, S), 0 where a key is not seen (the opposite of
/// PyTorch's). Options: no_bias, causal. Parameters: in_proj_weight (3 Embed, Embed), U of Xavier, in_proj_bias (3 Embed), zeros,
/// out_proj.weight (Embed, Embed), U(-1/sqrt(Embed), 1/sqrt(Embed)), out_proj.bias (Embed), zeros. As torch.nn.MultiheadAttention with
/// batch_first, without its weights.
template <std::int64_t Embed, std::int64_t Heads, class... O>
struct multihead_attention : layer<multihead_attention<Embed, Heads, O...>> {
  static constexpr text kind = "multihead_attention";
  static constexpr int unknown = detail::unknown_option({std::is_same_v<O, no_bias> || std::is_same_v<O, nn::causal>...});

  template <expression X>
  static constexpr auto forward(X x) {
    return checked(x, x, x);
  }
  template <expression Q, expression K, expression V>
  static constexpr auto forward(Q q, K k, V v) {
    return checked(q, k, v);
  }
  template <expression Q, expression K, expression V, expression M>
  static constexpr auto forward(Q q, K k, V v, M mask) {
    return checked(q, k, v, attn_mask(mask));
  }

 private:
  static constexpr ops::inferred check(const extents* x) {
    if (Embed < 1) return ops::refuse(line("attention: features >= 1"), line("got ") << Embed);
    if (Heads < 1 || Embed % Heads != 0) return ops::refuse(line("multihead_attention: heads | ") << Embed, line("got ") << Heads);
    for (int i = 0; i < 3; ++i)
      if (x[i].rank < 2 || x[i][x[i].rank - 1] != Embed)
        return ops::refuse(line("attention wants (..., L, ") << Embed << ")", line("got ") << x[i]);
    return {};
  }
  template <class Q, class K, class V, class... M>
  static constexpr auto checked(Q q, K k, V v, M... mask) {
    constexpr ops::inferred r = [] {
      const extents shapes[]{Q::shape(), K::shape(), V::shape()};
      return check(shapes);
    }();
    if constexpr (unknown > 0)
      return detail::refuse_option<kind, unknown>();
    else if constexpr (!r.ok())
      return detail::refuse<r>();
    else if constexpr (detail::has<nn::causal, O...>)
      return made(q, k, v, volute::causal, mask...);
    else
      return made(q, k, v, mask...);
  }
  template <class Q, class K, class V, class... A>
  static constexpr auto made(Q q, K k, V v, A... options) {
    if constexpr (std::is_same_v<Q, K> && std::is_same_v<K, V>) {
      const auto all = detail::to_heads<3, Heads>(projected<0, 3>(q));
      return finished(attention(detail::item<0>(all), detail::item<1>(all), detail::item<2>(all), options...));
    } else {
      const auto one = [](auto part) { return detail::item<0>(detail::to_heads<1, Heads>(part)); };
      return finished(attention(one(projected<0, 1>(q)), one(projected<1, 2>(k)), one(projected<2, 3>(v)), options...));
    }
  }
  /// Projections Begin to End of x.
  template <std::int64_t Begin, std::int64_t End, class X>
  static constexpr auto projected(X x) {
    constexpr initializer xavier{initializer::uniform, detail::root(6.0 / (4.0 * Embed))};
    const auto rows = range<Begin * Embed, End * Embed>;
    const auto y = linear_of(x, slice(detail::learned<"in_proj_weight", make_extents(3 * Embed, Embed), xavier>, axis<0>, rows));
    if constexpr (detail::has<no_bias, O...>)
      return y;
    else
      return y + slice(detail::learned<"in_proj_bias", make_extents(3 * Embed), initializer{}>, axis<0>, rows);
  }
  template <class X, class W>
  static constexpr auto linear_of(X x, W w) {
    return apply<ops::matrix_product{true}>(x, w);
  }
  template <class Y>
  static constexpr auto finished(Y y) {
    if constexpr (is_failed<Y>) {
      return y;
    } else {
      const auto z =
          linear_of(detail::from_heads(y), detail::learned<"out_proj.weight", make_extents(Embed, Embed), detail::uniform_for(Embed)>);
      if constexpr (detail::has<no_bias, O...>)
        return z;
      else
        return z + detail::learned<"out_proj.bias", make_extents(Embed), initializer{}>;
    }
  }
};

// clang-format off
/// Extents of the windows of shifted_window_attention, and by how much they are moved: three numbers (d, h, w), or two (h, w).
template <std::int64_t... V> struct window { static constexpr extents value = make_extents(V...); };
template <std::int64_t... V> struct shift { static constexpr extents value = make_extents(V...); };
// clang-format on

}  // namespace nn
template <std::int64_t... V>
inline constexpr int option::says<nn::window<V...>> = 25;
template <std::int64_t... V>
inline constexpr int option::says<nn::shift<V...>> = 26;
namespace nn {
namespace detail {

template <class O>
inline constexpr bool is_window = false;
template <std::int64_t... V>
inline constexpr bool is_window<window<V...>> = true;
template <class O>
inline constexpr bool is_shift = false;
template <std::int64_t... V>
inline constexpr bool is_shift<shift<V...>> = true;

/// How one axis is cut into windows.
struct window_axis {
  std::int64_t extent = 1, window = 1, shift = 0, full = 1;  // full: the window of the layer's bias
  constexpr std::int64_t count() const { return (extent + window - 1) / window; }
  constexpr std::int64_t padded() const { return count() * window; }
};
/// The three axes of a volume, or of a plane (depth 1), as Swin transformers cut them: along an axis that is no longer than a window,
/// windows do not move, and in a volume they are as long as the axis.
struct window_axes {
  window_axis axis[3]{};
  constexpr std::int64_t windows() const { return axis[0].count() * axis[1].count() * axis[2].count(); }
  constexpr std::int64_t tokens() const { return axis[0].window * axis[1].window * axis[2].window; }
  constexpr bool moves() const { return axis[0].shift + axis[1].shift + axis[2].shift > 0; }
  constexpr std::int64_t table() const { return (2 * axis[0].full - 1) * (2 * axis[1].full - 1) * (2 * axis[2].full - 1); }
};
constexpr window_axes cut_into_windows(const extents& x, const extents& window, const extents& shift) {
  window_axes w;
  for (int a = 0; a < window.rank; ++a) {
    window_axis& axis = w.axis[3 - window.rank + a];
    axis = {x[1 + a], window[a], shift.rank > 0 ? shift[a] : 0, window[a]};
    if (axis.padded() <= axis.window) axis.shift = 0;
    if (window.rank == 3 && axis.extent <= axis.window) axis.window = axis.extent;
  }
  return w;
}

/// A number for each position of three axes: the sum of one for each axis, `Part`(axis) of length `extent`, or (count, window) apart.
template <class D, class H, class W>
constexpr auto on_grid(D d, H h, W w) {
  return reshape(d, shape<D::shape()[0], 1, 1>) + reshape(h, shape<H::shape()[0], 1>) + w;
}
template <window_axes A, class D, class H, class W>
constexpr auto in_windows(D d, H h, W w) {
  constexpr window_axis a = A.axis[0], b = A.axis[1], c = A.axis[2];
  return reshape(d, shape<a.count(), 1, 1, a.window, 1, 1>) + reshape(h, shape<b.count(), 1, 1, b.window, 1>) +
         reshape(w, shape<c.count(), 1, 1, c.window>);
}
/// Where each token of the windows is read, negative for padding; and where each voxel is in the windows.
template <window_axes A>
constexpr auto voxels_of_windows() {
  constexpr auto part = []<int I>(std::integral_constant<int, I>) {
    constexpr window_axis a = A.axis[I];
    constexpr std::int64_t step = I == 2 ? 1 : I == 1 ? A.axis[2].extent : A.axis[1].extent * A.axis[2].extent;
    const auto position = roll<-a.shift>(arange<a.padded()>, axis<0>);
    return select(position < constant<a.extent>, position * constant<step>, constant<-(std::int64_t{1} << 40)>);
  };
  return reshape(
      in_windows<A>(part(std::integral_constant<int, 0>{}), part(std::integral_constant<int, 1>{}), part(std::integral_constant<int, 2>{})),
      shape<A.windows() * A.tokens()>);
}
template <window_axes A>
constexpr auto tokens_of_voxels() {
  constexpr auto part = []<int I>(std::integral_constant<int, I>) {
    constexpr window_axis a = A.axis[I];
    constexpr std::int64_t inner = I == 2 ? 1 : I == 1 ? A.axis[2].window : A.axis[1].window * A.axis[2].window;
    constexpr std::int64_t outer = A.tokens() * (I == 2 ? 1 : I == 1 ? A.axis[2].count() : A.axis[1].count() * A.axis[2].count());
    const auto row = reshape(arange<a.count()>, shape<a.count(), 1>) * constant<outer> + arange<a.window> * constant<inner>;
    return slice(roll<a.shift>(reshape(row, shape<a.padded()>), axis<0>), axis<0>, range<0, a.extent>);
  };
  return reshape(
      on_grid(part(std::integral_constant<int, 0>{}), part(std::integral_constant<int, 1>{}), part(std::integral_constant<int, 2>{})),
      shape<A.axis[0].extent * A.axis[1].extent * A.axis[2].extent>);
}
/// Tokens that were neighbours before the windows moved have one number: (windows, 1, tokens).
template <window_axes A>
constexpr auto groups_of_tokens() {
  constexpr auto part = []<int I>(std::integral_constant<int, I>) {
    constexpr window_axis a = A.axis[I];
    const auto p = arange<a.padded()>;
    return ((p >= constant<a.padded() - a.window>)+(p >= constant<a.padded() - a.shift>)) * constant < I == 2 ? 1 : I == 1 ? 3 : 9 > ;
  };
  return reshape(
      in_windows<A>(part(std::integral_constant<int, 0>{}), part(std::integral_constant<int, 1>{}), part(std::integral_constant<int, 2>{})),
      shape<A.windows(), 1, A.tokens()>);
}
/// The row of the table of relative positions for each pair of tokens, which are numbered as in a full window.
template <window_axes A>
constexpr auto relative_positions() {
  constexpr std::int64_t d = A.axis[0].full, h = A.axis[1].full, w = A.axis[2].full, row = 2 * w - 1, plane = (2 * h - 1) * row;
  const auto all = reshape(on_grid(arange<d> * constant<plane>, arange<h> * constant<row>, arange<w>), shape<d * h * w>);
  const auto own = slice(all, axis<0>, range<0, A.tokens()>);
  return reshape(own, shape<A.tokens(), 1>) - own + constant<(d - 1) * plane + (h - 1) * row + w - 1>;
}

}  // namespace detail

/// Attention within windows of a volume (N, D, H, W, C), or of a plane (N, H, W, C), which may be moved: the block of Swin transformers
/// (Liu et al. 2021, https://arxiv.org/abs/2103.14030). Options: window<d, h, w> (needed), shift<d, h, w>, no_bias (of qkv). Zeros are
/// appended to what windows do not divide. Indices and groups of tokens are functions of the shape alone. Parameters:
/// relative_position_bias_table (product of 2 w - 1, Heads), N(0, 0.02), qkv.weight (3 C, C), qkv.bias, proj.weight (C, C), proj.bias, as a
/// linear layer's. As torchvision's ShiftedWindowAttention3d and ShiftedWindowAttention, and MONAI's WindowAttention with its partition.
template <std::int64_t C, std::int64_t Heads, class... O>
struct shifted_window_attention : layer<shifted_window_attention<C, Heads, O...>> {
  static constexpr text kind = "shifted_window_attention";
  static constexpr int unknown =
      detail::refused_place<O...>({(std::is_same_v<O, no_bias> || detail::is_window<O> || detail::is_shift<O>)...});
  static constexpr extents window = [] {
    extents e;
    (
        [&] {
          if constexpr (detail::is_window<O>) e = O::value;
        }(),
        ...);
    return e;
  }();
  static constexpr extents shift = [] {
    extents e;
    (
        [&] {
          if constexpr (detail::is_shift<O>) e = O::value;
        }(),
        ...);
    return e;
  }();

  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::inferred r = check(X::shape());
    if constexpr (unknown != 0)
      return detail::refuse_option<kind, unknown>();
    else if constexpr (!r.ok())
      return detail::refuse<r>();
    else
      return attended(x);
  }

 private:
  static constexpr ops::inferred check(const extents& x) {
    if (C < 1) return ops::refuse(line("window attention: channels >= 1"), line("got ") << C);
    if (Heads < 1 || C % Heads != 0) return ops::refuse(line("window attention: heads | ") << C, line("got ") << Heads);
    if (window.rank < 2 || window.rank > 3) return ops::refuse(line("wants nn::window<d, h, w>"), line("got ") << window);
    if (x.rank != window.rank + 2 || x[x.rank - 1] != C)
      return ops::refuse(line("window attention: (N,...,") << C << ")", line("got ") << x << " by " << window);
    if (shift.rank != 0 && shift.rank != window.rank) return ops::refuse(line("a shift like ") << window, line("got ") << shift);
    for (int a = 0; a < window.rank; ++a)
      if (x[1 + a] == 0) return ops::refuse(line("window attention: voxels"), line("got ") << x);
    for (int a = 0; a < window.rank; ++a)
      if (window[a] < 1 || (shift.rank != 0 && (shift[a] < 0 || shift[a] >= window[a])))
        return ops::refuse(line("0 <= shift < window"), line("got ") << shift << " and " << window);
    return {};
  }
  template <class X>
  static constexpr auto attended(X x) {
    constexpr extents e = X::shape();
    constexpr detail::window_axes cut = detail::cut_into_windows(e, window, shift);
    constexpr std::int64_t voxels = cut.axis[0].extent * cut.axis[1].extent * cut.axis[2].extent;
    const auto tokens = take(reshape(x, shape<e[0], voxels, C>), axis<1>, detail::voxels_of_windows<cut>());
    const auto projected =
        invoke<named<"qkv", std::conditional_t<detail::has<no_bias, O...>, linear<C, 3 * C, no_bias>, linear<C, 3 * C>>>>(
            reshape(tokens, shape<e[0], cut.windows(), cut.tokens(), C>));
    const auto all = detail::to_heads<3, Heads>(projected);
    const auto table =
        detail::learned<"relative_position_bias_table", make_extents(cut.table(), Heads), initializer{initializer::normal, 0.02}>;
    const auto bias = transpose(take(table, axis<0>, detail::relative_positions<cut>()), axes<2, 0, 1>);
    const auto with = [&](auto... groups) {
      return attention(detail::item<0>(all), detail::item<1>(all), detail::item<2>(all), attn_bias(bias), groups...);
    };
    const auto y = [&] {
      if constexpr (cut.moves())
        return with(attn_groups(detail::groups_of_tokens<cut>()));
      else
        return with();
    }();
    const auto z = invoke<named<"proj", linear<C, C>>>(detail::from_heads(y));
    return apply<ops::reshape_to{e}>(
        take(reshape(z, shape<e[0], cut.windows() * cut.tokens(), C>), axis<1>, detail::tokens_of_voxels<cut>()));
  }
};

}  // namespace nn
}  // namespace volute
