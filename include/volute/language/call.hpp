// Applying a module makes one node that names it. Its body is worked out over formal arguments, once for each distinct pair of module and
// argument shapes, and looked into only by the lowering: so the printed name of an expression does not double at each skip connection,
// equal layers share everything the compiler has to do, and errors know their place.
#pragma once

#include <volute/language/expression.hpp>

#include <utility>

namespace volute {

/// Modules that stand in a row: each is applied to the result of the one before. The body of nn::sequential.
template <class... Modules>
struct sequence {
  static constexpr int length = sizeof...(Modules);
};

/// A sequence over an argument of this shape, with its resulting shape.
template <class Sequence, extents In, extents Out>
struct sequence_body : expression_tag {
  static constexpr binding_state state = binding_state::open;
  static constexpr extents shape() { return Out; }
};

/// The trait behind body_t.
template <class M, extents... S>
struct body_of;

/// The body of module M for arguments of these shapes: an expression over formals, a sequence_body, or a failure.
template <class M, extents... S>
using body_t = typename body_of<M, S...>::type;

/// The name that a module puts into the path of what is inside it; empty for most.
template <class M>
constexpr auto label_of() {
  if constexpr (requires { M::label; })
    return M::label;
  else
    return text("");
}

/// A module applied to arguments.
template <class M, expression... Arguments>
struct call : expression_tag {
  using body = body_t<M, Arguments::shape()...>;
  static constexpr binding_state state = detail::joint_state<Arguments...>();
  static constexpr extents shape() { return body::shape(); }
};

/// Applies a module by its type. Failures inside carry the module's label from here on.
template <class M, expression... E>
constexpr auto invoke(E...) {
  using bad = typename detail::first_failed<E...>::type;
  if constexpr (!std::is_void_v<bad>) {
    return bad{};
  } else {
    using body = body_t<M, E::shape()...>;
    if constexpr (is_failed<body>) {
      using failure = typename detail::prefixed<label_of<M>(), body>::type;
      if constexpr (detail::joint_state<E...>() == binding_state::closed) {
        static_assert(detail::accepted<detail::refused_for<failure>>::value);
        return reported{};
      } else {
        return failure{};
      }
    } else {
      return call<M, E...>{};
    }
  }
}

namespace detail {

/// Walking a sequence: the shape so far as a type, the position as a value, so that equal layers at different places share instantiations.
template <extents S>
struct stage {
  int index = 0;
};
template <class F>
struct broken {
  int index = 0;
};
template <class M>
struct link {};

template <extents S, class M>
constexpr auto operator>>(stage<S> s, link<M>) {
  using inner = decltype(invoke<M>(formal<0, S>{}));
  if constexpr (is_failed<inner>)
    return broken<inner>{label_of<M>().view().empty() ? s.index : -1};
  else
    return stage<inner::shape()>{s.index + 1};
}
template <class F, class M>
constexpr broken<F> operator>>(broken<F> b, link<M>) {
  return b;
}

// A fold over at most 32 modules at a time: clang refuses more than 256 operands.
template <class State, class A, class B, class C, class D, class E, class F, class G, class H, class I, class J, class K, class L, class M,
          class N, class O, class P, class... Rest>
requires(sizeof...(Rest) > 64) constexpr auto walk(State s, sequence<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Rest...>) {
  return walk(walk(s, sequence<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P>{}), sequence<Rest...>{});
}
template <class State, class... M>
constexpr auto walk(State s, sequence<M...>) {
  return (s >> ... >> link<M>{});
}

template <class Sequence, extents In, class State>
struct walked;
template <class Sequence, extents In, extents Out>
struct walked<Sequence, In, stage<Out>> {
  template <int>
  using type = sequence_body<Sequence, In, Out>;
};
template <int Index>
constexpr auto index_text() {
  constexpr line l = Index < 0 ? line() : line() << Index;  // a named module has its name for its number
  return to_text<l>();
}
template <class Sequence, extents In, class F>
struct walked<Sequence, In, broken<F>> {
  template <int Index>
  using type = typename prefixed<index_text<Index>(), F>::type;
};

template <class Sequence, extents In>
struct sequence_of {
  static constexpr auto end = walk(stage<In>{}, Sequence{});
  using type = typename walked<Sequence, In, std::remove_const_t<decltype(end)>>::template type<end.index>;
};

template <class M, class I, extents... S>
struct function_body;
template <class M, std::size_t... I, extents... S>
struct function_body<M, std::index_sequence<I...>, S...> {
  static constexpr auto make() {
    if constexpr (requires { M::forward(formal<static_cast<int>(I), S>{}...); })
      return M::forward(formal<static_cast<int>(I), S>{}...);
    else
      return M{}(formal<static_cast<int>(I), S>{}...);
  }
  using type = decltype(make());
};

}  // namespace detail

template <class M, extents... S>
struct body_of {
  using type = typename detail::function_body<M, std::make_index_sequence<sizeof...(S)>, S...>::type;
};
template <class M, extents S>
requires requires { typename M::modules; }
struct body_of<M, S> {
  using type = typename detail::sequence_of<typename M::modules, S>::type;
};

}  // namespace volute
