// What is known of a program while it compiles: its plan, counts, sizes, where things lie in its two memories, and what may overlap.
#pragma once

#include <volute/core/hash.hpp>
#include <volute/core/memory.hpp>
#include <volute/runtime/kernel_table.hpp>

#include <bit>

namespace volute {
namespace runtime {
inline namespace VOLUTE_ISA {

/// Puts all that distinguishes a kernel into `h`.
template <class Plan>
void put_kernel(hash& h, const graph::kernel_spec& k) {
  using graph::kernel_kind;
  h.put(static_cast<int>(k.kind)), h.put(k.lanes), h.put(k.first), h.put(k.second), h.put(static_cast<int>(k.how));
  if (k.program >= 0) {
    const ops::scalar_program& p = Plan::tables.programs[k.program];
    for (int i = 0; i < p.constants; ++i) h.put(std::bit_cast<std::uint64_t>(p.constant[i]));
    for (int i = 0; i < p.length; ++i) h.put(static_cast<int>(p.code[i].f)), h.put(p.code[i].a), h.put(p.code[i].b), h.put(p.code[i].c);
  }
  const auto put_all = [&](auto... numbers) { (h.put(numbers), ...); };
  for (int layout : {k.source, k.target})
    if (layout >= 0) {
      const ops::volume_layout& l = Plan::tables.layouts[layout];
      put_all(l.block, l.batch, l.channels, l.planes, l.rows, l.columns, l.rows_before, l.all_rows, l.columns_before, l.all_columns);
    }
  if (k.kind == kernel_kind::conv_forward || k.kind == kernel_kind::conv_data || k.kind == kernel_kind::conv_weights) {
    const ops::conv_geometry& q = Plan::tables.convolutions[k.geometry];
    put_all(q.batch, q.in_channels, q.out_channels, q.groups, static_cast<int>(q.filtering));
    for (int a = 0; a < 3; ++a) put_all(q.in[a], q.out[a], q.kernel[a], q.stride[a], q.lo[a], q.dilation[a]);
  } else if (k.geometry >= 0 && k.kind != kernel_kind::pack_forward && k.kind != kernel_kind::pack_data) {  // a pack's `lanes` say all
    const ops::pool_geometry& q = Plan::tables.pools[k.geometry];
    put_all(q.planes, q.divisor, q.count_include_pad, q.adaptive);
    for (int a = 0; a < 3; ++a) put_all(q.in[a], q.out[a], q.kernel[a], q.stride[a], q.lo[a], q.hi[a], q.dilation[a]);
  }
}

/// The keys of what the prologue makes: each stands for the launches that made it, their kernels and what those read, down to the
/// parameters' places.
template <class Plan, class Table>
Table derived_values() {
  using graph::space;
  Table t;
  for (int i = 0; i < Plan::value_count; ++i)
    if (const graph::value_info& v = Plan::tables.values[i]; v.at.where == space::derived) t.value[v.at.slot].size = v.size;
  for (int i = 0; i < Plan::size.prologue; ++i) {
    const graph::launch& c = Plan::tables.launches[i];
    hash h;
    put_kernel<Plan>(h, Plan::tables.kernels[c.kernel]);
    h.put(std::bit_cast<std::uint64_t>(c.value)), h.put(c.nest.rank), h.put(c.nest.kept);
    for (int a = 0; a < c.nest.rank; ++a) {
      h.put(c.nest.extent[a]);
      for (int k = 0; k < ops::max_program_inputs; ++k) h.put(c.nest.stride[k][a]);
    }
    for (int k = 0; k < c.count; ++k) {
      const graph::place& p = c.in[k];
      h.put(static_cast<int>(p.where)), h.put(p.offset);
      if (p.where == space::derived) h.put(t.value[p.slot].key);
    }
    h.put(c.out.offset);
    if (c.out.where == space::derived) h.put(t.value[c.out.slot].key), t.value[c.out.slot].key = h.value;
  }
  return t;
}

/// True where a launch reads operand k element by element as it writes its result: the operand's memory may be the result's.
template <class Plan>
bool reads_where_it_writes(const graph::launch& c, int k) {
  if (Plan::tables.kernels[c.kernel].kind != graph::kernel_kind::elementwise || c.in[k].offset != 0 || c.out.offset != 0) return false;
  std::int64_t dense = 1;
  for (int a = c.nest.rank; a-- > 0; dense *= c.nest.extent[a])
    if (c.nest.extent[a] != 1 && c.nest.stride[k][a] != dense) return false;
  return true;
}

/// Which launch reads each input last, and which begins each result.
template <class Plan, class Table>
Table find_overlaps(int inputs, int outputs) {
  Table t;
  for (int i = 0; i < inputs; ++i) t.last_read[i] = -1;
  for (int k = 0; k < outputs; ++k) t.first_write[k] = Plan::size.launches;
  for (int n = 0; n < Plan::size.launches; ++n) {
    const graph::launch& c = Plan::tables.launches[n];
    for (int k = 0; k < c.count; ++k) {
      if (c.in[k].where != graph::space::input) continue;
      const int slot = c.in[k].slot;
      const bool in_place = reads_where_it_writes<Plan>(c, k);
      t.in_place[slot] = in_place && (t.last_read[slot] < n || t.in_place[slot]);
      t.last_read[slot] = n;
    }
    if (c.out.where == graph::space::output && t.first_write[c.out.slot] > n) t.first_write[c.out.slot] = n;
  }
  return t;
}

/// The plan of a program, and what can be asked of it while compiling.
template <class Outputs, class T>
struct facts {
  using plan = lowering::planned<Outputs, T>;
  static constexpr graph::view graph = graph::view_of(plan::compiled_graph::graph);

  /// Numbers of a program as the user counts them: learned ones, and those of states.
  static constexpr std::int64_t parameters = [] {
    std::int64_t n = 0;
    for (int i = 0; i < graph.size.parameters; ++i) n += graph.parameters[i].learned ? graph.parameters[i].shape.size() : 0;
    return n;
  }();
  static constexpr std::int64_t states = [] {
    std::int64_t n = -parameters;
    for (int i = 0; i < graph.size.parameters; ++i) n += graph.parameters[i].shape.size();
    return n;
  }();
  /// How many learned tensors; those of states follow them in every table.
  static constexpr int learned = [] {
    int n = 0;
    while (n < graph.size.parameters && graph.parameters[n].learned) ++n;
    return n;
  }();
  /// Intermediate values of one run.
  static constexpr std::int64_t arena_bytes = plan::arena_elements * static_cast<std::int64_t>(sizeof(T));
  /// What is kept with the weights until they change: packed filters and other functions of the parameters alone.
  static constexpr std::int64_t prologue_bytes = plan::prologue_elements * static_cast<std::int64_t>(sizeof(T));
  /// What use(executor) allocates for each worker beyond the first: the most that any kernel asks for.
  static constexpr std::int64_t worker_bytes = worker_elements<T, plan>() * static_cast<std::int64_t>(sizeof(T));
  /// The lower bound of arena_bytes: the most that is alive at once in this order.
  static constexpr std::int64_t live_bytes = plan::live_elements * static_cast<std::int64_t>(sizeof(T));
  /// Elements of the largest tensor that is stored.
  static constexpr std::int64_t largest_tensor = [] {
    std::int64_t n = 0;
    for (int i = 0; i < plan::value_count; ++i)
      if (plan::tables.values[i].size > n) n = plan::tables.values[i].size;
    return n;
  }();
  /// Convolutions of one run that minimal filtering computes.
  static constexpr int minimal_launches = [] {
    int n = 0;
    for (int i = 0; i < plan::size.launches; ++i) {
      const graph::kernel_spec& k = plan::tables.kernels[plan::tables.launches[i].kernel];
      const bool weights = k.kind == graph::kernel_kind::conv_weights;
      if (!weights && !graph::convolves(k.kind)) continue;
      const ops::conv_geometry& q = plan::tables.convolutions[k.geometry];
      if (q.filtering != ops::filtering::minimal) continue;
      const auto side = k.kind == graph::kernel_kind::conv_forward ? kernels::conv_side::forward : kernels::conv_side::backward;
      n += weights ? kernels::weights_family_of<T>(q) == kernels::weights_family::minimal
                   : kernels::family_of<T>(q, side) == kernels::conv_family::minimal;
    }
    return n;
  }();
  /// Nominal floating-point operations of one run (taps on padding count; the functions of parameters alone do not).
  static constexpr double flops = [] {
    double n = 0;
    const int count = graph.size.nodes;
    buffer<bool> live(count, false);
    for (int i = 0; i < graph.size.outputs; ++i) live[graph.outputs[i]] = true;
    for (int i = count - 1; i >= 0; --i) {
      if (!live.data[i]) continue;
      for (int k = 0; k < graph.nodes[i].count; ++k) live.data[graph.operand(i, k)] = true;
      n += graph::flops_of(graph, i);
    }
    return n;
  }();

 private:
  static constexpr int input_count = graph.size.inputs, output_count = graph.size.outputs;
  static constexpr std::int64_t whole_lines(std::int64_t elements) { return (elements + 15) / 16 * 16; }

 public:
  /// A run's memory, in elements: arena | room for inputs that cannot be read where they lie | results. What is never needed is never
  /// touched, so it costs no physical memory.
  struct places {
    std::int64_t inputs[static_cast<std::size_t>(input_count) + 1]{};
    std::int64_t outputs[static_cast<std::size_t>(output_count) + 1]{};
  };
  static constexpr places layout = [] {
    places l;
    std::int64_t at = whole_lines(plan::arena_elements);
    for (int i = 0; i < input_count; ++i) l.inputs[i] = at, at += whole_lines(graph.inputs[i].shape.size());
    l.inputs[input_count] = at;
    for (int i = 0; i < output_count; ++i) l.outputs[i] = at, at += whole_lines(graph.shape(graph.outputs[i]).size());
    l.outputs[output_count] = at;
    return l;
  }();
  /// What a workspace for this program must hold.
  static constexpr std::int64_t workspace_bytes =
      whole_lines_of_bytes((layout.outputs[output_count] + 16) * static_cast<std::int64_t>(sizeof(T)));

  /// The block of parameters, in elements: learned ones, then states, each on a cache line.
  static constexpr std::int64_t learned_elements = [] {
    std::int64_t n = 0;
    for (int i = 0; i < learned; ++i) n += whole_lines(graph.parameters[i].shape.size());
    return n;
  }();
  static constexpr std::int64_t parameter_elements = [] {
    std::int64_t n = learned_elements;
    for (int i = learned; i < graph.size.parameters; ++i) n += whole_lines(graph.parameters[i].shape.size());
    return n;
  }();
  /// What the weights of this program take: parameters, states, and what is kept with them.
  static constexpr std::int64_t weights_bytes = [] {
    std::int64_t n = bytes_of_tensor(parameter_elements * static_cast<std::int64_t>(sizeof(T)));
    for (int i = 0; i < plan::value_count; ++i)
      if (const graph::value_info& v = plan::tables.values[i]; v.at.where == graph::space::derived)
        n += bytes_of_tensor(v.size * static_cast<std::int64_t>(sizeof(T)));
    return n;
  }();
  /// Whether a run writes states: such a program is no program of constant weights.
  static constexpr bool changes_states = graph.size.updates > 0;
  /// Results that the user gets; the others are new values of states.
  static constexpr int results = output_count - graph.size.updates;

  /// A value that is kept with the weights. Programs whose keys and sizes agree have the same one.
  struct derived_value {
    std::uint64_t key = 0;
    std::int64_t size = 0;
  };
  static constexpr int derived_count = [] {
    int n = 0;
    for (int i = 0; i < plan::size.prologue; ++i)
      if (const graph::place& out = plan::tables.launches[i].out; out.where == graph::space::derived && out.slot >= n) n = out.slot + 1;
    return n;
  }();
  struct derived_table {
    derived_value value[static_cast<std::size_t>(derived_count) + 1]{};
  };
  /// Worked out when a program is made: while compiling, each step of these loops would cost g++ a kilobyte.
  static derived_table derived() { return derived_values<plan, derived_table>(); }

  /// Where an input may not lie in the memory of a result: the result is begun while the input is still to be read.
  struct overlap_table {
    int last_read[static_cast<std::size_t>(input_count) + 1]{};     // launch; -1: none
    bool in_place[static_cast<std::size_t>(input_count) + 1]{};     // that launch reads each element where it writes it
    int first_write[static_cast<std::size_t>(output_count) + 1]{};  // launch
  };
  /// Worked out at the first run, for the same reason.
  static const overlap_table& overlap() noexcept {
    static const overlap_table table = find_overlaps<plan, overlap_table>(input_count, output_count);
    return table;
  }
};

/// The slot of an input by its name, of a parameter or state by its path; -1 if there is none.
template <text Name>
constexpr int find_input(const graph::view& g) {
  for (int i = 0; i < g.size.inputs; ++i)
    if (g.inputs[i].name.view() == Name.view()) return i;
  return -1;
}
template <text Path>
constexpr int find_parameter(const graph::view& g) {
  for (int i = 0; i < g.size.parameters; ++i)
    if (g.parameters[i].path.view() == Path.view()) return i;
  return -1;
}

}  // namespace VOLUTE_ISA
}  // namespace runtime
}  // namespace volute
