// Applying a module makes one node that names it. Its body is worked out over formal arguments, once for each distinct pair of module and
// argument shapes, and looked into only by the lowering: so the printed name of an expression does not double at each skip connection,
// equal layers share everything the compiler has to do, and errors know their place.
#pragma once

#include <volute/language/expression.hpp>
#include <volute/language/structure.hpp>

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

/// The body of module M for arguments of these shapes: an expression over formals or a structure of several, a sequence_body, or a failure.
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
template <class M, class... Arguments>
struct call : expression_tag {
  using body = body_t<M, Arguments::shape()...>;
  using name_parts = void(Arguments...);
  static constexpr binding_state state = detail::joint_state<Arguments...>();
  static constexpr extents shape() { return body::shape(); }
};

/// Result I of a module that has several, applied to arguments; the results of one application share one evaluation.
template <int I, class M, class... Arguments>
struct result_of : expression_tag {
  using body = std::tuple_element_t<static_cast<std::size_t>(I), detail::flat_type<body_t<M, Arguments::shape()...>>>;
  using name_parts = void(Arguments...);
  static constexpr binding_state state = detail::joint_state<Arguments...>();
  static constexpr extents shape() { return body::shape(); }
};

template <class M, structured... E>
constexpr auto invoke(E...);

namespace detail {

/// The first failed type of a flat list, or void.
template <class Flat>
struct first_failed_of;
template <class... E>
struct first_failed_of<std::tuple<E...>> : first_failed<E...> {};
template <class S>
using first_failed_in = typename first_failed_of<flat_type<S>>::type;

/// Module M, whose arguments are structures, as a module of their expressions.
template <class M, class... S>
struct structured_call : M {
  template <expression... E>
  static constexpr auto forward(E...) {
    return make<E...>(std::index_sequence_for<S...>{});
  }

 private:
  template <class... E, std::size_t... I>
  static constexpr auto make(std::index_sequence<I...>) {
    constexpr auto before = [](std::size_t argument) {
      const std::size_t sizes[]{structure<S>::size..., 0};
      std::size_t n = 0;
      for (std::size_t k = 0; k < argument; ++k) n += sizes[k];
      return n;
    };
    constexpr auto argument = [](auto i) { return std::tuple_element_t<decltype(i)::value, std::tuple<E...>>{}; };
    return applied(structure<S>::template build<before(I)>(argument)...);
  }
  template <class... A>
  static constexpr auto applied(A... a) {
    if constexpr (requires { M::forward(a...); })
      return M::forward(a...);
    else
      return M{}(a...);
  }
};

/// What stands for a structure of expressions in a name: the same structure of nothing.
struct any_expression : expression_tag {
  static constexpr extents shape() { return {}; }
};
template <class S>
struct pattern {
  using type = any_expression;
};
template <class... S>
struct pattern<std::tuple<S...>> {
  using type = std::tuple<typename pattern<S>::type...>;
};
template <class A, class B>
struct pattern<std::pair<A, B>> {
  using type = std::tuple<typename pattern<A>::type, typename pattern<B>::type>;
};
template <class... S>
struct pattern<output_list<S...>> : pattern<std::tuple<S...>> {};
template <class... S>
inline constexpr bool all_expressions = (expression<S> && ...);
template <class M, class... E>
constexpr auto invoke_all(std::tuple<E...>) {
  return invoke<M>(E{}...);
}

}  // namespace detail

/// Applies a module by its type to expressions, or to structures of them; the result is what the module returns. Failures inside carry the
/// module's label from here on; in a structure of results that holds a failure each of them is that failure.
template <class M, structured... E>
constexpr auto invoke(E...) {
  if constexpr ((is_failed<E> || ...)) {
    return typename detail::first_failed<E...>::type{};
  } else if constexpr (!detail::all_expressions<E...>) {
    if constexpr (requires { typename M::modules; })
      return failed<label_of<M>(), text("sequential wants one tensor"), text("got several")>{};
    else
      return detail::invoke_all<detail::structured_call<M, typename detail::pattern<E>::type...>>(
          typename detail::structure_of_parts<E...>::flat{});
  } else {
    using body = body_t<M, E::shape()...>;
    if constexpr (expression<body> && !is_failed<body>) {  // as most are: no failure is looked for in a structure
      if constexpr (detail::parts_weight<void(E...)> <= detail::largest_name)
        return call<M, E...>{};
      else
        return detail::shortened(call<M, E...>{});
    } else if constexpr (!std::is_void_v<detail::first_failed_in<body>>) {
      using failed_body = detail::first_failed_in<body>;
      using failure = typename detail::prefixed<label_of<M>(), failed_body>::type;
      const auto everywhere = [](auto f) { return detail::map_structure(body{}, [f](auto) { return f; }); };
      if constexpr (detail::joint_state<E...>() == binding_state::closed) {
        static_assert(detail::accepted<detail::refused_for<failure>>::value);
        return everywhere(reported{});
      } else {
        return everywhere(failure{});
      }
    } else {
      return detail::structure<body>::template build<0>(
          [](auto i) { return detail::shortened(result_of<static_cast<int>(decltype(i)::value), M, E...>{}); });
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
  using bad = first_failed_in<inner>;
  if constexpr (!std::is_void_v<bad>)
    return broken<bad>{label_of<M>().view().empty() ? s.index : -1};
  else if constexpr (!expression<inner>)
    return broken<failed<label_of<M>(), text("sequential wants one result"), text("got several")>>{label_of<M>().view().empty() ? s.index
                                                                                                                                : -1};
  else
    return stage<inner::shape()>{s.index + 1};
}
template <class F, class M>
constexpr broken<F> operator>>(broken<F> b, link<M>) {
  return b;
}

template <class State, class... M>
constexpr auto walk(State s, sequence<M...>) {
  return (s >> ... >> link<M>{});
}
// A fold over at most 80 modules at a time: clang refuses more than 256 operands.
template <class State, class A, class B, class C, class D, class E, class F, class G, class H, class I, class J, class K, class L, class M,
          class N, class O, class P, class... Rest>
requires(sizeof...(Rest) > 64) constexpr auto walk(State s, sequence<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Rest...>) {
  return walk(walk(s, sequence<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P>{}), sequence<Rest...>{});
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
    if constexpr (requires { M::forward(formal<static_cast<int>(I), S, M>{}...); })
      return M::forward(formal<static_cast<int>(I), S, M>{}...);
    else if constexpr (requires { M{}(formal<static_cast<int>(I), S, M>{}...); })
      return M{}(formal<static_cast<int>(I), S, M>{}...);
    else if constexpr (requires { typename M::modules; })
      return failed<text(""), text("sequential wants one tensor"), text("got several")>{};
    else
      return failed<text(""), to_text<line("an operator() of ") << int{sizeof...(S)} << (sizeof...(S) == 1 ? " tensor" : " tensors")>(),
                    text("got none that takes them")>{};
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
