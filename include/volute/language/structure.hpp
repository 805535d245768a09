// Several expressions as one thing: tuples of expressions, nested as one likes, as what modules take and return.
#pragma once

#include <volute/language/failure.hpp>

#include <tuple>
#include <utility>

namespace volute {

/// Several results of one program, or of one module.
template <class... E>
struct output_list {
  static constexpr int size = sizeof...(E);
};

namespace detail {

/// Of a structure: its expressions in their order as one tuple, how many, and one like it in which make(number) stands for each.
template <class S>
struct structure;
template <class E>
requires expression<E>
struct structure<E> {
  using flat = std::tuple<E>;
  static constexpr std::size_t size = 1;
  template <std::size_t First, class Make>
  static constexpr auto build(Make make) {
    return make(std::integral_constant<std::size_t, First>{});
  }
};
template <class... S>
struct structure_of_parts {
  using flat = decltype(std::tuple_cat(std::declval<typename structure<S>::flat>()...));
  static constexpr std::size_t size = (std::size_t{0} + ... + structure<S>::size);
  template <std::size_t First, class Make>
  static constexpr auto build(Make make) {
    constexpr auto before = [](std::size_t part) {
      const std::size_t sizes[]{structure<S>::size..., 0};
      std::size_t n = First;
      for (std::size_t k = 0; k < part; ++k) n += sizes[k];
      return n;
    };
    return [&]<std::size_t... I>(std::index_sequence<I...>) { return std::make_tuple(structure<S>::template build<before(I)>(make)...); }
    (std::index_sequence_for<S...>{});
  }
};
template <class... S>
struct structure<std::tuple<S...>> : structure_of_parts<S...> {};
template <class A, class B>
struct structure<std::pair<A, B>> : structure_of_parts<A, B> {};
template <class... S>
struct structure<output_list<S...>> : structure_of_parts<S...> {};

template <class S>
inline constexpr bool is_structure = expression<S>;
template <class... S>
inline constexpr bool is_structure<std::tuple<S...>> = (is_structure<S> && ...);
template <class A, class B>
inline constexpr bool is_structure<std::pair<A, B>> = is_structure<A>&& is_structure<B>;
template <class... S>
inline constexpr bool is_structure<output_list<S...>> = (is_structure<S> && ...);

}  // namespace detail

/// An expression, or a std::tuple, std::pair or outputs(...) of such.
template <class S>
concept structured = detail::is_structure<std::remove_cvref_t<S>>;

namespace detail {

template <class S>
using flat_type = typename structure<std::remove_cvref_t<S>>::flat;
/// f of each expression, in the same structure.
template <structured S, class F>
constexpr auto map_structure(S, F f) {
  return structure<S>::template build<0>([f](auto i) { return f(std::tuple_element_t<decltype(i)::value, flat_type<S>>{}); });
}

}  // namespace detail
}  // namespace volute
