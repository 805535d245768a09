// A finished plan as static constexpr tables. Built in one constant evaluation, carried over as words (see runtime/compile.hpp), kept at
// its true size.
#pragma once

#include <volute/graph/plan.hpp>
#include <volute/kernels/attention.hpp>
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
          [](conv g, ops::face f, const ops::volume_layout& source) { return kernels::conv3d_scratch_size<T>(g, side_of(f), source); },
          [](const ops::attention_form& f, bool gradient) { return kernels::attention_scratch<T>(f, gradient); }};
}

struct plan_image : words<2 * VOLUTE_GRAPH_WORDS> {
  graph::plan_size count;
  int values = 0;
  std::int64_t arena = 0, prologue_elements = 0, live_peak = 0;
};

/// What becomes the tables of a plan, in the order of their members.
struct planned_tables {
  struct {
    const graph::step* all;
    constexpr const graph::launch& operator[](int i) const { return all[i].call; }
  } launches;
  const graph::kernel_spec* kernels;
  const ops::scalar_program* programs;
  const ops::conv_geometry* convolutions;
  const ops::pool_geometry* pools;
  const ops::volume_layout* layouts;
  const graph::value_info* values;
};

constexpr plan_image plan_words(const graph::view& g, const graph::kernel_facts& facts, bool hoist) {
  const graph::planner p(g, facts, hoist);
  plan_image im;
  im.arena = p.arena, im.prologue_elements = p.prologue_elements, im.live_peak = p.live_peak;
  im.count.launches = p.steps.size;
  for (const auto& q : p.steps) im.count.prologue += q.invariant;
  im.count.kernels = p.kernels.size, im.count.programs = p.programs.size, im.count.convolutions = p.convolutions.size,
  im.count.pools = p.pools.size, im.count.layouts = p.layouts.size;
  buffer<graph::value_info> stored;
  for (const auto& v : p.values)
    if (v.first >= 0) stored.push_back({v.node, v.size, v.first, v.last, v.at});
  im.values = stored.size;
  const planned_tables t{{p.steps.data}, p.kernels.data, p.programs.data, p.convolutions.data, p.pools.data, p.layouts.data, stored.data};
  plan_fields(im, t, im.count, im.values);
  if (im.full) im.count = {}, im.values = 0;
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
  plan_fields(r, t, Size, Values);
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
  static_assert(!image_.full, "volute: the plan does not fit into twice VOLUTE_GRAPH_WORDS words");

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
