// What a plan grows in: values and where they lie, steps, and the tables of what they refer to. Operands of a concatenation, and slices,
// lie in the memory of another value where that is one run.
#pragma once

#include <volute/graph/fuse.hpp>
#include <volute/graph/place.hpp>

namespace volute::graph {

/// The tables, and how steps and values get into them.
class step_list {
 public:
  view g;
  bool hoists;  // packs and other functions of the parameters are kept between runs
  fusion f;
  buffer<step> steps;
  buffer<stored_value> values;
  buffer<kernel_spec> kernels;
  buffer<ops::scalar_program> programs;
  buffer<ops::conv_geometry> convolutions;
  buffer<ops::pool_geometry> pools;

  constexpr step_list(const view& graph, bool hoist)
      : g(graph),
        hoists(hoist),
        f(graph.size.nodes),
        value_of_(graph.size.nodes, -1),
        offset_of_(graph.size.nodes, 0),
        invariant_(graph.size.nodes, 0),
        further_(graph.size.nodes, -1),
        next_further_(graph.size.nodes, -1) {}

 protected:
  buffer<int> value_of_;                // of a node with memory of its own, or in the memory of another
  buffer<std::int64_t> offset_of_;      // where it begins there
  buffer<char> invariant_;              // depends on parameters and constants alone
  kernel_index kernel_index_;
  buffer<int> further_, next_further_;  // of a node: a further result of it, and of one the next

  // ---- values
  constexpr int new_value(int node, std::int64_t n, bool invariant) {
    values.push_back({.node = node, .size = n, .invariant = invariant});
    return values.size - 1;
  }
  constexpr int value(int node) {
    const int b = base_of(g, node);
    if (value_of_[b] < 0) {
      value_of_[b] = new_value(b, g.shape(b).size(), invariant_[b] != 0);
      stored_value& v = values[value_of_[b]];
      if (g.is<ops::parameter>(b)) {
        const int slot = static_cast<int>(g.as<ops::parameter>(b).slot);
        v.at = {space::parameters, slot, g.parameters[slot].offset}, v.placed = true;
      } else if (g.is<ops::input>(b)) {
        v.at = {space::input, static_cast<int>(g.as<ops::input>(b).slot), 0}, v.placed = true;
      }
    }
    return value_of_[b];
  }

  /// Where a node's value lies.
  struct location {
    int value = 0;
    std::int64_t offset = 0;
  };
  constexpr location location_of(int node) { return {value(node), offset_of_[base_of(g, node)]}; }

  /// Concatenations and slices without copies: an operand is made where it will lie, and a slice is read where it lies, if that is one
  /// run of memory and begins with a cache line as every value does. Batches of more than one sample are not, along channels.
  constexpr void find_views() {
    buffer<char> result(g.size.nodes, 0);
    for (int i = 0; i < g.size.outputs; ++i) result[base_of(g, g.outputs[i])] = 1;
    for (int i = g.size.nodes - 1; i >= 0; --i) {  // the outer one of two concatenations first
      if (f.roles.data[i] != role::kernel || !g.is<ops::concat>(i)) continue;
      const extents e = g.shape(i);
      const int axis = static_cast<int>(g.as<ops::concat>(i).axis);
      bool run = true;
      for (int a = 0; a < axis; ++a) run = run && e[a] == 1;
      if (!run) continue;
      const location whole = location_of(i);
      std::int64_t start = whole.offset;
      for (int k = 0; k < g.nodes[i].count; ++k) {
        const int b = base_of(g, g.operand(i, k));
        const std::int64_t at = start;
        start += g.shape(b).size();
        const bool made = f.roles.data[b] == role::root || (f.roles.data[b] == role::kernel && !g.is<ops::slice>(b));
        if (!made || whole_lines(at) != at || result.data[b] || value_of_[b] >= 0 || (hoists && invariant_.data[b] != invariant_.data[i]))
          continue;
        value_of_[b] = whole.value, offset_of_[b] = at;
      }
    }
    for (int i = 0; i < g.size.nodes; ++i) {
      if (f.roles.data[i] != role::kernel || !g.is<ops::slice>(i) || result.data[i]) continue;
      const extents e = g.shape(i), x = g.shape(g.operand(i, 0));
      const auto op = g.as<ops::slice>(i);
      bool run = true, one = true;  // one: all axes so far have the extent 1 in the slice
      std::int64_t start = 0;
      for (int a = 0; a < e.rank; ++a) {
        run = run && (e[a] == 1 || ((one || e[a] == x[a]) && op.step[a] == 1));
        run = run && (one || e[a] == x[a]);
        one = one && e[a] == 1;
        start += op.start[a] * x.stride(a);
      }
      if (!run || whole_lines(start) != start) continue;
      const location whole = location_of(g.operand(i, 0));
      value_of_[i] = whole.value, offset_of_[i] = whole.offset + start;
      f.roles.data[i] = role::alias;
    }
  }

