// One sweep of a network over a volume as a program of tiles: what graph/sweeps.hpp finds, as types.
#pragma once

#include <volute/graph/resize.hpp>
#include <volute/graph/sweeps.hpp>
#include <volute/volumes/growth.hpp>

#include <utility>

namespace volute {

namespace volumes {

/// The sweeps of a network whose result is `Output`.
template <class Output>
struct sweeps_of {
  static constexpr const auto& frozen = lowering::compiled<output_list<Output>>::graph;
  static constexpr graph::view graph = graph::view_of(frozen);
  static constexpr graph::sweep_pass pass{graph};
  static constexpr int target(int j) {
    return j < pass.sweep_count ? pass.sweeps[static_cast<std::size_t>(j)].node : graph.outputs[0];
  }
  template <int J>
  static constexpr graph::sweep_nodes nodes = [] {
    buffer<bool> inside(graph.size.nodes, false);
    return graph::sweep_nodes(graph, pass, target(J), inside);
  }();
  template <int J, int I>
  static constexpr graph::sweep_operand operand = nodes<J>.operands[static_cast<std::size_t>(I)];
  static constexpr line name(const graph::sweep_operand& o) {
    if (o.kind == graph::sweep_operand::input) return graph.inputs[o.index].name;
    return (o.kind == graph::sweep_operand::volume ? line("volume ") : line("statistics ")) << o.index;
  }
  /// The shape of an operand in tiles that are longer by `more`.
  static constexpr extents shape_of(const graph::sweep_operand& o, const size3& more) {
    extents e = graph.shape(o.node);
    if (o.kind != graph::sweep_operand::statistic && is_volume(e))
      for (int a = 0; a < 3; ++a) e.dim[2 + a] += more[a];
    return e;
  }
  /// Operand I of sweep J, as an input.
  template <int J, int I, size3 More>
  using input_of = input_node<to_text<name(operand<J, I>)>(), shape_of(operand<J, I>, More)>;

  /// Copies what sweep j computes: `leaf` makes parameters and operands, `made(id)` is told before a node is made. The result, or -1 where
  /// the network for tiles of these extents is not known.
  template <class Leaf, class Made>
  static constexpr int copy(graph::contractor& to, int j, const Leaf& leaf, const Made& made) {
    const int end = target(j);
    buffer<int> at(graph.size.nodes, -1);
    buffer<bool> inside(graph.size.nodes, false);
    const graph::sweep_nodes nodes(graph, pass, end, inside);
    for (int i = 0; i < graph.size.parameters; ++i)
      if (const graph::parameter_info& p = graph.parameters[i]; Leaf::keeps_all || inside[p.node]) at.data[p.node] = leaf.parameter(i, p);
    for (int i = 0; i < nodes.operand_count; ++i) {
      const graph::sweep_operand& o = nodes.operands[static_cast<std::size_t>(i)];
      at[o.node] = leaf.operand(o);
    }
    graph::resized_copy copy(to, graph, at.data);
    for (int id = 0; id <= end && !copy.failed; ++id)
      if (inside.data[id]) {
        made(id);
        if (at.data[id] < 0) at.data[id] = copy(id);
      }
    return copy.failed ? -1 : at[end];
  }
};

/// A sweep to look at: a graph without names.
template <class Output>
struct sweep_sketch {
  using sweeps = sweeps_of<Output>;
  graph::contractor g;
  buffer<graph::input_info> inputs;
  int output = -1;

  constexpr sweep_sketch(int j, const size3& more) { output = sweeps::copy(g, j, leaves{*this, more}, [](int) {}); }
  constexpr graph::view view() const {
    return {g.nodes.data, g.operands.data, g.shapes.data, g.attributes.data, inputs.data, nullptr, &output, nullptr,
            {g.nodes.size, g.operands.size, g.shapes.size, g.attributes.size, inputs.size, 0, 1, 0, 0}, g.nodes.size};
  }
  constexpr tile_study study() const {
    tile_study t;
    if (output < 0) return t.refuse({}, "tiles: a network of any extents", "got one whose tiles have those of a level");
    return volumes::study(view());
  }

