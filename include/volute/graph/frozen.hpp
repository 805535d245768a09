// A finished graph as static constexpr data: what the later passes, the reports and static_assert read.
#pragma once

#include <volute/graph/differentiate.hpp>

namespace volute {

/// A row of the summary: one layer.
struct layer_info {
  line path;
  line kind;
  extents shape{};
  int first_node = 0, last_node = 0;  // the nodes that it made
  int first_parameter = 0, last_parameter = 0;
};

namespace graph {

/// An input of the program, bound by name.
struct input_info {
  line name;
  extents shape{};
  int node = 0;
};
/// A parameter or state, its first value and its place among the weights.
struct parameter_info {
  line path;
  extents shape{};
  std::int64_t init_kind = 0;
  double init_scale = 0;
  int node = 0;
  std::int64_t offset = 0;  // elements from the start of the parameter block: learned ones first, then states
  bool learned = true;      // else a state: kept between runs, but nothing is differentiated by it
  int update = -1;          // of a state: the result that it becomes after a run, or -1
};

/// How many of everything.
struct graph_size {
  int nodes = 0, operands = 0, shapes = 0, attributes = 0, inputs = 0, parameters = 0, outputs = 0, layers = 0;
  int updates = 0;  // the last of the outputs are new values of states
};

/// The graph itself. Arrays have at least one element, so that an empty one is legal.
template <graph_size Size>
struct frozen {
  static constexpr graph_size size = Size;
  node nodes[static_cast<std::size_t>(Size.nodes) + 1]{};
  int operands[static_cast<std::size_t>(Size.operands) + 1]{};
  extents shapes[static_cast<std::size_t>(Size.shapes) + 1]{};
  ops::attributes attributes[static_cast<std::size_t>(Size.attributes) + 1]{};
  input_info inputs[static_cast<std::size_t>(Size.inputs) + 1]{};
  parameter_info parameters[static_cast<std::size_t>(Size.parameters) + 1]{};
  int outputs[static_cast<std::size_t>(Size.outputs) + 1]{};
  layer_info layers[static_cast<std::size_t>(Size.layers) + 1]{};
  int forward_nodes = 0;    // nodes before the first that a derivative made
  line where, wanted, got;  // why the program is refused, or empty
};

/// A graph to look at, whatever its size.
struct view {
  const node* nodes;
  const int* operands;
  const extents* shapes;
  const ops::attributes* attributes;
  const input_info* inputs;
  const parameter_info* parameters;
  const int* outputs;
  const layer_info* layers;
  graph_size size;
  int forward_nodes;

  constexpr const extents& shape(int id) const { return shapes[nodes[id].shape]; }
  constexpr int operand(int id, int i) const { return operands[nodes[id].first + i]; }
  template <class Op>
  constexpr bool is(int id) const {
    return nodes[id].op == ops::opcode<Op>;
  }
  template <class Op>
  constexpr Op as(int id) const {
    return ops::decode<Op>(attributes[nodes[id].attribute]);
  }
};

/// The view of a finished graph.
template <graph_size Size>
constexpr view view_of(const frozen<Size>& g) {
  return {g.nodes, g.operands, g.shapes, g.attributes, g.inputs, g.parameters, g.outputs, g.layers, Size, g.forward_nodes};
}

/// Multiplications and additions of one node (2 for a fused pair), nominal: taps on padding count.
constexpr double flops_of(const view& g, int id) {
  static_assert(
      sizeof(ops::primitives::all_among<"graph/frozen.hpp: flops_of", ops::convolution, ops::matmul, ops::elementwise, ops::reduce,
                                        ops::max_pool, ops::avg_pool, ops::attention, ops::attention_gradient,  // and without any:
                                        ops::input, ops::parameter, ops::fill, ops::random, ops::arange, ops::barrier, ops::broadcast,
                                        ops::reshape, ops::transpose, ops::slice, ops::pad, ops::concat, ops::gather, ops::further_result,
                                        ops::all_reduce, ops::halo>));
  const node& n = g.nodes[id];
  const double out = static_cast<double>(g.shape(id).size());
  if (n.op == ops::opcode<ops::convolution>) {
    const auto q = g.as<ops::convolution>(id).geometry(g.shape(g.operand(id, 0)), g.shape(g.operand(id, 1)));
    return 2.0 * static_cast<double>(q.y_size() * q.group_in() * q.taps());
  }
  if (n.op == ops::opcode<ops::matmul>) {
    const extents a = g.shape(g.operand(id, 0));
    return 2.0 * out * static_cast<double>(g.as<ops::matmul>(id).transpose_a ? a[1] : a[2]);
  }
  if (n.op == ops::opcode<ops::elementwise>) return out;
  if (n.op == ops::opcode<ops::reduce>) return static_cast<double>(g.shape(g.operand(id, 0)).size());
  if (n.op == ops::opcode<ops::max_pool> || n.op == ops::opcode<ops::avg_pool>) {
    const double in = static_cast<double>(g.shape(g.operand(id, 0)).size());
    return in > out ? in : out;
  }
  if (n.op == ops::opcode<ops::attention> || n.op == ops::opcode<ops::attention_gradient>) {  // masked scores count
    const extents q = g.shape(g.operand(id, 0)), v = g.shape(g.operand(id, 2));
    const auto features = static_cast<double>(q[q.rank - 1]), values = static_cast<double>(v[q.rank - 1]);
    const double products = n.op == ops::opcode<ops::attention> ? features + values : 3 * features + 2 * values;
    return 2.0 * products * static_cast<double>(q.size() / q[q.rank - 1] * v[q.rank - 2]);
  }
  return 0;
}

}  // namespace graph
}  // namespace volute
