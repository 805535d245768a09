// The nodes of an expression: leaves (input, parameter, constant, formal) and a function applied to operands. Nothing is computed here; a
// node carries no data and knows its shape.
#pragma once

#include <volute/language/failure.hpp>
#include <volute/language/part.hpp>
#include <volute/ops/functions.hpp>

#include <cstdint>
#include <initializer_list>

namespace volute {

/// What an input is bound to at evaluation: `x = volume`.
template <class Input, class V>
struct binding {
  using input = Input;
  V value;  // a reference for an lvalue, the object itself for a temporary
};

/// A tensor that the user binds by name when the program runs.
template <text Name, extents Shape>
struct input_node : expression_tag {
  static constexpr binding_state state = binding_state::closed;
  static constexpr text name = Name;
  static constexpr extents shape() { return Shape; }

  constexpr input_node() = default;
  constexpr input_node(const input_node&) = default;
  constexpr input_node& operator=(const input_node&) = default;

  /// Binds a value: any xtensor expression of this shape, or a number for a scalar.
  template <class V>
  requires(!expression<V>) constexpr binding<input_node, V> operator=(V&& v) const { return {static_cast<V&&>(v)}; }
};

/// How the elements of a parameter begin.
struct initializer {
  enum kind_t : std::int8_t { zeros, constant, uniform, normal } kind = zeros;
  double scale = 0;  // the constant; the bound of U(-scale, scale); the standard deviation
  friend constexpr bool operator==(const initializer&, const initializer&) = default;
};

/// A tensor that is learned. Inside a layer its name is relative to the layer's path.
template <text Name, extents Shape, initializer Init>
struct parameter_node : expression_tag {
  static constexpr binding_state state = binding_state::free;
  static constexpr text name = Name;
  static constexpr initializer init = Init;
  static constexpr extents shape() { return Shape; }

  constexpr parameter_node() = default;
  constexpr parameter_node(const parameter_node&) = default;
  constexpr parameter_node& operator=(const parameter_node&) = default;
  template <class V>
  requires(!expression<V>) constexpr binding<parameter_node, V> operator=(V&& v) const { return {static_cast<V&&>(v)}; }
};

/// A tensor that a program keeps between its runs and changes itself (see language/mode.hpp), such as running statistics; PyTorch calls it
/// a buffer. It has a path, a first value and memory like a parameter, but no gradient.
template <text Name, extents Shape, initializer Init>
struct state_node : expression_tag {
  static constexpr binding_state state = binding_state::free;
  static constexpr text name = Name;
  static constexpr initializer init = Init;
  static constexpr extents shape() { return Shape; }

  constexpr state_node() = default;
  constexpr state_node(const state_node&) = default;
  constexpr state_node& operator=(const state_node&) = default;
  template <class V>
  requires(!expression<V>) constexpr binding<state_node, V> operator=(V&& v) const { return {static_cast<V&&>(v)}; }
};

/// One number everywhere.
template <double Value, extents Shape>
struct constant_node : expression_tag {
  static constexpr binding_state state = binding_state::free;
  static constexpr double value = Value;
  static constexpr extents shape() { return Shape; }
};

/// 0, 1, ..., N - 1.
template <std::int64_t N>
struct arange_node : expression_tag {
  static constexpr binding_state state = binding_state::free;
  static constexpr extents shape() { return make_extents(N); }
};

/// Argument I of the module that is being looked into.
template <int I, extents Shape, class Module = void>
struct formal : expression_tag {
  static constexpr binding_state state = binding_state::open;
  static constexpr extents shape() { return Shape; }
};

namespace detail {

/// Whether a module is asked for its body with these arguments, rather than called.
template <class Module, class... X>
inline constexpr bool asks_for_body = false;
template <class Module, extents S, class... Rest>
inline constexpr bool asks_for_body<Module, formal<0, S, Module>, Rest...> = true;

/// What the shape rule of a function says of operands of these shapes. Too large an operand is refused first.
template <class Function>
constexpr ops::inferred infer(const Function& f, std::initializer_list<extents> shapes) {
  for (const extents& e : shapes)
    if (e.size() > ops::most_elements) return ops::check_size(e);
  const ops::inferred r = f.infer(shapes.begin(), static_cast<int>(shapes.size()));
  return r.ok() ? ops::check_size(r.shape) : r;
}

}  // namespace detail

/// The function F of some operands, which are expressions. (Not asked again: whoever writes one has asked, and g++ 12 keeps 6 KB an answer.)
template <auto F, class... Operands>
struct node : expression_tag {
  using name_parts = void(Operands...);
  static constexpr binding_state state = detail::joint_state<Operands...>();
  static constexpr extents shape() { return inferred.shape; }

