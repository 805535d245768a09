// A finished plan as static constexpr tables. Built in one constant evaluation, carried over as words (see runtime/compile.hpp), kept at
// its true size.
#pragma once

#include <volute/graph/plan.hpp>
#include <volute/kernels/conv3d.hpp>
#include <volute/runtime/compile.hpp>

namespace volute::lowering {
inline namespace VOLUTE_ISA {  // sizes of packed weights depend on the instruction set

constexpr kernels::conv_side side_of(ops::face f) {
  return f == ops::face::forward ? kernels::conv_side::forward : kernels::conv_side::backward;
}

template <class T>
constexpr graph::kernel_facts facts_of_kernels() {
  using conv = const ops::conv_geometry&;
  return {[](conv g, ops::face f) {
            return f == ops::face::weights ? kernels::conv3d_weights_facts<T>(g) : kernels::conv3d_facts<T>(g, side_of(f));
          },
          [](conv g, ops::face f, const ops::volume_layout& source) { return kernels::conv3d_scratch_size<T>(g, side_of(f), source); }};
}

struct plan_image {
  static constexpr int capacity = 1 << 18;
  std::int64_t word[capacity]{};
  int size = 0;
  graph::plan_size count;
  int values = 0;
  std::int64_t arena = 0, prologue_elements = 0, live_peak = 0;
  constexpr void put(std::int64_t v) { word[size++] = v; }
  constexpr void put(const graph::place& p) { put(static_cast<std::int64_t>(p.where) | p.slot << 3), put(p.offset); }
};

constexpr plan_image plan_words(const graph::view& g, const graph::kernel_facts& facts, bool hoist) {
  const graph::planner p(g, facts, hoist);
  plan_image im;
  im.arena = p.arena, im.prologue_elements = p.prologue_elements, im.live_peak = p.live_peak;
  im.count.launches = p.steps.size;
  for (const auto& q : p.steps) im.count.prologue += q.invariant;
  im.count.kernels = p.kernels.size, im.count.programs = p.programs.size, im.count.convolutions = p.convolutions.size,
  im.count.pools = p.pools.size, im.count.layouts = p.layouts.size;
  for (const auto& q : p.steps) {
    const graph::launch& c = q.call;
    im.put(c.kernel), im.put(c.node), im.put(c.count), im.put(c.out), im.put(c.scratch), im.put(c.scratch_size),
        im.put(std::bit_cast<std::int64_t>(c.value));
    for (int i = 0; i < c.count; ++i) im.put(c.in[i]);
    const int rows = c.nest.rank == 0 ? 0 : c.count < 2 ? 2 : c.count < ops::max_program_inputs ? c.count : ops::max_program_inputs;
    im.put(c.nest.rank), im.put(c.nest.kept), im.put(rows);
    for (int a = 0; a < c.nest.rank; ++a) {
      im.put(c.nest.extent[a]);
      for (int i = 0; i < rows; ++i) im.put(c.nest.stride[i][a]);
    }
  }
  for (const auto& k : p.kernels)
    im.put(static_cast<std::int64_t>(k.kind)), im.put(k.program), im.put(k.lanes), im.put(k.geometry), im.put(k.first), im.put(k.second),
        im.put(k.source), im.put(k.target);
  for (const auto& q : p.programs) {
    im.put(q.inputs), im.put(q.constants), im.put(q.length);
    for (int i = 0; i < q.constants; ++i) im.put(std::bit_cast<std::int64_t>(q.constant[i]));
    for (int i = 0; i < q.length; ++i)
      im.put(static_cast<std::int64_t>(q.code[i].f)), im.put(q.code[i].a), im.put(q.code[i].b), im.put(q.code[i].c);
  }
  for (const auto& q : p.convolutions) {
    im.put(q.batch), im.put(q.in_channels), im.put(q.out_channels), im.put(q.groups);
    for (int a = 0; a < 3; ++a)
      im.put(q.in[a]), im.put(q.out[a]), im.put(q.kernel[a]), im.put(q.stride[a]), im.put(q.lo[a]), im.put(q.dilation[a]);
  }
  for (const auto& q : p.pools) {
    im.put(q.planes), im.put(q.divisor), im.put(q.count_include_pad), im.put(q.adaptive);
    for (int a = 0; a < 3; ++a)
      im.put(q.in[a]), im.put(q.out[a]), im.put(q.kernel[a]), im.put(q.stride[a]), im.put(q.lo[a]), im.put(q.hi[a]), im.put(q.dilation[a]);
  }
  for (const auto& l : p.layouts)
    im.put(l.block), im.put(l.batch), im.put(l.channels), im.put(l.planes), im.put(l.rows), im.put(l.columns), im.put(l.rows_before),
        im.put(l.all_rows), im.put(l.columns_before), im.put(l.all_columns);
  for (const auto& v : p.values)
    if (v.first >= 0) im.put(v.node), im.put(v.size), im.put(v.first), im.put(v.last), im.put(v.at), ++im.values;
  return im;
}

template <graph::plan_size Size, int Values>
struct plan_tables {
  graph::launch launches[static_cast<std::size_t>(Size.launches) + 1]{};
  graph::kernel_spec kernels[static_cast<std::size_t>(Size.kernels) + 1]{};
  ops::scalar_program programs[static_cast<std::size_t>(Size.programs) + 1]{};
  ops::conv_geometry convolutions[static_cast<std::size_t>(Size.convolutions) + 1]{};
  ops::pool_geometry pools[static_cast<std::size_t>(Size.pools) + 1]{};
  ops::volume_layout layouts[static_cast<std::size_t>(Size.layouts) + 1]{};
  graph::value_info values[static_cast<std::size_t>(Values) + 1]{};
};

template <graph::plan_size Size, int Values>
constexpr plan_tables<Size, Values> unpack_plan(const std::int64_t* words) {
  plan_tables<Size, Values> t;
  reader r{words};
  const auto place = [&] {
    const std::int64_t where = r.get();
    return graph::place{static_cast<graph::space>(where & 7), static_cast<int>(where >> 3), r.get()};
  };
  for (int i = 0; i < Size.launches; ++i) {
    graph::launch& c = t.launches[i];
    c.kernel = r.integer(), c.node = r.integer(), c.count = r.integer();
    c.out = place(), c.scratch = place();
    c.scratch_size = r.get(), c.value = std::bit_cast<double>(r.get());
    for (int k = 0; k < c.count; ++k) c.in[k] = place();
    c.nest.rank = r.integer(), c.nest.kept = r.integer();
    const int rows = r.integer();
    for (int a = 0; a < c.nest.rank; ++a) {
      c.nest.extent[a] = r.get();
      for (int k = 0; k < rows; ++k) c.nest.stride[k][a] = r.get();
    }
  }
  for (int i = 0; i < Size.kernels; ++i) {
    t.kernels[i].kind = static_cast<graph::kernel_kind>(r.get());
    t.kernels[i].program = r.integer(), t.kernels[i].lanes = r.get(), t.kernels[i].geometry = r.integer();
    t.kernels[i].first = r.get() != 0, t.kernels[i].second = r.get() != 0;
    t.kernels[i].source = r.integer(), t.kernels[i].target = r.integer();
  }
  for (int i = 0; i < Size.programs; ++i) {
    ops::scalar_program& q = t.programs[i];
    q.inputs = r.integer(), q.constants = r.integer(), q.length = r.integer();
    for (int k = 0; k < q.constants; ++k) q.constant[k] = std::bit_cast<double>(r.get());
    for (int k = 0; k < q.length; ++k) {
      q.code[k].f = static_cast<ops::fn>(r.get());
      q.code[k].a = static_cast<std::int8_t>(r.get()), q.code[k].b = static_cast<std::int8_t>(r.get()),
      q.code[k].c = static_cast<std::int8_t>(r.get());
    }
  }
  for (int i = 0; i < Size.convolutions; ++i) {
    ops::conv_geometry& q = t.convolutions[i];
    q.batch = r.get(), q.in_channels = r.get(), q.out_channels = r.get(), q.groups = r.get();
    for (int a = 0; a < 3; ++a)
      q.in[a] = r.get(), q.out[a] = r.get(), q.kernel[a] = r.get(), q.stride[a] = r.get(), q.lo[a] = r.get(), q.dilation[a] = r.get();
  }
  for (int i = 0; i < Size.pools; ++i) {
    ops::pool_geometry& q = t.pools[i];
    q.planes = r.get(), q.divisor = r.get(), q.count_include_pad = r.get() != 0, q.adaptive = r.get() != 0;
    for (int a = 0; a < 3; ++a)
      q.in[a] = r.get(), q.out[a] = r.get(), q.kernel[a] = r.get(), q.stride[a] = r.get(), q.lo[a] = r.get(), q.hi[a] = r.get(),
      q.dilation[a] = r.get();
  }
  for (int i = 0; i < Size.layouts; ++i)
    t.layouts[i] = {r.get(), r.get(), r.get(), r.get(), r.get(), r.get(), r.get(), r.get(), r.get(), r.get()};
  for (int i = 0; i < Values; ++i) t.values[i] = {r.integer(), r.get(), r.integer(), r.integer(), place()};
  return t;
}

template <class E>
inline constexpr bool makes_parameter_gradients = false;
template <class Y, class Set>
inline constexpr bool makes_parameter_gradients<parameter_gradients<Y, Set>> = true;

/// Everything that is known while compiling about the program of a list of outputs in elements of type T.
template <class Outputs, class T>
struct planned;
template <class... E, class T>
struct planned<output_list<E...>, T> {
  using compiled_graph = compiled<output_list<E...>>;
  static constexpr const auto& graph = compiled_graph::graph;
  /// A training step changes its parameters after every run, so it keeps nothing between runs.
  static constexpr bool hoists = !(makes_parameter_gradients<E> || ...);

 private:
  static constexpr plan_image image_ = plan_words(graph::view_of(compiled_graph::graph), facts_of_kernels<T>(), hoists);

 public:
  static constexpr graph::plan_size size = image_.count;
  static constexpr int value_count = image_.values;
  static constexpr std::int64_t arena_elements = image_.arena;                 // of T, for one run
  static constexpr std::int64_t prologue_elements = image_.prologue_elements;  // kept with the weights
  static constexpr std::int64_t live_elements = image_.live_peak;              // the lower bound: the most that is alive at once
  static constexpr auto tables = unpack_plan<image_.count, image_.values>(image_.word);
};

}  // namespace VOLUTE_ISA
}  // namespace volute::lowering
