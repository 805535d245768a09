// Reverse-mode differentiation: from a graph to the same graph with more nodes. The rules stand with the primitives (ops/); here is the
// walk over the nodes and the context in which a rule is written. Derivatives are ordinary nodes, so a gradient can be differentiated
// again.
#pragma once

#include <volute/graph/contract.hpp>

namespace volute::graph {

/// A node with operators, so that rules read as formulas.
struct value {
  algebra* g = nullptr;
  int id = -1;

  friend constexpr value operator+(value a, value b) { return {a.g, a.g->map(ops::fn::add, a.id, b.id)}; }
  friend constexpr value operator-(value a, value b) { return {a.g, a.g->map(ops::fn::subtract, a.id, b.id)}; }
  friend constexpr value operator*(value a, value b) { return {a.g, a.g->map(ops::fn::multiply, a.id, b.id)}; }
  friend constexpr value operator/(value a, value b) { return {a.g, a.g->map(ops::fn::divide, a.id, b.id)}; }
  friend constexpr value operator-(value a) { return {a.g, a.g->map(ops::fn::negate, a.id)}; }
  friend constexpr value operator+(value a, double b) { return a + a.like(b); }
  friend constexpr value operator-(value a, double b) { return a - a.like(b); }
  friend constexpr value operator-(double a, value b) { return b.like(a) - b; }
  friend constexpr value operator*(value a, double b) { return a * a.like(b); }

  constexpr value like(double v) const { return {g, g->fill(v, g->shape(id))}; }
  constexpr value map(ops::fn f) const { return {g, g->map(f, id)}; }
  constexpr value map(ops::fn f, value b) const { return {g, g->map(f, id, b.id)}; }

  friend constexpr value sign(value a) { return a.map(ops::fn::sign); }
  friend constexpr value exp(value a) { return a.map(ops::fn::exp); }
  friend constexpr value log(value a) { return a.map(ops::fn::log); }
  friend constexpr value sin(value a) { return a.map(ops::fn::sin); }
  friend constexpr value cos(value a) { return a.map(ops::fn::cos); }
  friend constexpr value square(value a) { return a.map(ops::fn::square); }
  friend constexpr value sigmoid(value a) { return a.map(ops::fn::sigmoid); }
  friend constexpr value power(value a, value b) { return a.map(ops::fn::power, b); }
  friend constexpr value less(value a, value b) { return a.map(ops::fn::less, b); }
  friend constexpr value equal(value a, value b) { return a.map(ops::fn::equal, b); }
  friend constexpr value select(value c, value a, value b) { return {c.g, c.g->map(ops::fn::select, c.id, a.id, b.id)}; }
};

/// What a derivative rule sees: see ops/primitives.hpp.
struct rule {
  algebra& graph;
  int node;
  value y, g;
  const bool* depends;
  int* adjoint;

  constexpr int arity() const { return graph.nodes.data[node].count; }
  constexpr int id(int i) const { return graph.operand(node, i); }
  constexpr value x(int i) const { return {&graph, id(i)}; }
  constexpr extents shape(int i) const { return graph.shape(id(i)); }
  constexpr bool needs(int i) const { return depends[id(i)]; }
  constexpr void give(int i, value v) {
    if (!needs(i)) return;
    int& a = adjoint[id(i)];
    a = a < 0 ? v.id : graph.map(ops::fn::add, a, v.id);
  }

  constexpr value zero() const { return g.like(0); }
  constexpr value one() const { return g.like(1); }
  constexpr value sum(value v, ops::axis_set axes) { return {&graph, graph.sum(v.id, axes)}; }
  constexpr value reshape(value v, const extents& e) { return {&graph, graph.reshape(v.id, e)}; }
  constexpr value transpose(value v, const ops::transpose& t) { return {&graph, graph.transpose(v.id, t)}; }
  constexpr value slice(value v, const ops::slice& s, const extents& e) { return {&graph, graph.slice(v.id, s, e)}; }
  constexpr value pad(value v, const ops::pad& p, const extents& e) { return {&graph, graph.pad(v.id, p, e)}; }
  constexpr value matmul(value a, value b, bool ta, bool tb) { return {&graph, graph.matmul(a.id, b.id, ta, tb)}; }
  constexpr value convolution(const ops::convolution& op, value a, value b) { return {&graph, graph.convolution(op, a.id, b.id)}; }
  constexpr value max_pool(const ops::max_pool& op, value a, value v, const extents& e) {
    return {&graph, graph.max_pool(op, a.id, v.id, e)};
  }
  constexpr value avg_pool(const ops::avg_pool& op, value a, const extents& e) { return {&graph, graph.avg_pool(op, a.id, e)}; }

  /// The sum of v over everything that was repeated to get from `small` to v's shape.
  constexpr value sum_to(value v, const extents& small) {
    const extents e = graph.shape(v.id);
    return reshape(sum(v, algebra::difference(e, algebra::aligned(small, e.rank))), small);
  }
  /// The inverse shape of a reduction: v repeated along the axes that were taken out of `full`.
  constexpr value restore(value v, ops::axis_set axes, const extents& full) {
    return {&graph, graph.broadcast(graph.reshape(v.id, algebra::flattened(full, axes)), full)};
  }
};

/// Gradients of <y, seed> by each of the nodes `wrt`, written to `result`; a zero tensor where y does not depend on one.
constexpr void differentiate(algebra& g, int y, int seed, const int* wrt, int count, int* result) {
  const int n = y + 1;
  int lowest = n;
  buffer<bool> depends(n, false);
  buffer<int> adjoint(n, -1);
  for (int i = 0; i < count; ++i)
    if (wrt[i] < n) {
      depends[wrt[i]] = true;
      lowest = wrt[i] < lowest ? wrt[i] : lowest;
    }
  for (int i = lowest; i < n; ++i) {
    const node& v = g.nodes.data[i];
    for (int k = 0; k < v.count && !depends.data[i]; ++k) depends.data[i] = depends.data[g.operands.data[v.first + k]];
  }
  if (depends[y]) adjoint[y] = seed;
  for (int i = y; i >= lowest; --i) {
    if (adjoint.data[i] < 0 || g.nodes.data[i].count == 0) continue;
    const node v = g.nodes.data[i];
    rule r{g, i, {&g, i}, {&g, adjoint.data[i]}, depends.data, adjoint.data};
    ops::primitives::visit(v.op, g.attributes.data[v.attribute], [&](const auto& op) { op.derivative(op, r); });
  }
  for (int i = 0; i < count; ++i) {
    const int a = wrt[i] < n ? adjoint[wrt[i]] : -1;
    result[i] = a >= 0 ? a : g.fill(0, g.shape(wrt[i]));
  }
}

}  // namespace volute::graph
