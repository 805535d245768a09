// The front half of the compiler inside the compiler: a list of outputs becomes a finished graph, kept as static constexpr data.
#pragma once

#include <volute/graph/depth.hpp>
#include <volute/runtime/image.hpp>
#include <volute/runtime/lower.hpp>

namespace volute::lowering {

#ifndef VOLUTE_GRAPH_WORDS
/// Room for a graph: 2^17 words hold about 10,000 nodes. A program that is refused for it can be compiled with more.
#define VOLUTE_GRAPH_WORDS (1 << 17)
#endif

static_assert(VOLUTE_GRAPH_WORDS >= 1024, "volute: VOLUTE_GRAPH_WORDS has no room for a refusal");

/// A graph as words, and how many of everything.
struct image : words<VOLUTE_GRAPH_WORDS> {
  graph::graph_size count;
};

/// What becomes a frozen graph, in the order of its members.
struct translated_graph {
  const graph::node* nodes;
  const int* operands;
  const extents* shapes;
  const ops::attributes* attributes;
  const graph::input_info* inputs;
  struct {
    const graph::parameter_info* all;
    const int* order;
    constexpr const graph::parameter_info& operator[](int i) const { return all[order[i]]; }
  } parameters;
  const int* outputs;
  const layer_info* layers;
  int forward_nodes;
  line where, wanted, got;
};

/// In place of a graph that found no room: zeros of the outputs' shapes, and the refusal.
template <class... E>
constexpr void give_up(image& im, output_list<E...>) {
  graph::contractor g;
  buffer<int> outputs;
  const auto zeros = [&]<class Output>(Output) {
    if constexpr (requires { Output::shape(); }) outputs.push_back(g.fill(0, Output::shape()));
  };
  (zeros(E{}), ...);
  im.size = 0, im.full = false;
  line wanted("a graph of at most "), got("raise VOLUTE_GRAPH_WORDS");
  wanted << image::capacity << " words";
  im.count = {g.nodes.size, g.operands.size, g.shapes.size, g.attributes.size, 0, 0, outputs.size, 0, 0};
  const translated_graph t{g.nodes.data,  g.operands.data,
                           g.shapes.data, g.attributes.data,
                           nullptr,       {nullptr, nullptr},
                           outputs.data,  nullptr,
                           g.nodes.size,  {},
                           wanted,        got};
  graph_fields(im, t, im.count);
}

/// Before anything is differentiated: the graph becomes that of a slab.
constexpr void cut_depth(session& s, buffer<int>& outputs) {
  if (s.first_derivative >= 0) {
    s.refuse(line("depth_parallel: gradients by parameters"), line("got a gradient inside"));
    return;
  }
  graph::contractor copy;
  const graph::depth_cut cut(copy, s.g);
  if (cut.refused >= 0) {
    const line outer = s.path;
    for (const auto& l : s.layers)  // the innermost one that made it
      if (l.first_node <= cut.refused && cut.refused < l.last_node) s.path = l.path;
    s.refuse(line("depth_parallel: slabs and halos"), line("got ") << cut.got.view());
    s.path = outer;
  }
  s.g.swap(copy);
  s.g.has_barrier = true;  // what was made on the way goes
  for (int& o : outputs) o = cut.at[o];
  for (int& r : s.results) r = cut.at[r];
  for (int& u : s.updates)
    if (u >= 0) u = cut.at[u];
  for (auto& m : s.memo) m.id = cut.at[m.id];
  for (auto& i : s.inputs) i.node = cut.at[i.node];
  for (auto& p : s.parameters) p.node = cut.at[p.node];
  for (auto& l : s.layers) l.first_node = cut.begin[l.first_node], l.last_node = cut.begin[l.last_node];
  // A derivative that needs a slab with its halo exchanges planes once more: what the halo was made of is kept anyway. A checkpointed
  // module around it counts.
  buffer<graph::region> regions;
  for (int h : cut.halos) regions.push_back({h, h + 1, s.g.operand(h, 0)});
  for (auto& r : s.regions) regions.push_back({cut.begin[r.first], cut.begin[r.last], cut.at[r.result]});
  s.regions.swap(regions);
}

/// Lowers, differentiates and cleans; the result as words.
template <class... E>
constexpr image translate(output_list<E...> list) {
  session s;
  buffer<int> outputs;
  (output_lowering<E>::run(s, outputs), ...);
  if (s.g.cuts_depth) cut_depth(s, outputs);
  (output_lowering<E>::finish(s, outputs), ...);
  int updates = 0;  // the new values of states follow the outputs
  for (int i = 0; i < s.parameters.size; ++i)
    if (s.updates[i] >= 0) s.parameters[i].update = outputs.size, outputs.push_back(s.updates[i]), ++updates;
  graph::contractor cleaned;
  graph::contractor* g = &s.g;
  int forward = s.first_derivative < 0 ? s.g.nodes.size : s.first_derivative;
  if (s.g.has_barrier) {
    buffer<int> at(s.g.nodes.size + 1, 0);
    graph::rebuild(cleaned, s.g, outputs.data, outputs.size, at);
    g = &cleaned;
    at[s.g.nodes.size] = cleaned.nodes.size;
    for (auto& i : s.inputs) i.node = at[i.node];
    for (auto& p : s.parameters) p.node = at[p.node];
    for (auto& l : s.layers) l.first_node = at[l.first_node], l.last_node = at[l.last_node];
    for (auto& r : s.regions) r.first = at[r.first], r.last = at[r.last], r.result = at[r.result];
    forward = at[forward];
  }
  graph::contractor recomputing;
  if (s.regions.size > 0) {
    buffer<int> at(g->nodes.size + 1, 0);
    graph::recomputation(recomputing, *g, s.regions, forward).run(outputs.data, outputs.size, at);
    g = &recomputing;  // up to the first derivative every node has kept its number
    for (auto& p : s.parameters) p.node = at[p.node];
    for (auto& i : s.inputs) i.node = at[i.node];
  }
  // Learned parameters first, then states, each in the order in which they were claimed.
  buffer<int> order, slot(s.parameters.size + 1, 0), learned_before(s.parameters.size + 1, 0);
  for (int pass = 0; pass < 2; ++pass)
    for (int i = 0; i < s.parameters.size; ++i)
      if (s.parameters[i].learned == (pass == 0)) slot[i] = order.size, order.push_back(i);
  for (int i = 0; i < s.parameters.size; ++i) learned_before[i + 1] = learned_before[i] + s.parameters[i].learned;
  for (auto& p : s.parameters) {
    graph::node& n = g->nodes.data[p.node];
    n.attribute = g->intern(ops::encode(ops::parameter{slot[static_cast<int>(g->as<ops::parameter>(p.node).slot)]}));
  }
  std::int64_t offset = 0;
  for (int i : order) {
    s.parameters[i].offset = offset;
    offset += (s.parameters[i].shape.size() + 15) / 16 * 16;  // each parameter on a cache line of its own (64 bytes)
  }
  for (auto& l : s.layers) {
    l.first_parameter = learned_before[l.first_parameter];
    l.last_parameter = learned_before[l.last_parameter];
  }
  image im;
  im.count = {g->nodes.size, g->operands.size, g->shapes.size, g->attributes.size, s.inputs.size, s.parameters.size,
              outputs.size,  s.layers.size,    updates};
  const translated_graph t{
      g->nodes.data, g->operands.data, g->shapes.data, g->attributes.data, s.inputs.data, {s.parameters.data, order.data}, outputs.data,
      s.layers.data, forward,          s.where,        s.wanted,           s.got};
  graph_fields(im, t, im.count);
  if (im.full) give_up(im, list);
  return im;
}

template <graph::graph_size Size>
constexpr graph::frozen<Size> unpack(const std::int64_t* words) {
  graph::frozen<Size> g;
  reader r{words};
  graph_fields(r, g, Size);
  return g;
}

/// The graph of a list of outputs.
template <class Outputs>
struct compiled {
 private:
  static constexpr image translated = translate(Outputs{});

 public:
  static constexpr auto graph = unpack<translated.count>(translated.word);
};

}  // namespace volute::lowering
