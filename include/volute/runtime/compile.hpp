// The front half of the compiler inside the compiler: a list of outputs becomes a finished graph, kept as static constexpr data.
#pragma once

#include <volute/runtime/lower.hpp>

namespace volute::lowering {

/// A graph on its way from one constant evaluation to the next, as plain words: an array of structures of this length would cost the
/// compiler more than the graph. 2^17 words hold about 10,000 nodes.
struct image {
  static constexpr int capacity = 1 << 17;
  std::int64_t word[capacity]{};
  int size = 0;
  graph::graph_size count;

  constexpr void put(std::int64_t v) { word[size++] = v; }
  constexpr void put(const line& l) {
    put(l.size);
    for (int i = 0; i < l.size; i += 7) {
      std::int64_t w = 0;
      for (int k = i; k < i + 7 && k < l.size; ++k) w |= static_cast<std::int64_t>(static_cast<unsigned char>(l.data[k])) << (8 * (k - i));
      put(w);
    }
  }
  constexpr void put(const extents& e) {
    put(e.rank);
    for (int i = 0; i < e.rank; ++i) put(e.dim[i]);
  }
};

struct reader {
  const std::int64_t* word;
  constexpr std::int64_t get() { return *word++; }
  constexpr int integer() { return static_cast<int>(*word++); }
  constexpr line text() {
    line l;
    l.size = integer();
    for (int i = 0; i < l.size; i += 7) {
      const std::int64_t w = get();
      for (int k = i; k < i + 7 && k < l.size; ++k) l.data[k] = static_cast<char>((w >> (8 * (k - i))) & 255);
    }
    return l;
  }
  constexpr extents shape() {
    extents e;
    e.rank = integer();
    for (int i = 0; i < e.rank; ++i) e.dim[i] = get();
    return e;
  }
};

/// Lowers, differentiates and cleans; the result as words.
template <class... E>
constexpr image translate(output_list<E...>) {
  session s;
  buffer<int> outputs;
  (output_rule<E>::run(s, outputs), ...);
  (output_rule<E>::finish(s, outputs), ...);
  int updates = 0;  // the new values of states follow the outputs
  for (int i = 0; i < s.parameters.size; ++i)
    if (s.updates[i] >= 0) s.parameters[i].update = outputs.size, outputs.push_back(s.updates[i]), ++updates;
  graph::algebra cleaned;
  graph::algebra* g = &s.g;
  int forward = s.first_derivative < 0 ? s.g.nodes.size : s.first_derivative;
  if (s.has_barrier) {
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
  graph::algebra recomputing;
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
  image im;
  im.count = {g->nodes.size, g->operands.size, g->shapes.size, g->attributes.size, s.inputs.size, s.parameters.size,
              outputs.size,  s.layers.size,    updates};
  im.put(forward);
  im.put(s.where);
  im.put(s.wanted);
  im.put(s.got);
  for (int i = 0; i < g->nodes.size; ++i) {
    const graph::node& n = g->nodes.data[i];
    im.put(n.op), im.put(n.attribute), im.put(n.shape), im.put(n.first), im.put(n.count);
  }
  for (int i = 0; i < g->operands.size; ++i) im.put(g->operands.data[i]);
  for (int i = 0; i < g->shapes.size; ++i) im.put(g->shapes.data[i]);
  for (int i = 0; i < g->attributes.size; ++i) {
    im.put(g->attributes.data[i].words);
    for (int k = 0; k < g->attributes.data[i].words; ++k) im.put(g->attributes.data[i].word[k]);
  }
  for (auto& i : s.inputs) im.put(i.name), im.put(i.shape), im.put(i.node);
  std::int64_t offset = 0;
  for (int i : order) {
    const graph::parameter_info& p = s.parameters[i];
    im.put(p.path), im.put(p.shape), im.put(p.init_kind), im.put(std::bit_cast<std::int64_t>(p.init_scale)), im.put(p.node), im.put(offset);
    im.put(p.learned), im.put(p.update);
    offset += (p.shape.size() + 15) / 16 * 16;  // each parameter on a cache line of its own (64 bytes)
  }
  for (int o : outputs) im.put(o);
  for (auto& l : s.layers) {
    im.put(l.path), im.put(l.kind), im.put(l.shape);
    im.put(l.first_node), im.put(l.last_node), im.put(learned_before[l.first_parameter]), im.put(learned_before[l.last_parameter]);
  }
  return im;
}

template <graph::graph_size Size>
constexpr graph::frozen<Size> unpack(const std::int64_t* words) {
  graph::frozen<Size> g;
  reader r{words};
  g.forward_nodes = r.integer();
  g.where = r.text();
  g.wanted = r.text();
  g.got = r.text();
  for (int i = 0; i < Size.nodes; ++i) g.nodes[i] = {r.integer(), r.integer(), r.integer(), r.integer(), r.integer()};
  for (int i = 0; i < Size.operands; ++i) g.operands[i] = r.integer();
  for (int i = 0; i < Size.shapes; ++i) g.shapes[i] = r.shape();
  for (int i = 0; i < Size.attributes; ++i) {
    g.attributes[i].words = r.integer();
    for (int k = 0; k < g.attributes[i].words; ++k) g.attributes[i].word[k] = r.get();
  }
  for (int i = 0; i < Size.inputs; ++i) g.inputs[i] = {r.text(), r.shape(), r.integer()};
  for (int i = 0; i < Size.parameters; ++i) {
    g.parameters[i] = {r.text(), r.shape(), r.get(), std::bit_cast<double>(r.get()), r.integer(), r.get(), r.get() != 0, r.integer()};
  }
  for (int i = 0; i < Size.outputs; ++i) g.outputs[i] = r.integer();
  for (int i = 0; i < Size.layers; ++i) {
    g.layers[i].path = r.text(), g.layers[i].kind = r.text(), g.layers[i].shape = r.shape();
    g.layers[i].first_node = r.integer(), g.layers[i].last_node = r.integer();
    g.layers[i].first_parameter = r.integer(), g.layers[i].last_parameter = r.integer();
  }
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
