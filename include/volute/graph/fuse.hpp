// Fusion: which nodes run together. Walking from the results to the inputs, an elementwise node joins the group of its users when all of
// them are in one group over the same elements; a group may end in a reduction, and may begin with a convolution, whose registers then hold
// what the group reads. What is used by several groups is stored, once, unless it is made of one stored tensor by a few cheap instructions
// (x - mean): then each group makes it again, for it reads as much memory either way. Linear in the number of edges.
#pragma once

#include <volute/graph/frozen.hpp>

#include <array>

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

/// What fusion decides: the role of each node, and the members and bounds of each group.
struct fusion {
  static constexpr int most_groups = 4;  // that one node may be a member of

  int n;
  buffer<role> roles;
  buffer<int> group;  // roots of the groups that a node belongs to: most_groups for each node, -1: none
  buffer<int> head;   // of a root: its first member; members in ascending order: member[m], next[m], ...
  buffer<int> member, next;
  buffer<int> length;     // instructions of the group
  buffer<int> inputs;     // an upper bound of its inputs
  buffer<int> constants;  // an upper bound of its constants
  buffer<int> space;      // the shape that its broadcasts repeat to, and a reduction counts its axes in; -1: it has none
  buffer<int> carrier;    // of a root: the convolution that carries it, or -1
  buffer<int> scale;      // of a convolution: the node (N, C) that scales its input in the copy, or -1
  buffer<int> users;      // number of edges to live users
  buffer<char> output;    // is a result of the program

  constexpr explicit fusion(int nodes)
      : n(nodes),
        roles(nodes, role::dead),
        group(most_groups * nodes, -1),
        head(nodes, -1),
        length(nodes, 0),
        inputs(nodes, 0),
        constants(nodes, 0),
        space(nodes, -1),
        carrier(nodes, -1),
        scale(nodes, -1),
        users(nodes, 0),
        output(nodes, 0) {}

  constexpr bool in_group(int node, int root) const {
    for (int k = 0; k < most_groups; ++k)
      if (group[most_groups * node + k] == root) return true;
    return false;
  }
  constexpr void join(int node, int root) {
    int k = most_groups * node;
    while (group[k] >= 0) ++k;
    group[k] = root;
    member.push_back(node);
    next.push_back(head[root]);
    head[root] = member.size - 1;
  }
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
    return g.shape(operand).size() == y.size();
  }
  if (!(g.shape(operand) == y)) return false;
  const extents s = algebra::aligned(g.shape(g.operand(operand, 0)), 5);
  if (s.size() == 1) return how = ops::access::scalar, true;
  if (s[2] != 1 || s[3] != 1 || s[4] != 1 || s[1] != y[1]) return false;
  if (s[0] == 1) return how = ops::access::per_channel, true;
  return how = ops::access::per_sample_channel, s[0] == y[0];
}

/// Instructions that make a node from the one stored tensor that it is a cheap function of (and from small ones); 0: it is none.
constexpr void price(const view& g, buffer<int>& cost) {
  constexpr int most = 6;
  const int n = g.size.nodes, elementwise = ops::opcode<ops::elementwise>;
  buffer<char> live(n, 0), memory(n, 0);   // memory: something reads it that no group can hold
  buffer<int> edges(n, 0), readers(n, 0);  // readers: reductions, and one for all elementwise users, which may be one group
  buffer<char> mapped(n, 0);               // has elementwise users
  for (int i = 0; i < g.size.outputs; ++i) live[g.outputs[i]] = memory[g.outputs[i]] = 1;
  for (int i = n - 1; i >= 0; --i) {
    const node& v = g.nodes[i];
    if (!live.data[i]) continue;
    for (int k = 0; k < v.count; ++k) {
      const int a = g.operand(i, k);
      live.data[a] = 1;
      edges.data[a] += 1;
      if (v.op == ops::opcode<ops::reshape>)
        memory.data[a] |= memory.data[i], mapped.data[a] |= mapped.data[i], readers.data[a] += readers.data[i];
      else if (v.op == ops::opcode<ops::reduce>)
        readers.data[a] += 1;
      else if (v.op == elementwise)
        mapped.data[a] = 1;
      else
        memory.data[a] = 1;
    }
  }
  buffer<int> anchor(n, -1);  // the stored tensor, -1: none
  for (int i = 0; i < n; ++i) {
    const node& v = g.nodes[i];
    if (!live.data[i] || v.op == ops::opcode<ops::broadcast> || v.op == ops::opcode<ops::fill>) continue;
    anchor.data[i] = v.op == ops::opcode<ops::reshape> ? anchor.data[g.operand(i, 0)] : i;
    if (v.op == ops::opcode<ops::reshape>) cost.data[i] = cost.data[g.operand(i, 0)];
    if (v.op != elementwise) continue;
    using ops::fn;
    const fn f = g.as<ops::elementwise>(i).f();
    int sum = f <= fn::square || f == fn::relu || f == fn::step || (f >= fn::add && f != fn::divide && f != fn::power) ? 1 : most + 1;
    if (f == fn::reciprocal) sum = most + 1;
    int from = -1;
    for (int k = 0; k < v.count && sum <= most; ++k) {
      const int a = g.operand(i, k), at = anchor.data[a];
      if (at < 0) {
        sum += cost.data[a];
        continue;
      }
      if (from >= 0 && from != at) sum = most + 1;  // two tensors to read instead of one
      from = at;
      if (at == base_of(g, a)) {
        // Is it stored without my asking? What only I read may stay in a convolution's registers, or in a group's.
        const bool kept = g.nodes[at].op == ops::opcode<ops::convolution> ? edges.data[at] > 1
                          : g.nodes[at].op == elementwise                 ? memory.data[at] || readers.data[at] + mapped.data[at] > 1
                                                                          : true;
        if (!kept) sum = most + 1;
      } else {
        sum += cost.data[a];
      }
    }
    if (sum > most) continue;
    cost.data[i] = sum;
    if (!memory.data[i]) anchor.data[i] = from;  // else it is stored, and users read it
  }
}

