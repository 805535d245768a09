// Fusion: which nodes run together. Walking from the results to the inputs, an elementwise node joins the group of its users when all of
// them are in one group over the same shape; a group may end in a reduction, and may begin with a convolution, whose registers then hold
// what the group reads. What is used by two groups is stored, once: nothing is computed twice. Linear in the number of edges.
#pragma once

#include <volute/graph/frozen.hpp>

namespace volute::graph {

/// The decision for each node.
enum class role : std::int8_t {
  dead,     // nothing needs it
  leaf,     // input, parameter
  alias,    // a reshape: the operand's memory
  inlined,  // a broadcast or fill that its users read through, or a member of a group
  root,     // the last node of a group: an elementwise program or a reduction
  kernel,   // a kernel of its own
  merged,   // a convolution that carries its users' group as its epilogue
};

struct fusion {
  int n;
  buffer<role> roles;
  buffer<int> group;  // root of the group a node belongs to, -1: none
  buffer<int> next;   // members of a group in ascending order: head[root], next[member], ...
  buffer<int> head;
  buffer<int> length;     // instructions of the group
  buffer<int> inputs;     // an upper bound of its inputs
  buffer<int> constants;  // an upper bound of its constants
  buffer<int> carrier;    // of a root: the convolution that carries it, or -1
  buffer<int> scale;      // of a convolution: the node (N, C) that scales its input in the copy, or -1
  buffer<int> users;      // number of edges to live users
  buffer<char> output;    // is a result of the program

