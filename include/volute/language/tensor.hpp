// Reductions, shapes and matrix products.
#pragma once

#include <volute/language/elementwise.hpp>
#include <volute/language/options.hpp>

namespace volute {

// clang-format off
/// Sum over all elements, or over some axes, which disappear unless `keepdims` is given: sum(x, axes<2, 3, 4>).
template <expression A> constexpr auto sum(A a) { return apply<ops::reduction_over{ops::reduction::sum, 0, false}>(a); }
template <expression A, int... X> constexpr auto sum(A a, option::axes<X...>) {
  return apply<ops::reduction_over{ops::reduction::sum, option::axes<X...>::set(A::shape().rank), false}>(a);
}
template <expression A, int... X> constexpr auto sum(A a, option::axes<X...>, option::keepdims) {
  return apply<ops::reduction_over{ops::reduction::sum, option::axes<X...>::set(A::shape().rank), true}>(a);
}

/// Largest element over all axes or some; equal maxima share the derivative (as torch.amax).
template <expression A> constexpr auto maximum(A a) { return apply<ops::reduction_over{ops::reduction::maximum, 0, false}>(a); }
template <expression A, int... X> constexpr auto maximum(A a, option::axes<X...>) {
  return apply<ops::reduction_over{ops::reduction::maximum, option::axes<X...>::set(A::shape().rank), false}>(a);
}
template <expression A, int... X> constexpr auto maximum(A a, option::axes<X...>, option::keepdims) {
  return apply<ops::reduction_over{ops::reduction::maximum, option::axes<X...>::set(A::shape().rank), true}>(a);
}
/// Mean over all elements, or over some axes; of equal numbers it is that number.
template <expression A> constexpr auto mean(A a) { return apply<ops::reduction_over{ops::reduction::mean, 0, false}>(a); }
template <expression A, int... X> constexpr auto mean(A a, option::axes<X...>) {
  return apply<ops::reduction_over{ops::reduction::mean, option::axes<X...>::set(A::shape().rank), false}>(a);
}
template <expression A, int... X> constexpr auto mean(A a, option::axes<X...>, option::keepdims) {
  return apply<ops::reduction_over{ops::reduction::mean, option::axes<X...>::set(A::shape().rank), true}>(a);
}

/// The same elements, row-major, under another shape; one extent may be -1.
template <expression A, std::int64_t... D> constexpr auto reshape(A a, shape_constant<D...>) { return apply<ops::reshape_to{make_extents(D...)}>(a); }
/// (N, a, b, ...) -> (N, a * b * ...).
template <expression A> constexpr auto flatten(A a) { return apply<ops::flatten_from{1}>(a); }
/// Repeated to a larger shape, as operands of a function are by themselves: broadcast_to(v, shape<4, 8>).
template <expression A, std::int64_t... D> constexpr auto broadcast_to(A a, shape_constant<D...>) { return apply<ops::broadcast_to{make_extents(D...)}>(a); }
/// Axis i of the result is axis X[i] of the operand: transpose(x, axes<0, 2, 1>).
template <expression A, int... X> constexpr auto transpose(A a, option::axes<X...>) { return apply<ops::permute{option::axes<X...>::list}>(a); }
/// Part of one axis: slice(x, axis<2>, range<0, 8>).
template <expression A, int X, std::int64_t S, std::int64_t E, std::int64_t Step>
constexpr auto slice(A a, option::axis<X>, option::range<S, E, Step>) {
  return apply<ops::slice_axis{option::axis<X>::index(A::shape().rank), S, E, Step}>(a);
}
/// One after another along an axis: concat(axis<1>, a, b, c).
template <int X, expression A, expression... B> constexpr auto concat(option::axis<X>, A a, B... b) {
  return apply<ops::concat_along{option::axis<X>::index(A::shape().rank)}>(a, b...);
}
/// `lo` before and `hi` behind each axis, as shapes: pad(x, shape<0, 0, 1, 1, 1>, shape<0, 0, 1, 1, 1>). The value is 0 or what is given.
template <expression A, std::int64_t... L, std::int64_t... H> constexpr auto pad(A a, shape_constant<L...>, shape_constant<H...>) {
  return apply<ops::pad_axes{make_extents(L...), make_extents(H...), 0}>(a);
}
template <expression A, std::int64_t... L, std::int64_t... H, double V> constexpr auto pad(A a, shape_constant<L...>, shape_constant<H...>, constant_node<V, extents{}>) {
  return apply<ops::pad_axes{make_extents(L...), make_extents(H...), V}>(a);
}
// clang-format on

/// A vector (C) as (C, 1, 1, 1), so that it broadcasts over volumes channel by channel.
template <expression A>
constexpr auto per_channel(A a) {
  if constexpr (is_failed<A>)
    return a;
  else
    return apply<ops::reshape_to{make_extents(A::shape().size(), 1, 1, 1)}>(a);
}
/// A matrix (N, C) as (N, C, 1, 1, 1): one number for each sample and channel.
template <expression A>
constexpr auto per_sample_channel(A a) {
  if constexpr (is_failed<A>)
    return a;
  else
    return apply<ops::reshape_to{make_extents(A::shape()[0], A::shape().stride(0), 1, 1, 1)}>(a);
}

// clang-format off
/// (..., m, k) x (..., k, n) -> (..., m, n); leading axes broadcast. A vector is a row on the left and a column on the right, and its axis
/// is left out of the result. (torch.matmul)
template <expression A, expression B> constexpr auto matmul(A a, B b) { return apply<ops::matrix_product{false}>(a, b); }
/// x (..., in) times the transpose of w (out, in), plus b (out), for any rank of x: as torch.nn.functional.linear.
template <expression X, expression W> constexpr auto linear(X x, W w) { return apply<ops::matrix_product{true}>(x, w); }
template <expression X, expression W, expression B> constexpr auto linear(X x, W w, B b) { return apply<ops::matrix_product{true}>(x, w) + b; }
// clang-format on

}  // namespace volute