  static constexpr ops::inferred inferred = detail::infer(F, {Operands::shape()...});
};

template <int I, extents Shape, class Module>
struct detail::module_around<formal<I, Shape, Module>> : std::type_identity<Module> {};

/// The failure that a refused shape rule stands for.
template <auto F, class... E>
struct refusal {
  static constexpr line wanted = node<F, E...>::inferred.wanted, got = node<F, E...>::inferred.got;
  using type = failed<text(""), to_text<wanted>(), to_text<got>()>;
};

/// The node F(operands...), its shape checked. A failed operand is handed on; a refusal is reported at once where the mistake is in view
/// (inputs are bound), and handed on inside a module.
template <auto F, class... E>
constexpr auto apply(E...) {
  if constexpr ((is_failed<E> || ...)) {
    return typename detail::first_failed<E...>::type{};
  } else if constexpr (node<F, E...>::inferred.ok()) {
    if constexpr (detail::parts_weight<void(E...)> <= detail::largest_name)
      return node<F, E...>{};
    else
      return detail::shortened(node<F, E...>{});
  } else {
    using failure = typename refusal<F, E...>::type;
    if constexpr (detail::joint_state<E...>() == binding_state::closed) {
      static_assert(detail::accepted<detail::refused_for<failure>>::value);
      return reported{};
    } else {
      return failure{};
    }
  }
}

/// `input<"x", 1, 8, 16, 16, 16>`: a tensor bound at evaluation.
template <text Name, std::int64_t... D>
inline constexpr input_node<Name, make_extents(D...)> input{};

/// `parameter<"w", 8, 1, 3, 3, 3>`: a learned tensor. Starts at zero unless bound, loaded or initialised by a layer.
template <text Name, std::int64_t... D>
inline constexpr parameter_node<Name, make_extents(D...), initializer{}> parameter{};

/// `state<"count", 1>`: a tensor that lives from run to run, zero at first; updating(y, state, value) changes it.
template <text Name, std::int64_t... D>
inline constexpr state_node<Name, make_extents(D...), initializer{}> state{};

/// `constant<0.5>`, or `constant<1, 4, 8>`: the value, then the shape (none: a scalar, which broadcasts against everything).
template <auto Value, std::int64_t... D>
inline constexpr constant_node<static_cast<double>(Value), make_extents(D...)> constant{};

/// 0, 1, ..., N - 1 as a vector.
template <std::int64_t N>
inline constexpr arange_node<N> arange{};

namespace detail {
template <char... C>
constexpr double parse_number() {
  constexpr char s[]{C..., '\0'};
  double v = 0, place = 1;
  int exponent = 0, sign = 1;
  bool fraction = false;
  std::size_t i = 0;
  for (; i < sizeof...(C) && s[i] != 'e' && s[i] != 'E'; ++i) {
    if (s[i] == '\'') continue;
    if (s[i] == '.') {
      fraction = true;
      continue;
    }
    v = v * 10 + (s[i] - '0');
    if (fraction) place *= 10;
  }
  if (i < sizeof...(C)) {
    ++i;
    if (s[i] == '-' || s[i] == '+') sign = s[i++] == '-' ? -1 : 1;
    for (; i < sizeof...(C); ++i) exponent = exponent * 10 + (s[i] - '0');
  }
  for (int k = 0; k < exponent; ++k) (sign > 0 ? v : place) *= 10;
  return v / place;
}
}  // namespace detail

namespace literals {

/// A number inside an expression: `mod + 1_c`, `0.5_c * x`. It is part of the type, as everything in an expression is.
template <char... C>
constexpr constant_node<volute::detail::parse_number<C...>(), extents{}> operator""_c() {
  return {};
}

}  // namespace literals
using namespace literals;

}  // namespace volute
