// Errors are values. A shape rule that refuses returns a `failed` expression; every function and layer hands a failed operand on, each named call puts
// its name in front of the path, and whoever is outermost reports it, once. So one mistake gives one message, with layer, wanted and got.
#pragma once

#include <volute/core/text.hpp>
#include <volute/ops/rule.hpp>

#include <type_traits>

namespace volute {

/// Base of every expression type.
struct expression_tag {};

/// An expression: a stateless type that stands for a tensor of known shape. Copying, returning and storing one is always safe.
template <class E>
concept expression = std::is_base_of_v<expression_tag, std::remove_cvref_t<E>>;

/// How far an expression is bound: made of parameters and constants only, of bound inputs, or of the formal arguments of a module that
/// is being looked into (then a failure is still on its way outwards).
enum class binding_state : char { free, closed, open };

/// The program was refused; the arguments say where, what was wanted, and what was found. Never defined: naming it is the error message.
template <text Where, text Wanted, text Got>
struct refused;

/// A failure that has been reported: absorbs whatever is done with it, so that nothing cascades.
struct reported : expression_tag {
  static constexpr binding_state state = binding_state::closed;
  static constexpr extents shape() { return {}; }
};

/// A failure on its way to whoever reports it.
template <text Where, text Wanted, text Got>
struct failed : expression_tag {
  static constexpr binding_state state = binding_state::free;
  static constexpr extents shape() { return {}; }
  static constexpr text where = Where, wanted = Wanted, got = Got;
};

template <class E>
inline constexpr bool is_failed = std::is_same_v<E, reported>;
template <text Where, text Wanted, text Got>
inline constexpr bool is_failed<failed<Where, Wanted, Got>> = true;
template <class E>
inline constexpr bool is_failed<const E> = is_failed<E>;

namespace detail {

template <text Where>
constexpr line place() {
  line l;
  if (Where.view().empty()) return l << "top level";
  return l << "layer " << Where.view();
}

template <class F>
using refused_for = refused<to_text<place<F::where>()>(), F::wanted, F::got>;
/// static_assert(accepted<refused_for<failure>>::value) is the one way in which a program is refused. clang prints the arguments of a false condition;
/// g++ does not, but names an incomplete base class and goes on. No macro: clang would add its expansion. The assertion stands in the very function
/// that was called wrongly, so that the backtrace stays short, and what that function returns absorbs the rest.
template <class Refused>
#ifdef __clang__
struct accepted : std::false_type {};
#else
struct accepted : Refused {
  static constexpr bool value = true;
};
#endif

/// The first failed type of a list, or void.
template <class... E>
struct first_failed {
  using type = void;
};
template <class E, class... Rest>
struct first_failed<E, Rest...> {
  using type = typename std::conditional_t<is_failed<E>, std::type_identity<E>, first_failed<Rest...>>::type;
};

/// The same failure, seen from outside a call of this name.
template <text Name, class F>
struct prefixed {
  using type = F;
};
template <text Name, text Where, text Wanted, text Got>
struct prefixed<Name, failed<Where, Wanted, Got>> {
  static constexpr line path() {
    line l(Name.view());
    return l.append_path(Where.view());
  }
  using type = failed<to_text<path()>(), Wanted, Got>;
};

template <class... E>
constexpr binding_state joint_state() {
  binding_state s = binding_state::free;
  ((s = E::state == binding_state::open || s == binding_state::open       ? binding_state::open
        : E::state == binding_state::closed || s == binding_state::closed ? binding_state::closed
                                                                          : binding_state::free),
   ...);
  return s;
}

}  // namespace detail
}  // namespace volute