 private:
  struct leaves {
    static constexpr bool keeps_all = false;
    sweep_sketch& s;
    const size3& more;
    constexpr int parameter(int slot, const graph::parameter_info& p) const { return s.g.parameter(slot, p.shape); }
    constexpr int operand(const graph::sweep_operand& o) const {
      const extents e = sweeps::shape_of(o, more);
      const int id = s.g.input(s.inputs.size, e);
      s.inputs.push_back({{}, e, id});
      return id;
    }
  };
};

/// How many operands sweep J has.
template <class Output, int J>
inline constexpr int sweep_operands = sweeps_of<Output>::template nodes<J>.operand_count;

}  // namespace volumes

/// What sweep J of the network behind `Output` makes, a tensor of shape `Result`, of operands that are longer by `More` voxels; after the
/// last one, a result that has no voxels.
template <class Output, int J, extents Result, volumes::size3 More = volumes::size3{0, 0, 0}>
struct sweep_node : expression_tag {
  static constexpr binding_state state = binding_state::closed;
  static constexpr extents shape() { return Result; }
};

/// Its nodes, over all parameters of the network, so that the programs of all sweeps share one set of weights.
template <class Output, int J, extents Result, volumes::size3 More>
struct lowering::lowering_of<sweep_node<Output, J, Result, More>> {
  static constexpr bool remembers = true;
  using sweeps = volumes::sweeps_of<Output>;
  struct leaves {
    static constexpr bool keeps_all = true;
    session& s;
    constexpr int parameter(int slot, const graph::parameter_info& p) const {
      const int id = s.g.parameter(slot, p.shape);
      s.parameters.push_back(p);
      s.parameters.data[slot].node = id, s.parameters.data[slot].update = -1;
      s.claims.push_back({});
      s.updates.push_back(-1);
      return id;
    }
    constexpr int operand(const graph::sweep_operand& o) const {
      const extents e = sweeps::shape_of(o, More);
      const int id = s.g.input(s.inputs.size, e);
      s.inputs.push_back({sweeps::name(o), e, id});
      return id;
    }
  };
  static constexpr int run(session& s) {
    buffer<int> made_from, begin;  // nodes of the network, and how many there were of the copy before each
    const int id = sweeps::copy(s.g, J, leaves{s}, [&](int node) { made_from.push_back(node), begin.push_back(s.g.nodes.size); });
    if (id < 0) {
      s.refuse(line("sweeps: a network of any extents"), line("got one whose tiles have those of a level"));
      return s.g.fill(0, Result);
    }
    for (int i = 0; i < sweeps::graph.size.layers; ++i) {
      const layer_info& l = sweeps::graph.layers[i];
      int first = 0, last = made_from.size;
      while (first < last && made_from.data[first] < l.first_node) ++first;
      while (last > first && made_from.data[last - 1] >= l.last_node) --last;
      if (first == last) continue;
      s.layers.push_back(l);
      layer_info& own = s.layers.data[s.layers.size - 1];
      own.first_node = begin.data[first], own.last_node = last < begin.size ? begin.data[last] : s.g.nodes.size;
    }
    s.g.has_barrier = true;  // what was made on the way goes
    return id;
  }
};

namespace volumes {

/// An input with so many times the voxels along each axis that has several.
template <class Input, int Times>
struct multiplied {
  using type = Input;
};
template <text Name, extents S, int Times>
requires(Times > 1 && is_volume(S)) struct multiplied<input_node<Name, S>, Times> {
  static constexpr std::int64_t longer(std::int64_t n) { return n > 1 ? n * Times : n; }
  using type = input_node<Name, make_extents(S[0], S[1], longer(S[2]), longer(S[3]), longer(S[4]))>;
};

/// The sweeps of a network on volumes. A sweep's tile keeps the voxels that its level has in a network of the extents of `Input`, and is so
/// much longer as its own borders change. Where that is more than half of it, for a deep level has few voxels, those extents are doubled, up
/// to 8 times; where longer tiles are not known (graph/resize.hpp), they have the level's extents.
template <class Net, class... Input>
struct sweep_plan {
  template <int Times>
  using output = decltype(invoke<Net>(typename multiplied<Input, Times>::type{}...));
  using first = output<1>;

