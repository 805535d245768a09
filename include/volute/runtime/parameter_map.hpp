// Parameters as a Hana map from path to tensor: parameter_map(m)[key<"0.weight">]. For code that pairs parameters with something else of
// their type; for plain loops parameter_table() is lighter (a map of 60 tensors costs the compiler about 1.3 s).
#pragma once

#include <volute/runtime/model.hpp>

#include <boost/hana/at_key.hpp>
#include <boost/hana/first.hpp>
#include <boost/hana/for_each.hpp>
#include <boost/hana/keys.hpp>
#include <boost/hana/map.hpp>
#include <boost/hana/pair.hpp>
#include <boost/hana/second.hpp>
#include <boost/hana/type.hpp>

namespace volute {

/// The type that stands for a path.
template <text Path>
struct path_name {
  static constexpr std::string_view view() { return Path.view(); }
};

/// A path as a key of the map.
template <text Path>
inline constexpr boost::hana::type<path_name<Path>> key{};

inline namespace VOLUTE_ISA {

namespace report {
template <class Facts, int I>
inline constexpr auto path_text = [] {
  constexpr line l = Facts::graph.parameters[I].path;
  return to_text<l>();
}();

template <class Program, class Which, class View, std::size_t... I>
auto map_of(Which which, View view, std::index_sequence<I...>) {
  return boost::hana::make_map(boost::hana::make_pair(key<path_text<typename Program::facts, which(static_cast<int>(I))>>,
                                                      view(std::integral_constant<int, which(static_cast<int>(I))>{}, I))...);
}
template <class Program, class Which, class Table>
auto map_of(Which which, const Table& table) {
  return map_of<Program>(
      which, [&](auto i, std::size_t k) { return tensor_view<Program::facts::graph.parameters[i].shape>(table[k].data); },
      std::make_index_sequence<std::tuple_size_v<Table>>{});
}
}  // namespace report

/// Every parameter of a model or program, as a tensor view under its path (PyTorch's state_dict names). Taking it counts as a change of the
/// parameters.
template <class Program>
auto parameter_map(Program& p) {
  return report::map_of<Program>([](int i) { return i; }, p.parameter_table());
}

/// The gradients of the last run of a program that has gradient(loss, parameters), in the same form.
template <class Program>
auto gradient_map(Program& p) {
  return report::map_of<Program>([](int i) { return Program::gradient_layout.entries[i].parameter; }, p.gradient_table());
}

}  // namespace VOLUTE_ISA
}  // namespace volute
