// The back half of the compiler inside the compiler: groups become launches of kernels, launches get their order, values get their place.
// The number of elements of every buffer is known, so the arena is one block whose offsets are constants.
#pragma once

#include <volute/graph/group.hpp>
#include <volute/graph/layouts.hpp>
#include <volute/graph/moments.hpp>
#include <volute/graph/steps.hpp>

namespace volute::graph {

/// The plan of a graph, made by its constructor.
class planner : public step_list {
 public:
  buffer<ops::volume_layout> layouts;
  std::int64_t arena = 0, prologue_elements = 0, live_peak = 0;

  constexpr planner(const view& graph, const kernel_facts& facts, bool hoist)
      : step_list(graph, hoist), groups_(g, f), facts_(facts, convolutions) {
    fuse(g, f);
    find_further_results();
    find_invariants();
    make_steps();
    write_outputs();
    moments_pass(steps, kernels, programs);
    const layout_pass chosen(steps, values, kernels, convolutions, pools, facts_);
    for (const ops::volume_layout& l : chosen.table) layouts.push_back(l);
    order();
    const placement memory(steps, values, hoists);
    arena = memory.arena, prologue_elements = memory.prologue, live_peak = memory.live;
  }

 private:
  group_reader groups_;
  known_facts facts_;
  buffer<int> packs_;  // steps that pack filters

  // ---- steps
  constexpr void make_steps() {
    // A group that its convolution cannot carry runs on its own; known before any step is made.
    for (int i = 0; i < g.size.nodes; ++i) {
      const int conv = f.roles[i] == role::root ? f.carrier[i] : -1;
      if (conv < 0) continue;
      group_inputs in;
      groups_.program_of(i, conv, in);
      if (!groups_.carries(conv, in)) {
        f.carrier[i] = -1;
        f.roles[conv] = role::kernel;
      }
    }
    find_views();
    for (int i = 0; i < g.size.nodes; ++i) {
      const role r = f.roles.data[i];
      if (r == role::root) {
        if (g.is<ops::fill>(i)) {
          new_step(i, {.kind = kernel_kind::fill}).call.value = g.as<ops::fill>(i).value;
          set_extent(steps[steps.size - 1], g.shape(i).size());
        } else if (f.carrier[i] >= 0) {
          convolution(f.carrier[i], i);
        } else {
          group(i);
        }
      } else if (r == role::kernel) {
        kernel(i);
      }
    }
  }

  constexpr void group(int root) {
    group_inputs in;
    const ops::scalar_program p = groups_.program_of(root, -1, in);
    const bool reduces = g.is<ops::reduce>(root);
    if (in.count == 0) {  // a function of constants alone: a kernel reads something, so it reads what it is about to write
      new_step(root, {.kind = kernel_kind::fill});
      set_extent(steps[steps.size - 1], g.shape(root).size());
      in.id[in.count++] = root;
    }
    const extents over = groups_.space_of(root);
    ops::loop_nest nest;
    bool inner = false;
    kernel_spec k{.kind = reduces ? kernel_kind::reduce : kernel_kind::elementwise, .program = index(programs, p)};
    k.lanes = groups_.nest_of(nest, over, reduces ? g.as<ops::reduce>(root).axes : 0, in, inner);
    if (reduces) k.first = inner, k.how = g.as<ops::reduce>(root).how();
    location memory[ops::max_program_inputs]{};
    for (int i = 0; i < in.count; ++i) memory[i] = memory_of(in.id[i]);
    step& s = new_step(root, k);
    s.call.nest = nest;
    if (reduces)
      s.call.value = g.as<ops::reduce>(root).how() == ops::reduction::mean
                         ? static_cast<double>(g.shape(g.operand(root, 0)).size() / g.shape(root).size())
                         : 1;
    note_volume(s, root, over, in);
    for (int i = 0; i < in.count; ++i) {
      const int at = add_input(s, memory[i]);
      s.in_place[at] = !reduces && !g.is<ops::broadcast>(in.id[i]) && values[memory[i].value].size == over.size();
    }
  }