 private:
  template <class Output>
  static constexpr bool lowers() {
    if constexpr (!is_failed<Output> && expression<Output>)
      return lowering::compiled<output_list<Output>>::graph.wanted.empty();
    else
      return false;
  }
  /// Whether the network of this many times the extents has the sweeps of the first.
  template <int Times>
  static constexpr bool alike() {
    if constexpr (lowers<output<Times>>()) {
      constexpr const auto &a = sweeps_of<first>::pass, &b = sweeps_of<output<Times>>::pass;
      if (a.sweep_count != b.sweep_count || a.statistic_count != b.statistic_count) return false;
      for (std::size_t i = 0; i < static_cast<std::size_t>(a.statistic_count); ++i)
        if (a.statistics[i].kind != b.statistics[i].kind || a.statistics[i].axes != b.statistics[i].axes) return false;
      return true;
    }
    return false;
  }
  /// Whether tiles keep half of themselves along each axis, so that they can be moved on by that.
  static constexpr bool moves_on(const tile_study& t) {
    for (int a = 0; a < 3; ++a)
      if (t.axis[a].tile > 1 && !(t.axis[a].slides() && 2 * t.axis[a].most_move() >= t.axis[a].tile)) return false;
    return t.ok();
  }
  /// By how much tiles must be longer to be moved on by what they are now.
  static constexpr size3 missing(const tile_study& t) {
    size3 more{0, 0, 0};
    for (int a = 0; a < 3; ++a) {
      const tile_axis& x = t.axis[a];
      if (x.tile > 1 && !x.fixed) more[a] = (x.tile - x.most_move() + x.grid - 1) / x.grid * x.grid;
    }
    return more;
  }
  static constexpr bool is_small(const tile_study& t) { return t.ok() || t.wanted.view().starts_with("tiles: more than"); }

  /// The extents of a sweep's tile: so many times the first ones, and so much more.
  struct choice {
    int times = 1;
    size3 more{0, 0, 0};
    extents result{};
    tile_study study;
  };
  template <int J, int Times>
  static constexpr choice found = [] {
    choice c;
    c.times = Times;
    const sweep_sketch<output<Times>> level(J, {0, 0, 0});
    c.study = level.study();
    c.result = level.g.shape(level.output);
    const size3 more = is_small(c.study) ? missing(c.study) : size3{0, 0, 0};
    if (!(more == size3{0, 0, 0})) {
      const sweep_sketch<output<Times>> longer(J, more);
      const tile_study s = longer.study();
      if (moves_on(s))
        c.more = more, c.study = s, c.result = longer.g.shape(longer.output);
    }
    return c;
  }();
  template <int J, int Times>
  static constexpr choice choose() {
    constexpr const choice& c = found<J, Times>;
    if constexpr (!moves_on(c.study) && is_small(c.study) && Times < 8) {
      if constexpr (alike<2 * Times>()) return choose<J, 2 * Times>();
    }
    return c;
  }
  template <int J>
  static constexpr choice chosen = choose<J, 1>();

 public:
  /// How many times the extents sweep J has its tile from, and how much longer it is than its level.
  template <int J>
  static constexpr int times = chosen<J>.times;
  template <int J>
  static constexpr size3 more = chosen<J>.more;
  template <int J>
  using node = sweep_node<output<times<J>>, J, chosen<J>.result, more<J>>;
  template <int J>
  static constexpr tile_study study = chosen<J>.study;

