// Reports, read from the same values that run: a summary by layer, the graph as DOT, what the backward pass keeps, and the launches with
// their places.
#pragma once

#include <volute/kernels/conv3d/choice.hpp>
#include <volute/runtime/model.hpp>
#include <volute/runtime/receptive_field.hpp>

#include <array>
#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

namespace volute {
inline namespace VOLUTE_ISA {

namespace report {

/// A shape as text.
inline std::string shape_text(const extents& e) {
  line l;
  l << e;
  return std::string(l.view());
}

/// 1234567 as "1.23 M".
inline std::string amount(double v) {
  char s[32];
  const char* unit = "";
  for (const char* u : {" k", " M", " G", " T"}) {
    if (v < 1000) break;
    v /= 1000, unit = u;
  }
  std::snprintf(s, sizeof s, *unit != 0 ? "%.2f%s" : "%.0f%s", v, unit);
  return s;
}

/// Text with spaces up to a width, behind it or before.
inline std::string padded(std::string s, std::size_t width, bool right = false) {
  if (s.size() >= width) return s;
  return right ? std::string(width - s.size(), ' ') + s : s + std::string(width - s.size(), ' ');
}

/// Nodes that some output needs.
inline std::vector<bool> live_nodes(const graph::view& g) {
  std::vector<bool> live(static_cast<std::size_t>(g.size.nodes), false);
  for (int i = 0; i < g.size.outputs; ++i) live[static_cast<std::size_t>(g.outputs[i])] = true;
  for (int i = g.size.nodes - 1; i >= 0; --i)
    if (live[static_cast<std::size_t>(i)])
      for (int k = 0; k < g.nodes[i].count; ++k) live[static_cast<std::size_t>(g.operand(i, k))] = true;
  return live;
}

/// The layer that made a node, or "".
inline std::string layer_of(const graph::view& g, int node) {
  std::string found;
  for (int i = 0; i < g.size.layers; ++i)
    if (g.layers[i].first_node <= node && node < g.layers[i].last_node) found = std::string(g.layers[i].path.view());
  return found;
}

/// The name of a scalar function.
VOLUTE_EXHAUSTIVE_BEGIN
inline const char* function_name(ops::fn f) {
  using ops::fn;
  // clang-format off
  switch (f) {
    case fn::identity: return "identity";
    case fn::negate: return "negate";
    case fn::abs: return "abs";
    case fn::sign: return "sign";
    case fn::reciprocal: return "reciprocal";
    case fn::square: return "square";
    case fn::sqrt: return "sqrt";
    case fn::rsqrt: return "rsqrt";
    case fn::exp: return "exp";
    case fn::expm1: return "expm1";
    case fn::log: return "log";
    case fn::log1p: return "log1p";
    case fn::sin: return "sin";
    case fn::cos: return "cos";
    case fn::tanh: return "tanh";
    case fn::sigmoid: return "sigmoid";
    case fn::softplus: return "softplus";
    case fn::erf: return "erf";
    case fn::floor: return "floor";
    case fn::relu: return "relu";
    case fn::step: return "step";
    case fn::add: return "add";
    case fn::subtract: return "subtract";
    case fn::multiply: return "multiply";
    case fn::divide: return "divide";
    case fn::minimum: return "minimum";
    case fn::maximum: return "maximum";
    case fn::power: return "power";
    case fn::less: return "less";
    case fn::less_equal: return "less_equal";
    case fn::equal: return "equal";
    case fn::leaky: return "leaky relu";
    case fn::select: return "select";
  }
  // clang-format on
  return "";
}
VOLUTE_EXHAUSTIVE_END

/// A node as reports name it: its function, or what it stands for.
inline std::string node_text(const graph::view& g, int i) {
  if (g.is<ops::elementwise>(i)) return function_name(g.as<ops::elementwise>(i).f());
  if (g.is<ops::input>(i)) return "input " + std::string(g.inputs[g.as<ops::input>(i).slot].name.view());
  if (g.is<ops::parameter>(i)) return std::string(g.parameters[g.as<ops::parameter>(i).slot].path.view());
  if (g.is<ops::fill>(i)) {
    char s[32];
    std::snprintf(s, sizeof s, "%g", g.as<ops::fill>(i).value);
    return s;
  }
  constexpr const char* reduction_name[] = {"sum", "maximum", "mean"};
  if (g.is<ops::reduce>(i)) return reduction_name[g.as<ops::reduce>(i).kind];
  if (g.is<ops::convolution>(i)) {
    const ops::face face = g.as<ops::convolution>(i).face();
    return face == ops::face::forward ? "conv3d" : face == ops::face::data ? "conv3d data" : "conv3d weights";
  }
  return std::string(ops::primitive_name[g.nodes[i].op]);
}

/// "7/2" or "2".
inline std::string ratio_text(const ratio& r) {
  std::string s = std::to_string(r.num);
  if (r.den != 1) s.append("/").append(std::to_string(r.den));  // "/" + ... warns in g++ 12 (PR 105651)
  return s;
}

/// What the volumes among the results see of those among the inputs: a line for each pair and for axes that differ, and one for the
/// operations that look at everything.
inline std::string fields_text(const graph::view& g) {
  std::string s;
  for (int r = 0; r < g.size.outputs - g.size.updates; ++r)
    for (int i = 0; i < g.size.inputs; ++i) {
      if (g.inputs[i].shape.rank != 5 || g.shape(g.outputs[r]).rank != 5 || g.outputs[r] >= g.forward_nodes) continue;
      const volume_field f = graph::field_of(g, r, i);
      const std::string of = "receptive field of result " + std::to_string(r) + " in " + std::string(g.inputs[i].name.view()) + ", ";
      const char* const names[] = {"depth", "height", "width"};
      for (int a = 0, next; a < 3; a = next) {
        std::string axes = names[a];
        for (next = a + 1; next < 3 && f[next] == f[a]; ++next) axes += std::string(", ") + names[next];
        if (f[a].everything())
          s += of + axes + ": everything (" + std::string(f[a].where.view()) + ")\n";
        else
          s += of + axes + ": " + std::to_string(f[a].low) + " before, " + std::to_string(f[a].high) + " behind, stride " +
               ratio_text(f[a].stride) + ", phase " + ratio_text(f[a].phase) + '\n';
      }
      const graph::field_walk walk(g, 1u << i, graph::field_question::culprits);
      std::string all;
      for (int node : walk.culprits) all += (all.empty() ? "" : "; ") + layer_of(g, node) + ": " + node_text(g, node);
      if (!all.empty()) s += "looking at everything in " + std::string(g.inputs[i].name.view()) + ": " + all + '\n';
    }
  return s;
}

}  // namespace report

/// A table of the layers of a model or program: output shape, parameters, nominal floating-point operations, bytes of the result; the
/// totals and memory of the whole program; and what the voxels of its results see of its inputs.
template <class Program>
std::string summary(const Program&) {
  using facts = typename Program::facts;
  using T = typename Program::value_type;
  const graph::view& g = facts::graph;
  const auto live = report::live_nodes(g);
  std::size_t path = 5, kind = 4, shape = 12;
  for (int i = 0; i < g.size.layers; ++i) {
    path = std::max(path, g.layers[i].path.view().size());
    kind = std::max(kind, g.layers[i].kind.view().size());
    shape = std::max(shape, report::shape_text(g.layers[i].shape).size());
  }
  const auto row = [&](const std::array<std::string, 6>& cells) {
    return report::padded(cells[0], path + 2) + report::padded(cells[1], kind + 2) + report::padded(cells[2], shape + 2) +
           report::padded(cells[3], 12, true) + report::padded(cells[4], 12, true) + report::padded(cells[5], 12, true) + '\n';
  };
  std::string s = row({"layer", "kind", "output", "parameters", "FLOP", "bytes"});
  for (int i = 0; i < g.size.layers; ++i) {
    const layer_info& l = g.layers[i];
    double flops = 0;
    for (int k = l.first_node; k < l.last_node; ++k)
      if (live[static_cast<std::size_t>(k)]) flops += graph::flops_of(g, k);
    std::int64_t parameters = 0;
    for (int k = l.first_parameter; k < l.last_parameter; ++k) parameters += g.parameters[k].shape.size();
    s += row({std::string(l.path.view()), std::string(l.kind.view()), report::shape_text(l.shape), std::to_string(parameters),
              report::amount(flops), report::amount(static_cast<double>(l.shape.size()) * sizeof(T))});
  }
  s += "parameters " + std::to_string(facts::parameters) + ", FLOP a run " + report::amount(facts::flops) + ", " +
       std::to_string(facts::plan::size.launches) + " launches of " + std::to_string(facts::plan::size.kernels) + " kernels\n";
  s += "arena " + report::amount(static_cast<double>(facts::arena_bytes)) + "B, lower bound " +
       report::amount(static_cast<double>(facts::live_bytes)) + "B; weights " + report::amount(static_cast<double>(facts::weights_bytes)) +
       "B, of it " + report::amount(static_cast<double>(facts::prologue_bytes)) + "B packed filters and the like\n";
  if (facts::minimal_launches > 0) s += "minimal filtering in " + std::to_string(facts::minimal_launches) + " convolutions\n";
  return s + report::fields_text(g);
}

/// The graph in the DOT language, dead nodes left out; nodes made by derivatives are grey.
template <class Program>
std::string dot(const Program&) {
  const graph::view& g = Program::facts::graph;
  const auto live = report::live_nodes(g);
  std::string s = "digraph program {\n  node [shape=box, fontname=\"sans-serif\"];\n";
  for (int i = 0; i < g.size.nodes; ++i) {
    if (!live[static_cast<std::size_t>(i)]) continue;
    s += "  n" + std::to_string(i) + " [label=\"" + report::node_text(g, i) + "\\n" + report::shape_text(g.shape(i)) + '"';
    if (i >= g.forward_nodes) s += ", style=filled, fillcolor=gray90";
    s += "];\n";
    for (int k = 0; k < g.nodes[i].count; ++k) s += "  n" + std::to_string(g.operand(i, k)) + " -> n" + std::to_string(i) + ";\n";
  }
  return s + "}\n";
}

/// The values that the forward part stores and a derivative reads: layer, operation, shape, bytes.
template <class Program>
std::string saved_for_backward(const Program&) {
  using facts = typename Program::facts;
  using T = typename Program::value_type;
  const graph::view& g = facts::graph;
  int backward = facts::plan::size.prologue;  // the first launch of a derivative; what is packed after it is not kept
  while (backward < facts::plan::size.launches && g.forward_nodes > facts::plan::tables.launches[backward].node) ++backward;
  std::string s;
  std::int64_t total = 0;
  for (int i = 0; i < facts::plan::value_count; ++i) {
    const graph::value_info& v = facts::plan::tables.values[i];
    const int last = facts::plan::tables.launches[v.last].node;
    if (v.node >= g.forward_nodes || v.first >= backward || last < g.forward_nodes) continue;
    const std::int64_t bytes = v.size * static_cast<std::int64_t>(sizeof(T));
    total += bytes;
    const graph::kernel_kind maker = facts::plan::tables.kernels[facts::plan::tables.launches[v.first].kernel].kind;
    const bool packed = maker == graph::kernel_kind::pack_forward || maker == graph::kernel_kind::pack_data;
    s += report::padded(report::layer_of(g, v.node), 16) +
         report::padded(packed ? "packed " + report::node_text(g, v.node) : report::node_text(g, v.node), 24) +
         report::padded(report::shape_text(g.shape(v.node)), 24) + report::padded(report::amount(static_cast<double>(bytes)), 10, true) +
         "B\n";
  }
  return s + "kept for the backward pass: " + report::amount(static_cast<double>(total)) + "B\n";
}

namespace report {
/// "rows: target channels in the lanes, a copy channels last, 2 x 14 sums" and so on.
inline std::string words_of(const kernels::conv_schedule& c) {
  static constexpr const char* lanes[] = {"target channels in the lanes", "source channels in the lanes", "pixels in the lanes"};
  static constexpr const char* copies[] = {"the source in place", "a copy channels last", "a copy of padded rows", "panels of a matrix"};
  static constexpr const char* carried[] = {"", ", sums in a tile", ", planes in flight"};
  static constexpr const char* shared[] = {"", ", threads share samples and groups", ", threads share each sample"};
  const std::string tile =
      c.tile[0] * c.tile[1] * c.tile[2] == 1
          ? ""
          : " filtering of " + std::to_string(c.tile[0]) + "x" + std::to_string(c.tile[1]) + "x" + std::to_string(c.tile[2]) + " tiles";
  return std::string(c.family) + tile + ": " + lanes[static_cast<int>(c.lanes)] + ", " + copies[static_cast<int>(c.copy)] + ", " +
         std::to_string(c.vectors) + " x " + std::to_string(c.sums) + " sums in registers" + carried[static_cast<int>(c.carried)] +
         (c.slabs > 1 ? ", " + std::to_string(c.slabs) + " slabs" : "") + shared[static_cast<int>(c.share)];
}
}  // namespace report

/// The launches in their order: kernel, node, result's place and, where it is not NCDHW, its layout; of a convolution the family of kernels
/// that was chosen, in words.
template <class Program>
std::string launches(const Program&) {
  using facts = typename Program::facts;
  const graph::view& g = facts::graph;
  static constexpr const char* where[] = {"arena", "parameter", "input", "output", "weights"};
  std::string s;
  for (int i = 0; i < facts::plan::size.launches; ++i) {
    const graph::launch& c = facts::plan::tables.launches[i];
    s += report::padded(std::to_string(i), 5) + report::padded(i < facts::plan::size.prologue ? "prologue" : "", 10) +
         report::padded(std::string(graph::kernel_name(facts::plan::tables.kernels[c.kernel].kind)), 14) +
         report::padded(report::node_text(g, c.node), 22) + report::padded(report::shape_text(g.shape(c.node)), 24) +
         where[static_cast<int>(c.out.where)] +
         (c.out.where == graph::space::derived ? " " + std::to_string(c.out.slot) : " +" + std::to_string(c.out.offset));
    const graph::kernel_spec& k = facts::plan::tables.kernels[c.kernel];
    if (k.target >= 0 && k.kind != graph::kernel_kind::conv_weights)
      s += ", blocks of " + std::to_string(facts::plan::tables.layouts[k.target].block) + " channels";
    if (graph::convolves(k.kind) || k.kind == graph::kernel_kind::conv_weights) {
      using T = typename Program::value_type;
      const ops::conv_geometry& q = facts::plan::tables.convolutions[k.geometry];
      const ops::conv_geometry canonical = kernels::canonical(q);
      const auto side = k.kind == graph::kernel_kind::conv_forward ? kernels::conv_side::forward : kernels::conv_side::backward;
      s += "; " + report::words_of(k.kind == graph::kernel_kind::conv_weights
                                       ? kernels::schedule_of<T>(kernels::weights_family_of<T>(q), canonical)
                                       : kernels::schedule_of<T>(runtime::family_of<T>(k, q), {canonical, side}));
      if (q.filtering == ops::filtering::minimal &&
          (k.kind == graph::kernel_kind::conv_weights ? kernels::weights_family_of<T>(q) != kernels::weights_family::minimal
                                                      : kernels::family_of<T>(q, side) != kernels::conv_family::minimal))
        s += kernels::minimal_possible<T>(canonical) ? "; minimal filtering does not pay" : "; minimal filtering is not possible";
    }
    s += '\n';
  }
  return s;
}

}  // namespace VOLUTE_ISA
}  // namespace volute