  /// Whether a group may read and write volumes in blocks of channels (see layout_pass).
  constexpr void note_volume(step& s, int root, const extents& over, const group_inputs& in) {
    if (over.rank != 5 || over[1] == 1) return;
    if (g.is<ops::reduce>(root)) {
      const ops::axis_set axes = g.as<ops::reduce>(root).axes;
      bool all = !ops::contains(axes, 1);
      for (int a = 2; a < 5; ++a) all = all && ops::contains(axes, a);
      if (!all) return;
      s.keeps_samples = !ops::contains(axes, 0);
    }
    for (int i = 0; i < in.count; ++i) {
      ops::access how{};
      if (!epilogue_access(g, in.id[i], over, how)) return;
      s.access |= static_cast<std::int64_t>(how) << (2 * i);
    }
    s.volume = over;
  }

  /// The same of a pooling's source.
  constexpr void note_pooled(step& s, int node) const {
    if (const extents x = g.shape(g.operand(node, 0)); x[1] > 1) s.volume = x;
  }

  /// A step that makes `out` of `node`'s value in another order.
  constexpr step& new_derived(int node, int out, const kernel_spec& k, bool invariant) {
    steps.push_back({});
    step& s = steps[steps.size - 1];
    s.call.node = base_of(g, node);
    s.call.kernel = kernel_index_(kernels, k);
    s.invariant = invariant;
    s.out = out;
    return s;
  }

  constexpr location pack(int weights, kernel_kind kind, int geometry) {
    const location w = location_of(weights);
    const ops::conv_facts& facts = facts_.of(geometry, face_of(kind));
    const kernel_spec k{.kind = kind, .lanes = static_cast<std::int64_t>(facts.order), .geometry = geometry};
    for (int i = 0; i < packs_.size; ++i) {  // filters in the same order serve convolutions of several geometries
      const step& made = steps.data[packs_.data[i]];
      if (made.in[0] != w.value || made.offset[0] != w.offset) continue;
      const kernel_spec& m = kernels.data[made.call.kernel];
      if (m.kind == kind && m.lanes == k.lanes) return {made.out};
    }
    const bool invariant = is_kept(weights);
    const int packed = new_value(base_of(g, weights), facts.packed, invariant);
    packs_.push_back(steps.size);
    add_input(new_derived(weights, packed, k, invariant), w);
    return {packed};
  }

  /// Whether a node depends on parameters alone and is kept with the weights.
  constexpr bool is_kept(int node) const { return hoists && invariant_[base_of(g, node)] != 0; }

  /// Matrices that depend on parameters alone with rows and columns exchanged, made once after the parameters changed: turning them again
  /// in each product counts where rows are few (1000 x 512, Zen 3: 86 us for 40 with one row, 154 for 139 with eight, 241 for 270 with 16).
  /// Where columns are few, dot products read them as they lie, whatever the rows are.
  static constexpr std::int64_t few_rows = 8, few_columns = 8;
  constexpr location transposed(int matrices) {
    const location from = location_of(matrices);
    const extents e = g.shape(matrices);
    const int made = new_value(base_of(g, matrices), e.size(), true);
    step& s = new_derived(matrices, made, {.kind = kernel_kind::copy}, true);
    add_input(s, from);
    axis(s, e[0], e[1] * e[2], e[1] * e[2]), axis(s, e[2], 1, e[1]), axis(s, e[1], e[2], 1);
    return {made};
  }