 private:
  /// Whether the network of twice the extents is the same one. Asked for only where all else is right: it may be none.
  template <int J>
  static constexpr bool is_one_network() {
    if constexpr (alike<2 * times<J>>()) {
      const sweep_sketch<output<times<J>>> small(J, more<J>);
      const sweep_sketch<output<2 * times<J>>> large(J, more<J>);
      return large.output >= 0 && grows(small.view(), large.view(), chosen<J>.study);
    }
    return false;
  }
  /// In the network as it is written.
  template <int J>
  static constexpr auto own_failure() {
    constexpr const tile_study& t = found<J, 1>.study;
    if constexpr (!is_small(t)) {  // once more with the names of layers
      constexpr tile_study told = volumes::study(
          graph::view_of(lowering::compiled<output_list<sweep_node<first, J, found<J, 1>.result>>>::graph));
      return failed<to_text<told.where>(), to_text<t.wanted>(), to_text<t.got>()>{};
    }
  }
  /// In larger ones, which are looked at where that is right.
  template <int J>
  static constexpr auto larger_failure() {
    constexpr const tile_study& t = chosen<J>.study;
    if constexpr (!moves_on(t)) {
      constexpr line got = line("got ") << t.axis[0].tile << " x " << t.axis[1].tile << " x " << t.axis[2].tile << " in sweep " << J + 1;
      return failed<text(""), text("sweeps: tiles of which half is kept"), to_text<got>()>{};
    } else if constexpr (!is_one_network<J>()) {
      constexpr line got = line("got another one for ") << 2 * times<J> << " times the voxels along each axis";
      return failed<text(""), text("sweeps: one network for all sizes"), to_text<got>()>{};
    }
  }
  template <class... F>
  using first_of = typename detail::first_failed<std::conditional_t<std::is_void_v<F>, int, F>...>::type;
  template <int... J>
  static constexpr auto first_failure(std::integer_sequence<int, J...>) {
    using own = first_of<decltype(own_failure<J>())...>;
    if constexpr (!std::is_void_v<own>)
      return std::type_identity<own>{};
    else
      return std::type_identity<first_of<decltype(larger_failure<J>())...>>{};
  }
  static constexpr auto refusal() {
    if constexpr (is_failed<first>) {
      return std::type_identity<first>{};
    } else if constexpr (!expression<first>) {
      return std::type_identity<failed<text(""), text("sweeps: one result"), text("got several")>>{};
    } else {
      constexpr const auto& g = lowering::compiled<output_list<first>>::graph;
      if constexpr (!g.wanted.empty())
        return std::type_identity<failed<to_text<g.where>(), to_text<g.wanted>(), to_text<g.got>()>>{};
      else if constexpr (g.size.updates > 0)
        return std::type_identity<failed<text(""), text("sweeps: constant weights"), text("got states that change")>>{};
      else if constexpr (sweeps_of<first>::pass.is_full)
        return std::type_identity<failed<text(""), text("sweeps: at most 192"), text("got more")>>{};
      else if constexpr (sweeps_of<first>::pass.sweep_count == 0)
        return std::type_identity<failed<text(""), text("sweeps: a volume (N,C,D,H,W)"), text("got none")>>{};
      else
        return first_failure(std::make_integer_sequence<int, sweeps_of<first>::pass.sweep_count>{});
    }
  }

 public:
  using failure = typename decltype(refusal())::type;
  static constexpr bool is_refused = !std::is_void_v<failure>;
};

/// Sweep J, as a network of its operands.
template <class Net, int J, class... Input>
struct sweep_stage {};
template <class Net, int J, class... Input, class... Operand>
struct tile_facts<sweep_stage<Net, J, Input...>, Operand...> {
  using output = typename sweep_plan<Net, Input...>::template node<J>;
  using failure = void;
  static constexpr bool is_refused = false;
  static constexpr const tile_axis (&axis)[3] = sweep_plan<Net, Input...>::template study<J>.axis;
};

}  // namespace volumes
}  // namespace volute