  constexpr explicit fusion(int nodes)
      : n(nodes),
        roles(nodes, role::dead),
        group(nodes, -1),
        next(nodes, -1),
        head(nodes, -1),
        length(nodes, 0),
        inputs(nodes, 0),
        constants(nodes, 0),
        carrier(nodes, -1),
        scale(nodes, -1),
        users(nodes, 0),
        output(nodes, 0) {}
};

/// The node whose memory `id` is: looks through reshapes.
constexpr int base_of(const view& g, int id) {
  while (g.nodes[id].op == ops::opcode<ops::reshape>) id = g.operand(id, 0);
  return id;
}

/// How an operand of an epilogue varies over the result (N, C, D, H, W); false if a convolution cannot carry it.
constexpr bool epilogue_access(const view& g, int operand, const extents& y, ops::access& how) {
  if (g.nodes[operand].op != ops::opcode<ops::broadcast>) {
    how = ops::access::whole;
    return g.shape(operand) == y;
  }
  const extents s = algebra::aligned(g.shape(g.operand(operand, 0)), 5);
  if (s.size() == 1) return how = ops::access::scalar, true;
  if (s[2] != 1 || s[3] != 1 || s[4] != 1 || s[1] != y[1]) return false;
  if (s[0] == 1) return how = ops::access::per_channel, true;
  return how = ops::access::per_sample_channel, s[0] == y[0];
}

constexpr void fuse(const view& g, fusion& f) {
  constexpr int undecided = -1, separate = -2;
  const int n = g.size.nodes;
  const int elementwise = ops::opcode<ops::elementwise>, broadcast = ops::opcode<ops::broadcast>, fill = ops::opcode<ops::fill>,
            reduce = ops::opcode<ops::reduce>, reshape = ops::opcode<ops::reshape>, convolution = ops::opcode<ops::convolution>;
  buffer<int> wanted(n, undecided);       // the group that all users seen so far belong to
  buffer<char> live(n, 0), stored(n, 0);  // stored: some user reads it from memory
  for (int i = 0; i < g.size.outputs; ++i) {
    live[g.outputs[i]] = f.output[g.outputs[i]] = stored[g.outputs[i]] = 1;
    wanted[g.outputs[i]] = separate;
  }
  for (int i = n - 1; i >= 0; --i) {
    const node& v = g.nodes[i];
    if (v.op == ops::opcode<ops::input> || v.op == ops::opcode<ops::parameter>) {
      f.roles.data[i] = role::leaf;
      continue;
    }
    if (!live.data[i]) continue;
    int mine = separate;  // the group that my operands may join
    int skip = -1;        // an operand that needs no memory
    if (v.op == elementwise) {
      const int to = wanted.data[i];
      int fills = 0;
      for (int k = 0; k < v.count; ++k) fills += g.nodes[g.operand(i, k)].op == fill;
      const int reads = v.count - fills;
      if (to >= 0 && reads > 0 && !stored.data[i] && f.length.data[to] < ops::max_program_length &&
          f.inputs.data[to] + reads - 1 <= ops::max_program_inputs && f.constants.data[to] + fills <= ops::max_program_constants) {
        f.roles.data[i] = role::inlined;
        f.group.data[i] = to;
        f.next.data[i] = f.head.data[to];
        f.head.data[to] = i;
        f.length.data[to] += 1;
        f.inputs.data[to] += reads - 1;
        f.constants.data[to] += fills;
        mine = to;
      } else {
        f.roles.data[i] = role::root;
        f.group.data[i] = f.head.data[i] = mine = i;
        f.length.data[i] = 1;
        f.inputs.data[i] = reads;
        f.constants.data[i] = fills;
      }
    } else if (v.op == reduce) {
      f.roles.data[i] = role::root;
      f.group.data[i] = mine = i;
      f.inputs.data[i] = 1;
    } else if (v.op == broadcast || v.op == fill) {
      f.roles.data[i] = stored.data[i] ? role::root : role::inlined;  // stored: an identity program
      if (stored.data[i]) f.group.data[i] = i;
    } else if (v.op == reshape) {
      f.roles.data[i] = role::alias;
    } else {
      f.roles.data[i] = role::kernel;
      if (v.op == convolution) {
        const auto op = g.as<ops::convolution>(i);
        const int to = wanted.data[i];
        if (op.side() != ops::face::weights && to >= 0 && !stored.data[i] && f.carrier.data[to] < 0 && g.nodes[to].op == elementwise) {
          f.carrier.data[to] = i;  // provisional: the planner may find that the group does not fit (see `carries`)
          f.roles.data[i] = role::merged;
          f.group.data[i] = to;
        }
        // conv(x * s, w) with s (N, C): the scale rides in the copy that brings x into the kernel's layout
        const int x = g.operand(i, 0);
        if (op.side() != ops::face::weights && g.nodes[x].op == elementwise && g.as<ops::elementwise>(x).f() == ops::fn::multiply &&
            f.users.data[x] == 0 && !f.output.data[x] && v.count == 2 && g.operand(i, 1) != x) {
          for (int k = 0; k < 2; ++k) {
            const int b = g.operand(x, k), whole = g.operand(x, 1 - k);
            ops::access how{};
            if (f.scale.data[i] < 0 && g.nodes[b].op == broadcast && g.nodes[whole].op != fill && epilogue_access(g, b, g.shape(x), how) &&
                (how == ops::access::per_sample_channel || (how == ops::access::per_channel && g.shape(x)[0] == 1))) {
              f.scale.data[i] = b;
              skip = x;
              live.data[whole] = stored.data[whole] = 1;
              live.data[g.operand(b, 0)] = stored.data[g.operand(b, 0)] = 1;
              wanted.data[whole] = wanted.data[g.operand(b, 0)] = separate;
              f.users.data[whole] += 1;
            }
          }
        }
      }
    }
    const bool reads_memory = mine < 0 && v.op != reshape && v.op != broadcast;
    for (int k = 0; k < v.count; ++k) {
      const int a = g.operand(i, k);
      f.users.data[a] += 1;
      if (a == skip) continue;
      live.data[a] = 1;
      if (reads_memory || (v.op == reshape) || (v.op == broadcast && g.nodes[a].op != fill)) stored.data[a] = 1;
      const bool same_space =
          mine >= 0 && g.nodes[a].shape == (g.nodes[mine].op == reduce ? g.nodes[g.operand(mine, 0)].shape : g.nodes[mine].shape);
      const int to = same_space ? mine : separate;
      wanted.data[a] = wanted.data[a] == undecided || wanted.data[a] == to ? to : separate;
      if (!same_space && mine >= 0) stored.data[a] = 1;
    }
  }
}

}  // namespace volute::graph
