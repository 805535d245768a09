// What a fused group computes: its scalar program, the loop nest over its shape, and whether a convolution can carry it as an epilogue.
#pragma once

#include <volute/graph/fuse.hpp>
#include <volute/ops/loop_nest.hpp>

namespace volute::graph {

/// The operands that a group reads from outside, as its members see them: a stored node, or a broadcast of one. Two more than a program
/// takes, so that one that is too wide can be told.
struct group_inputs {
  int id[ops::max_program_inputs + 2]{};
  int count = 0;
};

/// Reads the groups of a fusion, one at a time.
class group_reader {
 public:
  constexpr group_reader(const view& graph, const fusion& fused) : g(graph), f(fused), register_(graph.size.nodes, -1) {}

  /// The program of a group; `first` (a convolution) becomes input 0 where it is given. Inputs are operand nodes as the members see them.
  constexpr ops::scalar_program program_of(int root, int first, group_inputs& in) {
    ops::scalar_program p;
    p.inputs = p.constants = 0;
    const bool reduces = g.is<ops::reduce>(root);
    const auto input = [&](int a) {
      if (const int b = base_of(g, a); !g.is<ops::broadcast>(b)) a = b;  // all that is read whole is dense: its shape does not matter
      for (int i = 0; i < in.count; ++i)
        if (in.id[i] == a) return i;
      in.id[in.count] = a;
      return in.count++;
    };
    if (first >= 0) input(first);
    if (f.head[root] < 0) {  // a reduction of something stored, or a broadcast that is stored itself
      input(reduces ? g.operand(root, 0) : root);
      p.inputs = 1;
      return p;
    }
    for (int e = f.head[root]; e >= 0; e = f.next[e]) {
      const int m = f.member[e];
      for (int k = 0; k < g.nodes[m].count; ++k) {
        const int a = g.operand(m, k);
        if (!member(a, root) && !g.is<ops::fill>(a)) input(a);
      }
    }
    p.inputs = in.count > 0 ? in.count : 1;
    for (int e = f.head[root]; e >= 0; e = f.next[e]) {
      const int m = f.member[e];
      for (int k = 0; k < g.nodes[m].count; ++k)
        if (const int a = g.operand(m, k); g.is<ops::fill>(a)) constant(p, g.as<ops::fill>(a).value);
    }
    const int base = p.inputs + p.constants;
    for (int e = f.head[root]; e >= 0; e = f.next[e]) {
      const int m = f.member[e];
      std::int8_t r[3]{};
      for (int k = 0; k < g.nodes[m].count; ++k) {
        const int a = g.operand(m, k);
        r[k] = static_cast<std::int8_t>(member(a, root)      ? register_[base_of(g, a)]
                                        : g.is<ops::fill>(a) ? p.inputs + constant(p, g.as<ops::fill>(a).value)
                                                             : input(a));
      }
      p.code[p.length] = {g.as<ops::elementwise>(m).f(), r[0], r[1], r[2]};
      register_[m] = base + p.length++;
    }
    return p;
  }
  /// The shape over which a group runs.
  constexpr extents space_of(int root) const { return f.space[root] < 0 ? g.shape(root) : g.shapes[f.space[root]]; }
  /// The loop nest over `over` for these inputs: axes of extent 1 left out, reduced axes last, neighbours merged where every stride allows.
  constexpr std::int64_t nest_of(ops::loop_nest& nest, const extents& over, ops::axis_set reduced, const group_inputs& in,
                                 bool& inner_reduced) {
    std::int64_t stride[ops::max_program_inputs][max_rank]{};
    for (int i = 0; i < in.count; ++i) {
      const extents small = g.is<ops::broadcast>(in.id[i]) ? algebra::aligned(g.shape(g.operand(in.id[i], 0)), over.rank) : over;
      std::int64_t s = 1;
      for (int a = over.rank - 1; a >= 0; --a) {
        stride[i][a] = small[a] == 1 ? 0 : s;
        s *= small[a];
      }
    }
    int last_axis = -1;
    for (int pass = 0; pass < 2; ++pass) {
      bool fresh = true;
      for (int a = 0; a < over.rank; ++a) {
        if (over[a] == 1 || ops::contains(reduced, a) != (pass == 1)) continue;
        if (a > last_axis) last_axis = a;
        int& r = nest.rank;
        bool merges = !fresh;
        for (int i = 0; i < in.count && merges; ++i) merges = nest.stride[i][r - 1] == stride[i][a] * over[a];
        if (merges) {
          nest.extent[r - 1] *= over[a];
        } else {
          nest.extent[r++] = over[a];
        }
        for (int i = 0; i < in.count; ++i) nest.stride[i][r - 1] = stride[i][a];
        fresh = false;
      }
      if (pass == 0) nest.kept = nest.rank;
    }
    inner_reduced = last_axis >= 0 && ops::contains(reduced, last_axis);
    if (nest.rank == 0) {
      nest.rank = nest.kept = 1, nest.extent[0] = 1;
      for (int i = 0; i < in.count; ++i) nest.stride[i][0] = 1;
    }
    const int inner = inner_reduced || nest.kept == 0 ? nest.rank - 1 : nest.kept - 1;
    std::int64_t lanes = 0;
    for (int i = 0; i < in.count; ++i) {
      const std::int64_t s = nest.stride[i][inner];
      const ops::lane l = s == 1 ? ops::lane::contiguous : s == 0 ? ops::lane::broadcast : ops::lane::strided;
      lanes |= static_cast<std::int64_t>(l) << (2 * i);
    }
    return lanes;
  }

  /// Whether the convolution that a group chose can carry it.
  constexpr bool carries(int conv, const group_inputs& in) const {
    if (in.count > ops::max_program_inputs) return false;
    for (int i = 0; i < in.count; ++i) {
      ops::access how{};
      if (in.id[i] != conv && !epilogue_access(g, in.id[i], g.shape(conv), how)) return false;
    }
    return true;
  }

 private:
  const view& g;
  const fusion& f;
  buffer<int> register_;  // of a member, while its program is built

  constexpr bool member(int a, int root) const { return f.in_group(base_of(g, a), root); }
  static constexpr int constant(ops::scalar_program& p, double v) {
    for (int i = 0; i < p.constants; ++i)
      if (p.constant[i] == v) return i;
    p.constant[p.constants] = v;
    return p.constants++;
  }
};

}  // namespace volute::graph
