// Short names for what is large inside a module's body. The type of an expression repeats those of its operands, so printed or mangled it
// doubles at each skip connection of one body: 16 residual additions made 1.9 GB of debug information, and a compiler that had anything to
// say of 300 ran out of memory. So an expression whose type would hold too many others gets a name instead: body_part<module, level, index>.
#pragma once

#include <volute/language/failure.hpp>

#include <algorithm>

namespace volute {

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-template-friend"
#if __GNUC__ >= 16
#pragma GCC diagnostic ignored "-Wsfinae-incomplete"  // new_part asks whether there is a definition, and part_definition makes it: meant so
#endif
#endif

/// A large expression in the body of Module; it reads parts of lower levels only.
template <class Module, int Level, int Index>
struct body_part : expression_tag {
  friend constexpr auto definition_of(body_part);
  static constexpr binding_state state = binding_state::open;
  static constexpr extents shape() { return decltype(definition_of(body_part{}))::shape(); }
};

/// Says what a part is: the function that body_part declares is defined where this is instantiated.
template <class Part, class E>
struct part_definition {
  friend constexpr auto definition_of(Part) { return E{}; }
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

namespace detail {

/// What a part is.
template <class Part>
using defined_as = decltype(definition_of(Part{}));

/// The types in the type of an expression. (Variables: with two classes of each expression g++ 12 kept 13 KB more of it.)
template <class Parts>
inline constexpr int parts_weight = 1;
template <class... E>
inline constexpr int parts_weight<void(E...)> = 1 + (0 + ... + parts_weight<typename E::name_parts>);

/// The highest level of the parts in an expression; -1: none.
template <class Parts>
inline constexpr int parts_level = -1;
template <class E>
inline constexpr int level_of = parts_level<typename E::name_parts>;
template <class Module, int Level, int Index>
inline constexpr int level_of<body_part<Module, Level, Index>> = Level;
template <class... E>
inline constexpr int parts_level<void(E...)> = std::max({-1, level_of<E>...});

/// The module in whose body an expression stands; void: in none.
template <class Parts>
struct first_module : std::type_identity<void> {};
template <class E>
struct module_around : first_module<typename E::name_parts> {};
template <class Module, int Level, int Index>
struct module_around<body_part<Module, Level, Index>> : std::type_identity<Module> {};
template <class E>
using module_of = typename module_around<E>::type;
template <class E, class... Rest>
struct first_module<void(E, Rest...)>
    : std::conditional_t<std::is_void_v<module_of<E>>, first_module<void(Rest...)>, std::type_identity<module_of<E>>> {};

/// The first part of this level that has no definition yet; E becomes its definition. The answer is the same wherever it is asked for E,
/// for it is asked once.
template <class E, int Index>
struct new_part {
  using candidate = body_part<module_of<E>, level_of<E> + 1, Index>;
  static constexpr bool taken = requires(candidate c) { definition_of(c); };
};
template <class E, int Index = 0>
constexpr auto find_part() {
  if constexpr (new_part<E, Index>::taken) {
    return find_part<E, Index + 1>();
  } else {
    (void)sizeof(part_definition<typename new_part<E, Index>::candidate, E>);
    return typename new_part<E, Index>::candidate{};
  }
}

/// An expression as others see it: under a short name if it is large and stands in a module's body.
inline constexpr int largest_name = 16;
template <class E>
constexpr auto shortened(E e) {
  if constexpr (parts_weight<typename E::name_parts> <= largest_name)
    return e;
  else if constexpr (std::is_void_v<module_of<E>>)
    return e;
  else
    return find_part<E>();
}

}  // namespace detail
}  // namespace volute