  /// A convolution, with the group of `root` as its epilogue where root is not the convolution itself.
  constexpr void convolution(int conv, int root) {
    const auto op = g.as<ops::convolution>(conv);
    const int first = g.operand(conv, 0), second = g.operand(conv, 1);
    const ops::conv_geometry q = op.geometry(g.shape(first), g.shape(second));
    kernel_spec k{.geometry = index(convolutions, q)};
    int from = first, scale = f.scale[conv];
    if (scale >= 0) from = g.operand(first, g.operand(first, 0) == scale ? 1 : 0);
    const location a = location_of(from);
    if (op.face() == ops::face::weights) {
      k.kind = kernel_kind::conv_weights;
      const location b = location_of(second);
      step& s = new_step(conv, k);
      s.call.scratch_size = facts_.of(k.geometry, op.face()).scratch;
      add_input(s, a), add_input(s, b);
      return;
    }
    const bool forward = op.face() == ops::face::forward;
    const location b = pack(second, forward ? kernel_kind::pack_forward : kernel_kind::pack_data, k.geometry);
    k.kind = forward ? kernel_kind::conv_forward : kernel_kind::conv_data;
    k.first = scale >= 0;
    group_inputs in;
    if (root != conv) {
      const ops::scalar_program p = groups_.program_of(root, conv, in);
      k.program = index(programs, p);
      for (int i = 1; i < in.count; ++i) {
        ops::access how{};
        epilogue_access(g, in.id[i], g.shape(conv), how);
        k.lanes |= static_cast<std::int64_t>(how) << (2 * i);
      }
    }
    location memory[ops::max_program_inputs]{};
    for (int i = 1; i < in.count; ++i) memory[i] = memory_of(in.id[i]);
    const location scales = scale >= 0 ? memory_of(scale) : location{};
    step& s = new_step(root, k);
    s.call.scratch_size = facts_.of(k.geometry, op.face()).scratch;
    add_input(s, a), add_input(s, b);
    if (scale >= 0) add_input(s, scales);
    for (int i = 1; i < in.count; ++i) {
      const int at = add_input(s, memory[i]);
      s.in_place[at] = static_cast<ops::access>((k.lanes >> (2 * i)) & 3) == ops::access::whole && memory[i].value != a.value &&
                       values[memory[i].value].size == g.shape(conv).size();
    }
  }

