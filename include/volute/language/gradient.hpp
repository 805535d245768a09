// Gradients as expressions, and lists of results.
#pragma once

#include <volute/language/call.hpp>

#include <tuple>

namespace volute {

/// No cotangent: the gradient of a scalar.
struct no_cotangent {
  using name_parts = void();
};

/// Gradient I of <y, cotangent> by the variables Wrt...; an expression like any other.
template <expression Y, class Cotangent, int I, expression... Wrt>
struct gradient_node : expression_tag {
  using variable = std::tuple_element_t<static_cast<std::size_t>(I), std::tuple<Wrt...>>;
  using name_parts = void(Y, Cotangent, Wrt...);
  static constexpr binding_state state = detail::joint_state<Y, Wrt...>();
  static constexpr extents shape() { return variable::shape(); }
};

namespace detail {
/// A parameter's path at or below another: "generator.0.weight" below "generator".
constexpr bool path_under(std::string_view path, std::string_view of) {
  return of.empty() || (path.starts_with(of) && (path.size() == of.size() || path[of.size()] == '.'));
}
}  // namespace detail

/// Parameters of the program: those at or below one of these paths, or all of them.
template <text... Paths>
struct parameter_set {
  static constexpr bool has([[maybe_unused]] std::string_view path) {
    return sizeof...(Paths) == 0 || (detail::path_under(path, Paths.view()) || ...);
  }
  /// The first of the paths below which there is nothing, as below(path) says.
  template <class Below>
  static constexpr line without([[maybe_unused]] Below below) {
    line l;
    ((l << (l.empty() && !below(Paths.view()) ? Paths.view() : std::string_view())), ...);
    return l;
  }
};
/// All parameters of the program, as one thing to differentiate by: gradient(loss, parameters).
inline constexpr parameter_set<> parameters{};
/// Those of some parts of it: gradient(loss, parameters_under<"generator">).
template <text... Paths>
inline constexpr parameter_set<Paths...> parameters_under{};

/// The gradient of a scalar by the parameters of a set; stands in outputs(...) and is returned as a map by path.
template <expression Y, class Set = parameter_set<>>
struct parameter_gradients : expression_tag {
  static constexpr binding_state state = Y::state;
  static constexpr extents shape() { return {}; }
};

/// The weights of a non-scalar's elements: gradient(y, x, cotangent(v)) is the gradient of sum(y * v) with v held fixed.
template <expression V>
struct cotangent_of {};
/// The third operand of gradient(y, x, cotangent(v)): v has the shape of y.
template <expression V>
constexpr cotangent_of<V> cotangent(V) {
  return {};
}

namespace detail {

/// Why this gradient is refused: a failure, or void.
template <class Y, class Cotangent, class... Wrt>
constexpr auto gradient_failure() {
  using bad = typename first_failed<Y, Wrt..., Cotangent>::type;
  if constexpr (!std::is_void_v<bad>) {
    return bad{};
  } else if constexpr (std::is_same_v<Cotangent, no_cotangent>) {
    if constexpr (Y::shape().size() != 1) {
      constexpr line got = line("got ") << Y::shape() << ", no cotangent";
      return failed<text(""), text("gradient wants a scalar"), to_text<got>()>{};
    }
  } else if constexpr (!(Cotangent::shape() == Y::shape())) {
    constexpr line wanted = line("cotangent of shape ") << Y::shape();
    constexpr line got = line("got ") << Cotangent::shape();
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  }
}

/// One thing as it is, several as a tuple.
template <class First, class... Rest>
constexpr auto one_or_tuple(First first, Rest... rest) {
  if constexpr (sizeof...(Rest) == 0)
    return first;
  else
    return std::tuple{first, rest...};
}

template <class Y, class Cotangent, class... Wrt>
constexpr auto gradients() {
  using failure = decltype(gradient_failure<Y, Cotangent, Wrt...>());
  if constexpr (std::is_void_v<failure>) {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return one_or_tuple(shortened(gradient_node<Y, Cotangent, static_cast<int>(I), Wrt...>{})...);
    }
    (std::index_sequence_for<Wrt...>{});
  } else if constexpr (!std::is_same_v<failure, reported> && joint_state<Y, Wrt...>() == binding_state::closed) {
    static_assert(accepted<refused_for<failure>>::value);
    return one_or_tuple(std::conditional_t<true, reported, Wrt>{}...);
  } else {
    return one_or_tuple(std::conditional_t<true, failure, Wrt>{}...);
  }
}

}  // namespace detail

/// The gradient of a scalar y by one variable (an expression), or by several (a tuple of expressions). A variable is an input, a parameter,
/// or any expression that y is made of. Gradients of gradients work, to any order.
template <expression Y, expression... Wrt>
requires(sizeof...(Wrt) > 0) constexpr auto gradient(Y, Wrt...) { return detail::gradients<Y, no_cotangent, Wrt...>(); }
/// The gradient of sum(y * v), v held fixed.
template <expression Y, expression X, expression V>
constexpr auto gradient(Y, X, cotangent_of<V>) {
  return detail::gradients<Y, V, X>();
}
/// By several variables: a tuple.
template <expression Y, expression X1, expression X2, expression V>
constexpr auto gradient(Y, X1, X2, cotangent_of<V>) {
  return detail::gradients<Y, V, X1, X2>();
}
template <expression Y, expression X1, expression X2, expression X3, expression V>
constexpr auto gradient(Y, X1, X2, X3, cotangent_of<V>) {
  return detail::gradients<Y, V, X1, X2, X3>();
}
/// The gradient of a scalar by every parameter of the program, or of a part of it.
template <expression Y, text... Paths>
constexpr auto gradient(Y y, parameter_set<Paths...>) {
  if constexpr (is_failed<Y>)
    return y;
  else if constexpr (Y::shape().size() != 1)
    return detail::gradients<Y, no_cotangent, Y>();
  else
    return parameter_gradients<Y, parameter_set<Paths...>>{};
}

/// The results of a program or of a module, in this order: outputs(y, gradient(y, x)). Structures count as their expressions.
template <structured... S>
constexpr auto outputs(S...) {
  return
      []<class... E>(std::tuple<E...>) { return output_list<E...>{}; }(decltype(std::tuple_cat(std::declval<detail::flat_type<S>>()...)){});
}

/// A result with a name: what a program that has it as a result finds by that name (program::result).
template <text Name, expression E>
struct result_node : expression_tag {
  static constexpr binding_state state = E::state;
  static constexpr extents shape() { return E::shape(); }
};
/// named_result<"mask">(y) is y; among the results of a module or program it can be asked for by this name.
template <text Name, expression E>
constexpr auto named_result(E e) {
  if constexpr (is_failed<E>)
    return e;
  else
    return result_node<Name, E>{};
}

namespace detail {
/// The name of a result; empty for most.
template <class E>
inline constexpr line result_name{};
template <text Name, class E>
inline constexpr line result_name<result_node<Name, E>> = line(Name.view());
template <int I, class M, class... A>
inline constexpr line result_name<result_of<I, M, A...>> = result_name<typename result_of<I, M, A...>::body>;
}  // namespace detail

}  // namespace volute
