// Where the gradients by parameters lie: one after another as the parameters do, but only those that are asked for.
#pragma once

#include <volute/runtime/compile.hpp>

namespace volute::runtime {

/// The parameter set of the gradients in a list of outputs; of a list without them, one that nothing is in.
struct no_parameters {
  static constexpr bool has(std::string_view) { return false; }
};
template <class... E>
struct gradient_set {
  using type = no_parameters;
};
template <class E, class... Rest>
struct gradient_set<E, Rest...> : gradient_set<Rest...> {};
template <class Y, class Set, class... Rest>
struct gradient_set<parameter_gradients<Y, Set>, Rest...> {
  using type = Set;
};

/// Where the gradient of each parameter lies, and which runs of parameters and gradients lie alike.
template <class Outputs, class Facts>
struct gradient_layout;
template <class... E, class Facts>
struct gradient_layout<output_list<E...>, Facts> {
  struct entry {
    int parameter = 0;
    std::int64_t offset = 0;  // elements from the first gradient; each begins on a cache line
  };
  struct range {  // neighbours, in one piece among the parameters and among the gradients
    std::int64_t parameters = 0, gradients = 0, size = 0;
  };
  struct tables {
    entry entries[static_cast<std::size_t>(Facts::learned) + 1]{};
    range ranges[static_cast<std::size_t>(Facts::learned) + 1]{};
    int entry_count = 0, range_count = 0;
    std::int64_t elements = 0;
  };
  static constexpr tables make() {
    tables t;
    for (int i = 0; i < Facts::learned; ++i) {
      const auto& p = Facts::graph.parameters[i];
      if (!gradient_set<E...>::type::has(p.path.view())) continue;
      const std::int64_t size = (p.shape.size() + 15) / 16 * 16;
      t.entries[t.entry_count++] = {i, t.elements};
      range& last = t.ranges[t.range_count > 0 ? t.range_count - 1 : 0];
      if (t.range_count > 0 && last.parameters + last.size == p.offset)
        last.size += size;
      else
        t.ranges[t.range_count++] = {p.offset, t.elements, size};
      t.elements += size;
    }
    return t;
  }
  static constexpr tables table = make();
};

}  // namespace volute::runtime