  constexpr void find_further_results() {
    for (int i = 0; i < g.size.nodes; ++i)
      if (f.roles.data[i] != role::dead && g.is<ops::further_result>(i)) {
        const int of = g.operand(i, 0);
        next_further_.data[i] = further_.data[of];
        further_.data[of] = i;
      }
  }

  constexpr void find_invariants() {
    for (int i = 0; i < g.size.nodes; ++i) {
      const node& v = g.nodes[i];
      bool all = !ops::changes[static_cast<std::size_t>(v.op)] && further_.data[i] < 0;  // kept values are results of their own launch
      if (v.op == ops::opcode<ops::parameter>) all = g.parameters[g.as<ops::parameter>(i).slot].update < 0;
      for (int k = 0; k < v.count && all; ++k) all = invariant_.data[g.operands[v.first + k]] != 0;
      invariant_.data[i] = all;
    }
  }

  // ---- tables
  template <class V>
  static constexpr int index(buffer<V>& table, const V& v) {
    for (int i = 0; i < table.size; ++i)
      if (table.data[i] == v) return i;
    table.push_back(v);
    return table.size - 1;
  }

  constexpr step& new_step(int node, const kernel_spec& k) {
    steps.push_back({});
    step& s = steps[steps.size - 1];
    s.call.node = node;
    s.call.kernel = kernel_index_(kernels, k);
    const location at = location_of(node);
    s.out = at.value, s.out_offset = at.offset;
    s.invariant = hoists && invariant_[node] != 0;
    return s;
  }
  static constexpr int add_input(step& s, location from) {
    s.in[s.call.count] = from.value;
    s.offset[s.call.count] = from.offset;
    return s.call.count++;
  }

  constexpr location memory_of(int operand) { return location_of(g.is<ops::broadcast>(operand) ? g.operand(operand, 0) : operand); }
  static constexpr void set_extent(step& s, std::int64_t n) {
    s.call.nest.rank = 1;
    s.call.nest.extent[0] = n;
  }
  /// A step that reads the operands of its node.
  constexpr step& new_step_of(int node, const kernel_spec& k) {
    location memory[max_operands]{};
    for (int n = 0; n < g.nodes[node].count; ++n) memory[n] = location_of(g.operand(node, n));
    step& s = new_step(node, k);
    for (int n = 0; n < g.nodes[node].count; ++n) add_input(s, memory[n]);
    return s;
  }
  /// One more axis of a copy, merged into the one before where both strides allow.
  static constexpr void axis(step& s, std::int64_t extent, std::int64_t from, std::int64_t to) {
    ops::loop_nest& n = s.call.nest;
    if (extent == 1) return;
    if (n.rank > 0 && n.stride[0][n.rank - 1] == from * extent && n.stride[1][n.rank - 1] == to * extent) {
      n.extent[n.rank - 1] *= extent;
    } else {
      n.extent[n.rank++] = extent;
    }
    n.stride[0][n.rank - 1] = from;
    n.stride[1][n.rank - 1] = to;
  }
};

}  // namespace volute::graph
