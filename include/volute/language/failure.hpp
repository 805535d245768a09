// Errors are values. A shape rule that refuses returns a `failed` expression; every function and layer hands a failed operand on, each
// named call puts its name in front of the path, and whoever is outermost reports it, once. So one mistake gives one message, with layer,
// wanted and got.
#pragma once

#include <volute/core/text.hpp>
#include <volute/ops/rule.hpp>

#include <type_traits>
#include <utility>

namespace volute {

/// Base of every expression type. One that has operands says them in `name_parts`, as a function's: that list of types costs no class.
struct expression_tag {
  using name_parts = void();
};

/// An expression: a stateless type that stands for a tensor of known shape. Copying, returning and storing one is always safe.
template <class E>
concept expression = __is_base_of(expression_tag, std::remove_cvref_t<E>);  // not the trait: it is asked of every operand

/// How far an expression is bound: made of parameters and constants only, of bound inputs, or of the formal arguments of a module that
/// is being looked into (then a failure is still on its way outwards).
enum class binding_state : char { free, closed, open };

/// The program was refused; the arguments say where, what was wanted, and what was found. Never defined: naming it is the error message.
/// clang prints a text of more than 31 characters as numbers, so a longer one comes in several.
template <text... WhereWantedGot>
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

/// Whether an expression is a failure, reported or not.
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

#ifdef __clang__
/// Part K of a line that is broken at spaces into parts of at most 31 characters.
constexpr line part_of(const line& l, int k) {
  int begin = 0;
  for (;; --k) {
    int end = begin + 31;
    if (end >= l.size) {
      end = l.size;
    } else {
      while (end > begin && l.data[end] != ' ') --end;
      if (end == begin) end = begin + 31;
    }
    if (k == 0) return line(std::string_view(l.data + begin, static_cast<std::size_t>(end - begin)));
    begin = end < l.size && l.data[end] == ' ' ? end + 1 : end;
  }
}
constexpr int parts_of(const line& l) {
  int n = 1;
  for (int used = part_of(l, 0).size; used < l.size; ++n) used += part_of(l, n).size + 1;
  return n;
}
template <line L, std::size_t... K>
auto parts(std::index_sequence<K...>) -> refused<to_text<part_of(L, static_cast<int>(K))>()...>*;
template <text... A, text... B, text... C>
auto join(refused<A...>*, refused<B...>*, refused<C...>*) -> refused<A..., B..., C...>*;
template <line L>
using parts_type = decltype(parts<L>(std::make_index_sequence<static_cast<std::size_t>(parts_of(L))>{}));

template <class F>
using refused_for = std::remove_pointer_t<decltype(join(parts_type<place<F::where>()>{}, parts_type<line(F::wanted.view())>{},
                                                        parts_type<line(F::got.view())>{}))>;
#else
template <class F>
using refused_for = refused<to_text<place<F::where>()>(), F::wanted, F::got>;
#endif

/// static_assert(accepted<refused_for<failure>>::value) is the one way in which a program is refused. clang prints the arguments of a false
/// condition; g++ does not, but names an incomplete base class and goes on. No macro: clang would add its expansion. The assertion stands
/// in the very function that was called wrongly, so that the backtrace stays short, and what that function returns absorbs the rest.
template <class Refused>
#ifdef __clang__
struct accepted : std::false_type {
};
#else
struct accepted : Refused {
  static constexpr bool value = true;
};
#endif

/// The failure that a shape rule's refusal stands for.
template <ops::inferred R>
constexpr auto refuse() {
  constexpr line wanted = R.wanted, got = R.got;
  return failed<text(""), to_text<wanted>(), to_text<got>()>{};
}

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
