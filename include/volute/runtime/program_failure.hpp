// Why a program, or what is bound to it, is refused.
#pragma once

#include <volute/runtime/bind.hpp>
#include <volute/runtime/compile.hpp>
#include <volute/runtime/facts.hpp>

#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

namespace volute {

namespace runtime {
inline namespace VOLUTE_ISA {

/// Whether a binding is of an input; of a parameter or state otherwise.
template <class Node>
inline constexpr bool is_input = false;
template <text Name, extents S>
inline constexpr bool is_input<input_node<Name, S>> = true;

/// Why a value cannot be bound: it is neither a tensor nor a range nor a number.
template <class... B>
struct no_tensor {};
template <class Node, class V, class... Rest>
struct no_tensor<binding<Node, V>, Rest...> : no_tensor<Rest...> {};
template <class Node, class V, class... Rest>
requires(!bindable<V>) struct no_tensor<binding<Node, V>, Rest...> {
  static constexpr line wanted = line("tensor, range or number for ") << Node::name.view();
  using failure = failed<text(""), to_text<wanted>(), text("got something else")>;
};

/// Why a program is refused, or void. Its parts must fit together, and its inputs be bound to something. A program keeps its parameters;
/// for a single evaluation they must be bound too: they would silently be zero.
enum class unbound { allowed, parameters, none };
template <class... E>
constexpr int gradient_maps(output_list<E...>) {
  return (0 + ... + static_cast<int>(lowering::makes_parameter_gradients<E>));
}
/// Why a value is bound to what is not the program's: its name is that of another shape there, or of a parameter in place of an input. (A
/// name that the program does not have is none of its business: it may have been one of an expression whose value does not matter.)
template <class Outputs, class Node>
constexpr auto stranger_failure() {
  constexpr graph::view g = graph::view_of(lowering::compiled<Outputs>::graph);
  constexpr int as_input = find_input<Node::name>(g), as_parameter = find_parameter<Node::name>(g);
  constexpr const char *mine = is_input<Node> ? "input " : "parameter ", *other = is_input<Node> ? "parameter " : "input ";
  constexpr int slot = is_input<Node> ? as_input : as_parameter;
  if constexpr (slot >= 0) {
    constexpr extents e = is_input<Node> ? g.inputs[slot].shape : g.parameters[slot].shape;
    if constexpr (!(e == Node::shape())) {
      constexpr line wanted = line(mine) << Node::name.view() << ' ' << e;
      constexpr line got = line("got ") << Node::shape();
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    }
  } else if constexpr (as_input >= 0 || as_parameter >= 0) {
    constexpr line wanted = line(other) << Node::name.view();
    constexpr line got = line("got a value for ") << mine << Node::name.view();
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  }
}
template <class Outputs, class... Node>
struct first_stranger {
  using failure = void;
};
template <class Outputs, class Node, class... Rest>
struct first_stranger<Outputs, Node, Rest...> : first_stranger<Outputs, Rest...> {};
template <class Outputs, class Node, class... Rest>
requires(!std::is_void_v<decltype(stranger_failure<Outputs, Node>())>) struct first_stranger<Outputs, Node, Rest...> {
  using failure = decltype(stranger_failure<Outputs, Node>());
};
template <class Outputs, unbound Allowed, class... Node>
constexpr auto program_failure() {
  constexpr auto& g = lowering::compiled<Outputs>::graph;
  constexpr line missing = [] {
    const auto bound = []([[maybe_unused]] std::string_view name, [[maybe_unused]] bool as_input) {
      return ((Node::name.view() == name && is_input<Node> == as_input) || ...);
    };
    for (int i = 0; Allowed != unbound::allowed && i < g.size.inputs; ++i)
      if (!bound(g.inputs[i].name.view(), true)) return line("a value for input ") << g.inputs[i].name.view();
    for (int i = 0; Allowed == unbound::none && i < g.size.parameters; ++i)
      if (!bound(g.parameters[i].path.view(), false)) return line("a value for parameter ") << g.parameters[i].path.view();
    return line();
  }();
  constexpr line twice = [] {
    constexpr int count = static_cast<int>(sizeof...(Node));
    const std::string_view names[]{Node::name.view()..., ""};
    const bool as_inputs[]{is_input<Node>..., false};
    for (int i = 0; i < count; ++i)
      for (int k = 0; k < i; ++k)
        if (names[i] == names[k] && as_inputs[i] == as_inputs[k]) return line("one value for ") << names[i];
    return line();
  }();
  using stranger = typename first_stranger<Outputs, Node...>::failure;
  if constexpr (gradient_maps(Outputs{}) > 0 && Allowed == unbound::none)
    return failed<text(""), text("a program for its parameters"), text("got evaluate")>{};
  else if constexpr (gradient_maps(Outputs{}) > 1)
    return failed<text(""), text("gradient(loss, parameters) once"), text("got several in outputs(...)")>{};
  else if constexpr (!g.wanted.empty())
    return failed<to_text<g.where>(), to_text<g.wanted>(), to_text<g.got>()>{};
  else if constexpr (!std::is_void_v<stranger>)
    return stranger{};
  else if constexpr (!missing.empty())
    return failed<text(""), to_text<missing>(), text("got none")>{};
  else if constexpr (!twice.empty())
    return failed<text(""), to_text<twice>(), text("got several")>{};
}
/// What a program counts beyond `most`: the numbers of an arange, the places of a gather; an empty line if nothing.
constexpr line counted_beyond(const graph::view& g, std::int64_t most) {
  bool any = false;  // few programs have so long an axis: the others are not looked through
  for (int i = 0; i < g.size.shapes; ++i)
    for (int a = 0; a < g.shapes[i].rank; ++a) any = any || g.shapes[i][a] > most;
  for (int id = 0; any && id < g.size.nodes; ++id) {
    std::int64_t count = 0;
    if (g.is<ops::gather>(id)) count = g.as<ops::gather>(id).rows;
    if (g.is<ops::arange>(id)) count = g.shape(id)[0];
    if (count > most) return line("got ") << count << (g.is<ops::gather>(id) ? " to take from" : " numbers or places");
  }
  return line();
}
/// Why whole numbers of a program are not exact in T, or void: a float has all up to 2^24, and 2^24 + 2 for 2^24 + 1.
template <class Outputs, class T>
constexpr auto index_failure() {
  constexpr std::int64_t most = (std::int64_t{1} << std::numeric_limits<T>::digits) + 1;  // numbers from 0 on
  constexpr line found = counted_beyond(graph::view_of(lowering::compiled<Outputs>::graph), most);
  if constexpr (!found.empty()) return failed<text(""), text("float: indices up to 2^24"), to_text<found>()>{};
}
/// Why a run would change more than its workspace, or void.
template <bool ChangesStates, class... Node>
constexpr auto const_run_failure() {
  if constexpr (ChangesStates)
    return failed<text(""), text("a run of const weights"), text("got states that change")>{};
  else if constexpr ((!is_input<Node> || ...))
    return failed<text(""), text("a run of const weights"), text("got a value for a parameter")>{};
}
template <class Outputs, unbound Allowed, class... Node>
using program_failure_t = decltype(program_failure<Outputs, Allowed, Node...>());

}  // namespace VOLUTE_ISA
}  // namespace runtime

}  // namespace volute
