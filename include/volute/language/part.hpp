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

/// How large the type of an expression is: types in it, the highest level of the parts in it (-1: none), and whose body it stands in (void:
/// in none; looked into for large ones only). Specialised beside each kind of expression that has operands.
template <class E>
struct name_size {
  static constexpr int weight = 1, level = -1;
  using module = std::type_identity<void>;
};
template <class Module, int Level, int Index>
struct name_size<body_part<Module, Level, Index>> {
  static constexpr int weight = 1, level = Level;
  using module = std::type_identity<Module>;
};
template <class E>
using module_of = typename name_size<E>::module::type;
template <class... E>
struct first_module : std::type_identity<void> {};
template <class E, class... Rest>
struct first_module<E, Rest...> : std::conditional_t<std::is_void_v<module_of<E>>, first_module<Rest...>, std::type_identity<module_of<E>>> {};
template <class... E>
struct joint_name_size {
  static constexpr int weight = 1 + (0 + ... + name_size<E>::weight);
  static constexpr int level = std::max({-1, name_size<E>::level...});
  using module = first_module<E...>;
};

/// The first part of this level that has no definition yet; E becomes its definition. The answer is the same wherever it is asked for E,
/// for it is asked once.
template <class E, int Index>
struct new_part {
  using candidate = body_part<module_of<E>, name_size<E>::level + 1, Index>;
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
inline constexpr bool has_short_name = name_size<E>::weight <= largest_name;
template <class E>
constexpr auto shortened(E e) {
  if constexpr (has_short_name<E>)
    return e;
  else if constexpr (std::is_void_v<module_of<E>>)
    return e;
  else
    return find_part<E>();
}

}  // namespace detail
}  // namespace volute
