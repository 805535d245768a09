// Reverse-mode differentiation: from a graph to the same graph with more nodes. The rules stand with the primitives (ops/); here is the
// walk over the nodes and the context in which a rule is written. Derivatives are ordinary nodes, so a gradient can be differentiated
// again.
//
// A value that was not chosen (the other branch of a select, an operand that is no maximum) has no part in the result: its gradient is 0,
// and must stay 0 where a rule would multiply it by a derivative that is infinite or NaN there. So an adjoint may carry a mask, a node that
// is 0 where the value was not chosen; the mask moves with the adjoint through shapes and sums, and guards the products on the way. A mask
// that comes from a select guards all of them, one that comes from relu or maximum those whose factor may be infinite for finite operands
// (0 * 1 / 0 at log, not 0 * w at a product): they are everywhere, and should cost nothing where nothing can happen. Matrix products and
// convolutions mix elements, so masks end there.
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
  friend constexpr value less_equal(value a, value b) { return a.map(ops::fn::less_equal, b); }
  friend constexpr value equal(value a, value b) { return a.map(ops::fn::equal, b); }
  friend constexpr value select(value c, value a, value b) { return {c.g, c.g->map(ops::fn::select, c.id, a.id, b.id)}; }
};

/// The mask of an adjoint in one number: 2 * node + (1 if it guards everything).
struct mask {
  static constexpr int unknown = -2, none = -1;  // no adjoint yet; all of it may depend
  int code = none;

  static constexpr mask of(int node, bool strict) { return {2 * node + (strict ? 1 : 0)}; }
  constexpr bool any() const { return code >= 0; }
  constexpr bool strict() const { return any() && code % 2 == 1; }
  constexpr int node() const { return code / 2; }
};

/// Whether the derivative of a function may be infinite where its operands are finite; or, with `ever`, at all.
constexpr bool may_explode(ops::fn f, bool ever) {
  using ops::fn;
  // clang-format off
  switch (f) {
    case fn::identity: case fn::negate: case fn::abs: case fn::sign: case fn::floor: case fn::relu: case fn::step: case fn::add: case fn::subtract:
    case fn::minimum: case fn::maximum: case fn::less: case fn::less_equal: case fn::equal: case fn::leaky: case fn::select:
      return false;
    case fn::reciprocal: case fn::sqrt: case fn::rsqrt: case fn::exp: case fn::expm1: case fn::log: case fn::log1p: case fn::divide: case fn::power:
      return true;
    default:
      return ever;
  }
  // clang-format on
}
/// Whether a primitive's rule only moves and adds what arrives, so that it moves masks as well.
constexpr bool moves(const algebra& g, int id) {
  const int op = g.nodes.data[id].op;
  return op == ops::opcode<ops::barrier> || op == ops::opcode<ops::broadcast> || op == ops::opcode<ops::reduce> ||
         op == ops::opcode<ops::reshape> || op == ops::opcode<ops::transpose> || op == ops::opcode<ops::slice> ||
         op == ops::opcode<ops::pad> || op == ops::opcode<ops::concat> || op == ops::opcode<ops::max_pool> ||
         op == ops::opcode<ops::avg_pool> || op == ops::opcode<ops::gather>;
}

constexpr void differentiate(contractor& g, int y, int seed, const int* wrt, int count, int* result, bool partial = false);

/// What a derivative rule sees: see ops/primitives.hpp.
struct derivative_context {
  contractor& graph;
  int node;
  value y, g;
  const bool* depends;
  int* adjoint;
  int* masks = nullptr;        // of the adjoints; null: not kept
  mask taken{};                // of the adjoint that arrives
  const int* moved = nullptr;  // what becomes of it at each operand, if the rule changes shapes
  bool guards = false;

