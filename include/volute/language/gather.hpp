// Elements by their numbers: tables, the place of a maximum, and numbers as vectors. Numbers are tensors of the program's element type.
#pragma once

#include <volute/language/composite.hpp>
#include <volute/ops/gather.hpp>

namespace volute {

/// 3, 0, 0, 2 as a vector: an index that is known while compiling.
template <std::int64_t... V>
inline constexpr auto indices = concat(axis<0>, constant<V, 1>...);

/// Elements index of an axis, whose place the index's axes take: take(x, axis<1>, index), take(x, axis<0>, indices<2, 0, 0>). Zeros where
/// the index is no number of the axis. Its gradient goes to x alone, the sum where an element was taken several times. (torch index_select)
template <expression X, int A, expression I>
constexpr auto take(X x, option::axis<A>, I index) {
  return apply<ops::take{option::axis<A>::index(X::shape().rank)}>(x, index);
}
/// Rows of a table (R, D) by an index of any shape: (..., D). (torch embedding)
template <expression I, expression W>
constexpr auto embedding(I index, W weight) {
  return apply<ops::take{0}>(weight, index);
}

namespace function {

/// Axis A, and the last one, in each other's place.
template <int A, expression X>
constexpr auto swapped_with_last(X x) {
  constexpr int rank = X::shape().rank;
  return [x]<int... I>(std::integer_sequence<int, I...>) { return transpose(x, axes<(I == A ? rank - 1 : I == rank - 1 ? A : I)...>); }
  (std::make_integer_sequence<int, rank>{});
}
template <int Axis>
struct gather {
  template <expression X, expression I>
  static constexpr auto forward(X x, I index) {
    constexpr int rank = X::shape().rank, at = Axis < 0 ? Axis + rank : Axis;
    if constexpr (at < 0 || at >= rank || I::shape().rank != rank) {
      constexpr line wanted = line("gather: an index of rank ") << rank, got = line("got ") << I::shape() << ", axis " << Axis;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      return swapped_with_last<at>(apply<ops::take_along{}>(swapped_with_last<at>(x), swapped_with_last<at>(index)));
    }
  }
};
template <int Axis>
struct argmax {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    constexpr int at = Axis < 0 ? Axis + e.rank : Axis;
    if constexpr (at < 0 || at >= e.rank) {
      constexpr line wanted = line("argmax wants an axis of rank ") << e.rank, got = line("got axis ") << Axis;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      constexpr extents view = [&] {
        extents v;
        for (int a = at; a < e.rank; ++a) v.push_back(a == at ? e[at] : 1);
        return v;
      }();
      // the first: the largest of n - 1 - i
      const auto largest = equal(x, maximum(x, axes<at>, keepdims)) + (1_c - equal(x, x));
      const auto from_behind = constant<e[at] - 1> - apply<ops::reshape_to{view}>(arange<e[at]>);
      return stop_gradient(constant<e[at] - 1> - maximum(select(largest, from_behind, 0_c), axes<at>));
    }
  }
};
template <std::int64_t Classes>
struct one_hot {
  template <expression T>
  static constexpr auto forward(T labels) {
    constexpr extents column = [] {
      extents v = T::shape();
      v.push_back(1);
      return v;
    }();
    return equal(apply<ops::reshape_to{column}>(labels), arange<Classes>);
  }
};

}  // namespace function

/// x[..., index[..., j, ...], ...] along an axis: the index has x's shape but for that axis. (torch gather)
template <expression X, int A, expression I>
constexpr auto gather(X x, option::axis<A>, I index) {
  return invoke<function::gather<A>>(x, index);
}
/// The number of the first largest element along an axis, or of the first NaN; no derivative. (torch argmax)
template <expression X, int A>
constexpr auto argmax(X x, option::axis<A>) {
  return invoke<function::argmax<A>>(x);
}
/// (...) -> (..., Classes): 1 at the number, 0 elsewhere, and everywhere where it is none. (torch one_hot)
template <std::int64_t Classes, expression T>
constexpr auto one_hot(T labels) {
  return invoke<function::one_hot<Classes>>(labels);
}

}  // namespace volute
