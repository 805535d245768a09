// Makes a graph again without its barriers and dead nodes. Everything passes through the smart constructors once more, so what the barriers
// kept apart is simplified, and one node where it is equal.
#pragma once

#include <volute/graph/differentiate.hpp>

namespace volute::graph {

/// The node `id` of `from`, made in `to` over operands that exist there already (`at[old] = new`).
template <class Graph>
constexpr int remake(contractor& to, const Graph& from, int id, const int* at) {
  const node n = from.nodes[id];
  const extents e = from.shape(id);
  const auto arg = [&](int i) { return at[from.operands[n.first + i]]; };
  int made = -1;
  ops::primitives::visit(n.op, from.attributes[n.attribute], [&](const auto& op) {
    using Op = std::remove_cvref_t<decltype(op)>;
    if constexpr (std::is_same_v<Op, ops::barrier>)
      made = arg(0);
    else if constexpr (std::is_same_v<Op, ops::elementwise>)
      made = to.map(op.f(), arg(0), n.count > 1 ? arg(1) : -1, n.count > 2 ? arg(2) : -1);
    else if constexpr (std::is_same_v<Op, ops::broadcast>)
      made = to.broadcast(arg(0), e);
    else if constexpr (std::is_same_v<Op, ops::reduce>)
      made = to.reduce(op.how(), arg(0), op.axes);
    else if constexpr (std::is_same_v<Op, ops::reshape>)
      made = to.reshape(arg(0), e);
    else if constexpr (std::is_same_v<Op, ops::transpose>)
      made = to.transpose(arg(0), op);
    else if constexpr (std::is_same_v<Op, ops::slice>)
      made = to.slice(arg(0), op, e);
    else if constexpr (std::is_same_v<Op, ops::pad>)
      made = to.pad(arg(0), op, e);
    else if constexpr (std::is_same_v<Op, ops::matmul>)
      made = to.matmul(arg(0), arg(1), op.transpose_a != 0, op.transpose_b != 0);
    else if constexpr (std::is_same_v<Op, ops::convolution>)
      made = to.convolution(op, arg(0), arg(1));
    else if constexpr (std::is_same_v<Op, ops::max_pool>)
      made = to.max_pool(op, arg(0), arg(1), e);
    else if constexpr (std::is_same_v<Op, ops::avg_pool>)
      made = to.avg_pool(op, arg(0), e);
    else if constexpr (std::is_same_v<Op, ops::gather>)
      made = to.gather(op, arg(0), arg(1));
    else if constexpr (std::is_same_v<Op, ops::further_result>)
      made = to.further_result(arg(0), static_cast<int>(op.which), e);
    else if constexpr (std::is_same_v<Op, ops::attention> || std::is_same_v<Op, ops::attention_gradient>) {
      buffer<int> args;
      for (int i = 0; i < n.count; ++i) args.push_back(arg(i));
      if constexpr (std::is_same_v<Op, ops::attention>)
        made = to.attention(op, args.data, n.count);
      else
        made = to.attention_gradient(op, args.data, n.count);
    } else {  // leaves, concat, all_reduce and halo
      buffer<int> args;
      for (int i = 0; i < n.count; ++i) args.push_back(arg(i));
      made = to.make(op, e, args.data, n.count);
    }
  });
  return made;
}

/// Rebuilds what the outputs need; outputs and the given leaf nodes are renumbered in place. Leaves are kept even if nothing needs them.
constexpr void rebuild(contractor& to, const algebra& from, int* outputs, int count, buffer<int>& at) {
  const int n = from.nodes.size;
  buffer<bool> live(n, false);
  for (int i = 0; i < count; ++i) live[outputs[i]] = true;
  for (int i = n - 1; i >= 0; --i) {
    const node& v = from.nodes.data[i];
    if (v.op == ops::opcode<ops::input> || v.op == ops::opcode<ops::parameter>) live.data[i] = true;
    if (!live.data[i]) continue;
    for (int k = 0; k < v.count; ++k) live.data[from.operands.data[v.first + k]] = true;
  }
  for (int i = 0; i < n; ++i) at.data[i] = live.data[i] ? remake(to, from, i, at.data) : to.nodes.size;
  for (int i = 0; i < count; ++i) outputs[i] = at[outputs[i]];
}

}  // namespace volute::graph