  constexpr int arity() const { return graph.nodes.data[node].count; }
  constexpr int id(int i) const { return graph.operand(node, i); }
  constexpr value x(int i) const { return {&graph, id(i)}; }
  constexpr extents shape(int i) const { return graph.shape(id(i)); }
  constexpr bool needs(int i) const { return depends[id(i)]; }
  constexpr void give(int i, value v) {
    if (needs(i)) give(i, v, moved != nullptr ? mask::of(moved[id(i)], true) : graph.is<ops::elementwise>(node) ? taken : mask{});
  }
  /// The same of a value with a mask of its own: see chosen().
  constexpr void give(int i, value v, mask m) {
    if (!needs(i)) return;
    if (guards) v = select({&graph, taken.node()}, v, zero());
    int& a = adjoint[id(i)];
    a = a < 0 ? v.id : graph.map(ops::fn::add, a, v.id);
    if (masks != nullptr) masks[id(i)] = either({masks[id(i)]}, m).code;
  }
  /// The mask of what is given only where c is not 0.
  constexpr mask chosen(value c, bool strict) const {
    if (graph.is_fill(c.id) && !graph.is_fill(c.id, 0)) return taken;
    if (!taken.any() || (strict && !taken.strict())) return mask::of(c.id, strict);
    const int both = graph.map(ops::fn::select, c.id, taken.node(), graph.fill(0, graph.shape(c.id)));
    return mask::of(both, strict && taken.strict());
  }
  constexpr mask either(mask a, mask b) const {
    if (a.code == mask::unknown) return b;
    if (!a.any() || !b.any() || opposite(a.node(), b.node()) || opposite(b.node(), a.node())) return {};
    const bool strict = a.strict() && b.strict();
    if (a.node() == b.node()) return mask::of(a.node(), strict);
    return mask::of(graph.map(ops::fn::select, a.node(), graph.fill(1, graph.shape(a.node())), b.node()), strict);
  }
  constexpr bool opposite(int a, int b) const {
    return graph.is_map(b, ops::fn::equal) && graph.operand(b, 0) == a && graph.is_fill(graph.operand(b, 1), 0);
  }
  /// The mask of operand i of a maximum over axes, given where it is the maximum.
  constexpr mask winners(int i, value c) const { return moved != nullptr ? mask::of(moved[id(i)], true) : mask::of(c.id, false); }
  /// v, which a reduction over these axes gives, where the result of the reduction was chosen.
  constexpr value where_taken(value v, ops::axis_set axes) {
    return taken.strict() ? select(restore({&graph, taken.node()}, axes, shape(0)), v, v.like(0)) : v;
  }

  constexpr value zero() const { return g.like(0); }
  constexpr value sum(value v, ops::axis_set axes) { return {&graph, graph.sum(v.id, axes)}; }
  constexpr value all_reduce(value v) const { return {&graph, graph.all_reduce(v.id)}; }
  constexpr value halo(const ops::halo& op, value v, const extents& e) const { return {&graph, graph.halo(op, v.id, e)}; }
  constexpr value reshape(value v, const extents& e) { return {&graph, graph.reshape(v.id, e)}; }
  constexpr value transpose(value v, const ops::transpose& t) { return {&graph, graph.transpose(v.id, t)}; }
  constexpr value slice(value v, const ops::slice& s, const extents& e) { return {&graph, graph.slice(v.id, s, e)}; }
  constexpr value pad(value v, const ops::pad& p, const extents& e) { return {&graph, graph.pad(v.id, p, e)}; }
  constexpr value matmul(value a, value b, bool ta, bool tb) { return {&graph, graph.matmul(a.id, b.id, ta, tb)}; }
  constexpr value convolution(const ops::convolution& op, value a, value b) { return {&graph, graph.convolution(op, a.id, b.id)}; }
  constexpr value max_pool(const ops::max_pool& op, value a, value v, const extents& e) {
    return {&graph, graph.max_pool(op, a.id, v.id, e)};
  }
  constexpr value gather(const ops::gather& op, value a, value index) { return {&graph, graph.gather(op, a.id, index.id)}; }
  constexpr value avg_pool(const ops::avg_pool& op, value a, const extents& e) { return {&graph, graph.avg_pool(op, a.id, e)}; }
  /// The gradient of this node, an attention.
  constexpr value attention_gradient(const ops::attention_gradient& op) {
    int args[16]{}, n = 0;
    while (n < arity()) args[n] = id(n), ++n;
    extents rows = graph.shape(node);
    rows.rank -= 1;
    args[n++] = node, args[n++] = graph.further_result(node, 1, rows), args[n++] = g.id;
    return {&graph, graph.attention_gradient(op, args, n)};
  }
  constexpr value further_result(value of, int which, const extents& e) { return {&graph, graph.further_result(of.id, which, e)}; }

  template <class Op>
  constexpr bool is(int other) const {
    return graph.is<Op>(other);
  }
  template <class Op>
  constexpr Op as(int other) const {
    return graph.as<Op>(other);
  }
  constexpr extents shape_of(value v) const { return graph.shape(v.id); }
  constexpr value constant(value v) { return {&graph, graph.barrier(v.id, true)}; }
  constexpr value maximum(value v, ops::axis_set axes) { return {&graph, graph.reduce(ops::reduction::maximum, v.id, axes)}; }
  /// 0, 1, ..., n - 1 as a column, or as a row.
  constexpr value positions(std::int64_t n, int axis) {
    return {&graph, graph.reshape(graph.arange(n), axis == 0 ? make_extents(n, 1) : make_extents(1, n))};
  }