/// The role of a node that nothing is fused with, by its primitive.
inline constexpr auto role_alone = [] {
  std::array<role, static_cast<std::size_t>(ops::primitives::size)> roles{};
  roles.fill(role::kernel);
  roles[ops::opcode<ops::input>] = roles[ops::opcode<ops::parameter>] = role::leaf;
  roles[ops::opcode<ops::reshape>] = role::alias;
  roles[ops::opcode<ops::broadcast>] = roles[ops::opcode<ops::fill>] = role::inlined;
  roles[ops::opcode<ops::elementwise>] = roles[ops::opcode<ops::reduce>] = role::root;
  return roles;
}();

/// Decides for every node of a graph, from the results to the inputs: each user has said what it wants before its operands are asked.
class fuser {
 public:
  constexpr fuser(const view& graph, fusion& decisions)
      : g(graph),
        f(decisions),
        wanted_(most * graph.size.nodes, -1),
        wanting_(graph.size.nodes, 0),
        cost_(graph.size.nodes, 0),
        live_(graph.size.nodes, 0),
        stored_(graph.size.nodes, 0) {
    price(g, cost_);
    for (int i = 0; i < g.size.outputs; ++i) {
      live_[g.outputs[i]] = f.output[g.outputs[i]] = stored_[g.outputs[i]] = 1;
      wanting_[g.outputs[i]] = separate;
    }
    for (int i = g.size.nodes - 1; i >= 0; --i) {
      const role alone = role_alone[static_cast<std::size_t>(g.nodes[i].op)];
      if (alone == role::leaf || live_.data[i]) f.roles.data[i] = alone;
      if (alone != role::leaf && live_.data[i]) ask_operands(i, decide(i));
    }
  }

 private:
  static constexpr int separate = -2, most = fusion::most_groups;
  static constexpr int elementwise = ops::opcode<ops::elementwise>, broadcast = ops::opcode<ops::broadcast>, fill = ops::opcode<ops::fill>,
                       reduce = ops::opcode<ops::reduce>, reshape = ops::opcode<ops::reshape>, convolution = ops::opcode<ops::convolution>;

  /// What a node wants of its operands.
  struct demand {
    int group = separate;  // the one that they may join
    bool inside = false;   // it is a member of other groups, which they may join
    int skip = -1;         // the one that needs no memory
  };

  const view& g;
  fusion& f;
  buffer<int> wanted_, wanting_;  // the groups that users are in; how many, or separate
  buffer<int> cost_;              // see price
  buffer<char> live_, stored_;    // stored: some user reads it from memory

  constexpr demand decide(int i) {
    const int op = g.nodes[i].op;
    if (op == elementwise) return map(i);
    if (op == convolution) return convolve(i);
    if (op == reduce) {
      f.inputs.data[i] = 1;
      f.space.data[i] = g.nodes[g.operand(i, 0)].shape;
      return {.group = i};
    }
    if (op == reshape) return {.inside = wanting_.data[i] > 0 && !stored_.data[i]};        // a group does not mind: its tensors are dense
    if ((op == broadcast || op == fill) && stored_.data[i]) f.roles.data[i] = role::root;  // an identity program
    return {};
  }

