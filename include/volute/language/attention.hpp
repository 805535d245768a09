// Scaled dot-product attention.
#pragma once

#include <volute/language/elementwise.hpp>
#include <volute/language/options.hpp>
#include <volute/ops/attention.hpp>

namespace volute {
namespace option {

/// Numbers that are added to the scores of attention: a tensor that repeats to (..., L, S). Several add up; two of them are added where the
/// scores are, so that one may differ between heads and one between windows.
template <expression E>
struct attn_bias {};
/// Which keys a query sees: those where a tensor that repeats to (..., L, S) is not 0.
template <expression E>
struct attn_mask {};
/// Which keys a query sees: those with its own number in a tensor that repeats to (..., L). Never larger than the tokens.
template <expression E>
struct attn_groups {};
/// By what the scores are multiplied; 1 / sqrt(features) where it is not given.
template <double S>
struct attn_scale {};

// clang-format off
template <expression E> inline constexpr int says<attn_mask<E>> = 16;
template <expression E> inline constexpr int says<attn_groups<E>> = 16;
template <double S> inline constexpr int says<attn_scale<S>> = 17;
// clang-format on

}  // namespace option

// clang-format off
/// Options of attention: a bias, a mask (torch attn_mask of booleans), groups of tokens, the scale. See volute::option for each.
template <expression E> constexpr option::attn_bias<E> attn_bias(E) { return {}; }
template <expression E> constexpr option::attn_mask<E> attn_mask(E) { return {}; }
template <expression E> constexpr option::attn_groups<E> attn_groups(E) { return {}; }
template <auto S> inline constexpr option::attn_scale<static_cast<double>(S)> attn_scale{};
// clang-format on

namespace detail {

/// The options of one call, gathered.
template <class Bias = void, class Mask = void, ops::attended F = ops::attended{}>
struct attention_settings {
  using bias = Bias;
  using mask = Mask;
  static constexpr ops::attended f = F;
};
constexpr ops::attended with_bias(ops::attended f) { return f.bias = true, f; }
constexpr ops::attended with_mask(ops::attended f, ops::attention_mask m) { return f.mask = m, f; }
constexpr ops::attended with_scale(ops::attended f, double s) { return f.scaled = true, f.scale = s, f; }
constexpr ops::attended with_causal(ops::attended f) { return f.causal = true, f; }
/// A mask takes the place of a second bias, which joins the first.
template <ops::attention_mask Kind, class E, class B, class M, ops::attended F>
constexpr auto masked_by(attention_settings<B, M, F>) {
  if constexpr (F.mask == ops::attention_mask::terms)
    return attention_settings<decltype(B{} + M{}), E, with_mask(F, Kind)>{};
  else
    return attention_settings<B, E, with_mask(F, Kind)>{};
}
template <class B, class M, ops::attended F, class E>
constexpr auto with_option(attention_settings<B, M, F>, option::attn_bias<E>) {
  if constexpr (!F.bias)
    return attention_settings<E, M, with_bias(F)>{};
  else if constexpr (F.mask == ops::attention_mask::none)
    return attention_settings<B, E, with_mask(F, ops::attention_mask::terms)>{};
  else
    return attention_settings<decltype(B{} + E{}), M, F>{};
}
template <class B, class M, ops::attended F, class E>
constexpr auto with_option(attention_settings<B, M, F> s, option::attn_mask<E>) {
  return masked_by<ops::attention_mask::elements, E>(s);
}
template <class B, class M, ops::attended F, class E>
constexpr auto with_option(attention_settings<B, M, F> s, option::attn_groups<E>) {
  return masked_by<ops::attention_mask::groups, E>(s);
}
template <class B, class M, ops::attended F, double S>
constexpr auto with_option(attention_settings<B, M, F>, option::attn_scale<S>) {
  return attention_settings<B, M, with_scale(F, S)>{};
}
template <class B, class M, ops::attended F>
constexpr auto with_option(attention_settings<B, M, F>, option::causal) {
  return attention_settings<B, M, with_causal(F)>{};
}
template <class O>
concept attention_option = requires(O o) {
  with_option(attention_settings<>{}, o);
};
template <class S>
constexpr S with_options(S s) {
  return s;
}
template <class S, class O, class... Rest>
constexpr auto with_options(S s, O o, Rest... rest) {
  return with_options(with_option(s, o), rest...);
}

/// The place, counted from 1, of the first of these options that attention does not know; else of one that comes again; else 0.
template <class... O>
constexpr int refused_place() {
  int place = 0;
  for (const bool known : {attention_option<O>..., true}) {
    ++place;
    if (!known) return place;
  }
  return option::said_again<O...>();
}
/// Refuses it.
template <class... O>
struct refused_option {
  template <expression... E>
  static constexpr auto forward(E...) {
    constexpr int place = refused_place<O...>();
    if constexpr ((attention_option<O> && ...)) {
      return option::refuse_said_again<"attention", place>();
    } else {
      constexpr line got = line("got option ") << place;
      return failed<text(""), text("attention has no such option"), to_text<got>()>{};
    }
  }
};

}  // namespace detail

/// softmax(scale q k^T + bias) v: q (..., L, D), k (..., S, D), v (..., S, E) give (..., L, E); leading axes broadcast. Options, in any
/// order: attn_bias(b) (several add up), attn_mask(m) or attn_groups(g), causal (query i sees keys 0 to i), attn_scale<s>. The scores
/// (..., L, S) are never built, nor in the gradients by q, k, v and the first bias; that by a second one and derivatives of second and
/// higher order are formulas that build them. A query that sees no key gives 0, and so do its gradients. (torch
/// scaled_dot_product_attention; Dao et al. 2022, https://arxiv.org/abs/2205.14135.)
template <expression Q, expression K, expression V, class... O>
constexpr auto attention(Q q, K k, V v, O...) {
  if constexpr (detail::refused_place<O...>() > 0) {
    return invoke<detail::refused_option<O...>>(q, k, v);
  } else {
    using settings = decltype(detail::with_options(detail::attention_settings<>{}, O{}...));
    using bias = typename settings::bias;
    using mask = typename settings::mask;
    if constexpr (!std::is_void_v<bias> && !std::is_void_v<mask>)
      return apply<settings::f>(q, k, v, bias{}, mask{});
    else if constexpr (!std::is_void_v<bias>)
      return apply<settings::f>(q, k, v, bias{});
    else if constexpr (!std::is_void_v<mask>)
      return apply<settings::f>(q, k, v, mask{});
    else
      return apply<settings::f>(q, k, v);
  }
}

}  // namespace volute
