// What ranks that go on together must have in common, as rows for agree(): names and values of a program and of its weights.
#pragma once

#include <volute/core/hash.hpp>
#include <volute/distributed/communicator.hpp>
#include <volute/graph/launch.hpp>
#include <volute/runtime/machine.hpp>
#include <volute/version.hpp>

#include <bit>
#include <cstdio>

namespace volute::distributed {
inline namespace VOLUTE_ISA {

/// A hash as sixteen digits.
inline std::string digits_of(const hash& h) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(h.value));
  return text;
}
/// That of numbers.
template <class T>
std::string digest(const T* values, std::int64_t size) {
  hash of_values;
  for (std::int64_t i = 0; i < size; ++i) of_values.put(std::bit_cast<std::uint64_t>(static_cast<double>(values[i])));
  return digits_of(of_values);
}

/// The version, the element type, the inputs, the parameters and the launches of a program of elements T.
template <class Facts, class T>
void append_program(std::vector<std::pair<std::string, std::string>>& rows) {
  using plan = typename Facts::plan;
  const auto shape = [](const extents& of_it) { return format_shape(std::span(of_it.dim, static_cast<std::size_t>(of_it.rank))); };
  const graph::view& g = Facts::graph;
  rows.emplace_back("version of volute", std::to_string(VOLUTE_VERSION_MAJOR) + "." + std::to_string(VOLUTE_VERSION_MINOR) + "." +
                                             std::to_string(VOLUTE_VERSION_PATCH));
  rows.emplace_back("bytes of an element", std::to_string(sizeof(T)));
  rows.emplace_back("lanes of a vector", std::to_string(simd::width<T>));
  rows.emplace_back("number of inputs", std::to_string(g.size.inputs));
  for (int i = 0; i < g.size.inputs; ++i)
    rows.emplace_back("shape of input '" + std::string(g.inputs[i].name.view()) + "'", shape(g.inputs[i].shape));
  rows.emplace_back("number of parameters and states", std::to_string(g.size.parameters));
  for (int i = 0; i < g.size.parameters; ++i)
    rows.emplace_back("shape of parameter '" + std::string(g.parameters[i].path.view()) + "'", shape(g.parameters[i].shape));
  hash program;
  for (int i = 0; i < plan::size.launches; ++i) {
    const graph::launch& l = plan::tables.launches[i];
    runtime::put_kernel<plan>(program, plan::tables.kernels[l.kernel]);
    program.put(static_cast<int>(l.out.where)), program.put(l.out.slot), program.put(l.out.offset);
    program.put(std::bit_cast<std::uint64_t>(l.value));
  }
  rows.emplace_back("program", std::to_string(plan::size.launches) + " launches " + digits_of(program));
}

/// The values of all parameters and states.
template <class Model>
void append_parameters(std::vector<std::pair<std::string, std::string>>& rows, const Model& m) {
  for (const auto& p : m.parameter_table())
    rows.emplace_back("values of parameter '" + std::string(p.path) + "'", digest(p.data, p.shape.size()));
}

}  // namespace VOLUTE_ISA
}  // namespace volute::distributed