  /// Gives to the operands of node `of` what the derivative of a formula gives to the variables in their place, for a rule that has none of
  /// its own: f(variables) is the value of the node whose rule this is.
  template <class F>
  constexpr void give_by_formula(int of, F f) {
    constexpr int most = 16;
    value variable[most]{};
    int wrt[most]{}, to[most]{}, slopes[most]{}, count = 0;
    for (int i = 0; i < graph.nodes.data[of].count; ++i) {
      const int operand = graph.operand(of, i);
      variable[i] = {&graph, depends[operand] ? graph.barrier(operand, false) : operand};
      int k = 0;
      while (k < count && to[k] != operand) ++k;
      if (depends[operand] && k == count) to[count] = operand, wrt[count++] = variable[i].id;
    }
    const int formula = f(static_cast<const value*>(variable)).id, seed = g.id;
    differentiate(graph, formula, seed, wrt, count, slopes, true);
    for (int k = 0; k < count; ++k) {
      int& a = adjoint[to[k]];
      a = a < 0 ? slopes[k] : graph.map(ops::fn::add, a, slopes[k]);
      if (masks != nullptr) masks[to[k]] = mask::none;
    }
  }

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

/// Gradients of <y, seed> by each of the nodes `wrt`, written to `result`; a zero tensor where y does not depend on one. `partial`: one of
/// them is a variable of its own, also where it depends on another.
constexpr void differentiate(contractor& g, int y, int seed, const int* wrt, int count, int* result, bool partial) {
  const int n = y + 1;
  int lowest = n;
  buffer<bool> depends(n, false), ends(partial ? n : 0, false);
  buffer<int> adjoint(n, -1), masks(n, mask::unknown), moved(n, -1);
  for (int i = 0; i < count; ++i)
    if (wrt[i] < n) {
      depends[wrt[i]] = true;
      if (partial) ends[wrt[i]] = true;
      lowest = wrt[i] < lowest ? wrt[i] : lowest;
    }
  for (int i = lowest; i < n; ++i) {
    const node& v = g.nodes.data[i];
    for (int k = 0; k < v.count && !depends.data[i]; ++k) depends.data[i] = depends.data[g.operands.data[v.first + k]];
  }
  if (depends[y]) adjoint[y] = seed, masks[y] = mask::none;
  for (int i = y; i >= lowest; --i) {
    if (adjoint.data[i] < 0 || g.nodes.data[i].count == 0 || (partial && ends.data[i])) continue;
    const node v = g.nodes.data[i];
    const auto run = [&](derivative_context& r) {
      ops::primitives::visit(v.op, g.attributes.data[v.attribute], [&](const auto& op) { op.derivative(op, r); });
    };
    derivative_context r{g, i, {&g, i}, {&g, adjoint.data[i]}, depends.data, adjoint.data, masks.data, {masks.data[i]}};
    if (!r.taken.any()) {
      run(r);
    } else if (g.is<ops::elementwise>(i)) {
      const ops::fn f = g.as<ops::elementwise>(i).f();
      const bool by_number = (f == ops::fn::multiply || f == ops::fn::divide) && g.is_fill(g.operand(i, 1));
      r.guards = may_explode(f, r.taken.strict()) && !by_number;
      const int a = r.g.id;  // what is guarded behind the product need not be before it
      if (r.guards && g.is_map(a, ops::fn::select) && g.operand(a, 0) == r.taken.node() && g.is_fill(g.operand(a, 2), 0))
        r.g.id = g.operand(a, 1);
      run(r);
    } else if (r.taken.strict() && moves(g, i)) {
      const value m{&g, r.taken.node()};
      derivative_context mover{g,          i,       r.y,    g.is_indicator(m.id) ? m : select(m, m.like(1), m.like(0)), depends.data,
                               moved.data, nullptr, r.taken};
      run(mover);
      r.moved = moved.data;
      run(r);
      for (int k = 0; k < v.count; ++k) moved.data[g.operands.data[v.first + k]] = -1;
    } else {
      r.taken = {};
      run(r);
    }
  }
  for (int i = 0; i < count; ++i) {
    const int a = wrt[i] < n ? adjoint[wrt[i]] : -1;
    result[i] = a >= 0 ? a : g.fill(0, g.shape(wrt[i]));
  }
}

}  // namespace volute::graph