  /// An elementwise node joins the groups of its users, if each has room for it, or begins one.
  constexpr demand map(int i) {
    const node& v = g.nodes[i];
    int fills = 0, space = -1;
    for (int k = 0; k < v.count; ++k) {
      const int a = g.operand(i, k);
      fills += g.nodes[a].op == fill;
      if (g.nodes[a].op == broadcast) space = v.shape;
    }
    const int reads = v.count - fills;
    bool inside = wanting_.data[i] > 0 && reads > 0 && !stored_.data[i];
    for (int k = 0; k < wanting_.data[i] && inside; ++k) {
      const int to = wanted_.data[most * i + k];
      inside = f.length.data[to] < ops::max_program_length && f.inputs.data[to] + reads - 1 <= ops::max_program_inputs &&
               f.constants.data[to] + fills <= ops::max_program_constants &&
               (space < 0 || f.space.data[to] < 0 || f.space.data[to] == space);
    }
    if (!inside) {
      f.join(i, i);
      f.length.data[i] = 1;
      f.inputs.data[i] = reads;
      f.constants.data[i] = fills;
      f.space.data[i] = space;
      return {.group = i};
    }
    f.roles.data[i] = role::inlined;
    for (int k = 0; k < wanting_.data[i]; ++k) {
      const int to = wanted_.data[most * i + k];
      f.join(i, to);
      f.length.data[to] += 1;
      f.inputs.data[to] += reads - 1;
      f.constants.data[to] += fills;
      if (space >= 0) f.space.data[to] = space;
    }
    return {.inside = true};
  }

  /// A convolution, but for the filter's adjoint, carries the one group that reads it, and takes a scale of its input along.
  constexpr demand convolve(int i) {
    if (g.as<ops::convolution>(i).face() == ops::face::weights) return {};
    const int to = wanting_.data[i] == 1 ? wanted_.data[most * i] : separate;
    if (to >= 0 && !stored_.data[i] && f.carrier.data[to] < 0 && g.nodes[to].op == elementwise) {
      f.carrier.data[to] = i;  // provisional: the planner may find that the group does not fit (see `carries`)
      f.roles.data[i] = role::merged;
    }
    // conv(x * s, w) with s (N, C): the scale rides in the copy that brings x into the kernel's layout
    const int x = g.operand(i, 0);
    if (g.nodes[x].op != elementwise || g.as<ops::elementwise>(x).f() != ops::fn::multiply || f.users.data[x] != 0 || f.output.data[x] ||
        g.operand(i, 1) == x)
      return {};
    for (int k = 0; k < 2; ++k) {
      const int b = g.operand(x, k), whole = g.operand(x, 1 - k);
      ops::access how{};
      if (g.nodes[b].op != broadcast || g.nodes[whole].op == fill || !epilogue_access(g, b, g.shape(x), how) ||
          (how != ops::access::per_sample_channel && (how != ops::access::per_channel || g.shape(x)[0] != 1)))
        continue;
      f.scale.data[i] = b;
      for (int read : {whole, g.operand(b, 0)}) {
        live_.data[read] = stored_.data[read] = 1;
        ask(read, separate);
      }
      f.users.data[whole] += 1;
      return {.skip = x};
    }
    return {};
  }

  /// A user of `a` is in group `to`.
  constexpr void ask(int a, int to) {
    int& count = wanting_.data[a];
    for (int k = 0; k < count; ++k)
      if (wanted_.data[most * a + k] == to) return;
    if (to < 0 || count == most || count < 0 || (count > 0 && cost_.data[a] == 0))
      count = separate;
    else
      wanted_.data[most * a + count++] = to;
  }

  constexpr void ask_operands(int i, const demand& of) {
    const node& v = g.nodes[i];
    for (int k = 0; k < v.count; ++k) {
      const int a = g.operand(i, k), op = g.nodes[a].op;
      f.users.data[a] += 1;
      if (a == of.skip) continue;
      live_.data[a] = 1;
      if (of.inside && (v.op == elementwise || op == elementwise || op == reshape || op == convolution)) {
        for (int m = 0; m < wanting_.data[i]; ++m) ask(a, wanted_.data[most * i + m]);
        continue;
      }
      ask(a, of.group);
      if (of.group < 0 && (v.op != broadcast || op != fill)) stored_.data[a] = 1;
    }
  }
};

/// Decides for every node of a graph.
constexpr void fuse(const view& g, fusion& f) { fuser(g, f); }

}  // namespace volute::graph