  // The steps of a node that has a kernel of its own, by its primitive.
  constexpr void kernel(const ops::convolution&, int i) { convolution(i, i); }
  constexpr void kernel(const ops::matmul& op, int i) {
    const int second = g.operand(i, 1);
    const extents e = g.shape(i), a = g.shape(g.operand(i, 0)), b = g.shape(second);
    const bool turned = op.transpose_b != 0 && e[1] <= few_rows && e[2] > few_columns && is_kept(second);
    const location from = location_of(g.operand(i, 0)), matrix = turned ? transposed(second) : location_of(second);
    step& s = new_step(i, {.kind = kernel_kind::matmul, .first = op.transpose_a != 0, .second = op.transpose_b != 0 && !turned});
    add_input(s, from), add_input(s, matrix);
    ops::loop_nest& n = s.call.nest;
    n.rank = 4;
    n.extent[0] = e[0], n.extent[1] = e[1], n.extent[2] = e[2], n.extent[3] = op.transpose_a ? a[1] : a[2];
    n.stride[0][0] = a[0] == 1 ? 0 : a[1] * a[2];
    n.stride[1][0] = b[0] == 1 ? 0 : b[1] * b[2];
  }
  constexpr void kernel(const ops::max_pool& op, int i) {
    const bool self = g.operand(i, 0) == g.operand(i, 1);
    const auto q = op.window.geometry(g.shape(g.operand(i, 0)), op.scatters ? g.shape(g.operand(i, 1)) : g.shape(i));
    const auto kind = op.scatters ? kernel_kind::max_scatter : self ? kernel_kind::max_pool : kernel_kind::max_gather;
    step& s = new_step_of(i, {.kind = kind, .geometry = index(pools, q)});
    if (self && !op.scatters) note_pooled(s, i);
  }
  constexpr void kernel(const ops::avg_pool& op, int i) {
    const extents x = g.shape(g.operand(i, 0)), e = g.shape(i);
    const auto q = op.window.geometry(op.adjoint ? e : x, op.adjoint ? x : e);
    step& s = new_step_of(i, {.kind = op.adjoint ? kernel_kind::avg_adjoint : kernel_kind::avg_pool, .geometry = index(pools, q)});
    if (!op.adjoint) note_pooled(s, i);
  }
  constexpr void kernel(const ops::gather& op, int i) {
    const extents table = g.shape(op.adjoint ? i : g.operand(i, 0)), index = g.shape(g.operand(i, 1));
    step& s = new_step_of(i, {.kind = op.adjoint ? kernel_kind::scatter : kernel_kind::gather});
    ops::loop_nest& n = s.call.nest;
    n.rank = 5;
    n.extent[0] = table[0], n.extent[1] = table[1], n.extent[2] = table[2], n.extent[3] = index[1], n.extent[4] = table[3];
    n.stride[1][0] = index[0] == 1 ? 0 : index[1];
  }
  constexpr void kernel(const ops::attention& op, int i) { attend(op, i, kernel_kind::attention); }
  constexpr void kernel(const ops::attention_gradient& op, int i) { attend(op.of(), i, kernel_kind::attention_gradient); }
  constexpr void kernel(const ops::further_result&, int) {}  // its node's launch makes it
  /// Axes of the nest: those that lead, queries, keys; strides 0 and 1: those of the bias and of the mask. Further results are operands
  /// behind the others, in their order.
  constexpr void attend(const ops::attention& op, int i, kernel_kind kind) {
    const extents q = g.shape(g.operand(i, 0)), k = g.shape(g.operand(i, 1)), v = g.shape(g.operand(i, 2));
    const int rank = q.rank;
    ops::attention_form form{q[rank - 1], v[rank - 1], op.bias != 0, op.causal != 0, static_cast<ops::attention_mask>(op.mask), 0};
    int results[4]{-1, -1, -1, -1};
    for (int r = further_.data[i]; r >= 0; r = next_further_.data[r]) {
      const int which = static_cast<int>(g.as<ops::further_result>(r).which);
      results[which] = r;
      form.further |= 1 << (which - 1);
      step& room = new_step(r, {.kind = kernel_kind::room});
      set_extent(room, g.shape(r).size());
    }
    step& s = new_step_of(i, {.kind = kind, .lanes = form.packed()});
    for (int r : results)
      if (r >= 0) add_input(s, location_of(r));
    s.call.value = op.scale;
    s.call.scratch_size = facts_.ask.attention(form, kind == kernel_kind::attention_gradient);
    ops::loop_nest& n = s.call.nest;
    n.rank = rank;
    for (int a = 0; a < rank; ++a) n.extent[a] = a + 1 < rank ? q[a] : k[rank - 2];
    for (int which = 0; which < 2; ++which) {
      if (which == 0 ? op.bias == 0 : op.mask == 0) continue;
      const extents e = g.shape(g.operand(i, which == 0 ? 3 : op.operands() - 1));
      for (int a = 0; a < e.rank; ++a) n.stride[which][rank - e.rank + a] = e[a] == 1 ? 0 : e.stride(a);
    }
  }
  constexpr void kernel(const ops::transpose& op, int i) {
    const extents x = g.shape(g.operand(i, 0)), e = g.shape(i);
    step& s = new_step_of(i, {.kind = kernel_kind::copy});
    for (int a = 0; a < e.rank; ++a) axis(s, e[a], x.stride(static_cast<int>(op.axis[a])), e.stride(a));
  }
  constexpr void kernel(const ops::slice& op, int i) {
    const extents x = g.shape(g.operand(i, 0)), e = g.shape(i);
    step& s = new_step_of(i, {.kind = kernel_kind::copy});
    for (int a = 0; a < e.rank; ++a) {
      s.offset[0] += op.start[a] * x.stride(a);
      axis(s, e[a], x.stride(a) * op.step[a], e.stride(a));
    }
  }
  constexpr void kernel(const ops::pad& op, int i) {
    const extents x = g.shape(g.operand(i, 0)), e = g.shape(i);
    const location from = location_of(g.operand(i, 0));
    step& blank = new_step(i, {.kind = kernel_kind::fill});
    blank.call.value = op.value;
    set_extent(blank, e.size());
    step& s = new_step(i, {.kind = kernel_kind::copy});
    add_input(s, from);
    for (int a = 0; a < e.rank; ++a) {
      s.out_offset += op.lo[a] * e.stride(a);
      axis(s, x[a], x.stride(a), e.stride(a) * (op.interior[a] + 1));
    }
  }
  constexpr void kernel(const ops::concat& op, int i) {
    const extents e = g.shape(i);
    std::int64_t start = 0;
    for (int k = 0; k < g.nodes[i].count; ++k) {
      const location from = location_of(g.operand(i, k)), whole = location_of(i);
      const extents x = g.shape(g.operand(i, k));
      if (from.value == whole.value && from.offset == whole.offset + start) {  // made there (see find_views)
        start += x.size();
        continue;
      }
      step& s = new_step(i, {.kind = kernel_kind::copy});
      add_input(s, from);
      s.out_offset += start;
      for (int a = 0; a < e.rank; ++a) axis(s, x[a], x.stride(a), e.stride(a));
      start += x[static_cast<int>(op.axis)] * e.stride(static_cast<int>(op.axis));
    }
  }
  constexpr void kernel(const ops::arange&, int i) { set_extent(new_step(i, {.kind = kernel_kind::arange}), g.shape(i).size()); }
  constexpr void kernel(const ops::all_reduce&, int i) { set_extent(new_step_of(i, {.kind = kernel_kind::all_reduce}), g.shape(i).size()); }
  constexpr void kernel(const ops::halo& op, int i) {
    const extents x = g.shape(g.operand(i, 0)), e = g.shape(i);
    launch& call = new_step_of(i, {.kind = kernel_kind::halo, .first = op.adjoint != 0}).call;
    call.value = static_cast<double>(op.slab);
    ops::loop_nest& n = call.nest;
    n.rank = 5;
    n.extent[0] = e[0] * e[1], n.extent[1] = op.adjoint != 0 ? e[2] : x[2], n.extent[2] = e[3] * e[4];
    n.extent[3] = op.lo, n.extent[4] = op.hi;
  }
  constexpr void kernel(const ops::random& op, int i) {
    step& s = new_step(i, {.kind = kernel_kind::random});
    s.call.value = static_cast<double>(op.stream);
    set_extent(s, g.shape(i).size());
  }
  template <class Op>
  constexpr void kernel(const Op&, int) {
    using known =
        ops::op_list<ops::input, ops::parameter, ops::fill, ops::barrier, ops::elementwise, ops::broadcast, ops::reduce, ops::reshape>;
    if constexpr (known::template index_of<Op>() < 0)  // those have another role (see fuse)
      static_assert(sizeof(ops::no_branch<Op, "graph/plan.hpp: kernel">) > 0);
  }
  constexpr void kernel(
      int i) {  // behind the others: clang, which parses members in their order, evaluates no call of one that comes later
    ops::primitives::visit(g.nodes[i].op, g.attributes[g.nodes[i].attribute], [&](const auto& op) { kernel(op, i); });
  }
  /// A result is made in the caller's memory where a launch makes it; a leaf, an invariant, or a value that is a result twice is copied
  /// there.
  constexpr void write_outputs() {
    for (int k = 0; k < g.size.outputs; ++k) {
      const int b = base_of(g, g.outputs[k]);
      const int v = value(b);
      if (!values[v].placed && !(hoists && invariant_[b])) {
        values[v].at = {space::output, k, 0};
        values[v].placed = true;
        continue;
      }
      const int copy = new_value(b, values[v].size, false);
      values[copy].at = {space::output, k, 0};
      values[copy].placed = true;
      steps.push_back({});
      step& s = steps[steps.size - 1];
      s.call.node = b;
      s.call.kernel = kernel_index_(kernels, {.kind = kernel_kind::copy});
      s.out = copy;
      add_input(s, {v});
      axis(s, values[v].size, 1, 1);
    }
  }

  /// Invariant steps first; within each part the order in which they were made, which is topological.
  constexpr void order() {
    buffer<step> sorted;
    for (int pass = 0; pass < 2; ++pass)
      for (int i = 0; i < steps.size; ++i)
        if (steps[i].invariant == (pass == 0)) sorted.push_back(steps[i]);
    for (int i = 0; i < steps.size; ++i) steps[i] = sorted[i];
    for (int i = 0; i < steps.size; ++i) {
      const step& s = steps.data[i];
      for (int k = 0; k < s.call.count; ++k) values.data[s.in[k]].last = i;
      stored_value& out = values.data[s.out];
      if (out.first < 0) out.first = i;
      if (out.last < i) out.last = i;
    }
  }
};

}  // namespace volute::graph
