// One sweep of a network over a volume as a program of tiles: what graph/sweeps.hpp finds, as types.
#pragma once

#include <volute/graph/sweeps.hpp>
#include <volute/volumes/growth.hpp>

#include <utility>

namespace volute {

/// What sweep J of the network behind `Output` makes, of its operands; after the last one, a result that has no voxels.
template <class Output, int J>
struct sweep_node;

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
  /// Operand I of sweep J, as an input.
  template <int J, int I>
  using input_of = input_node<to_text<name(operand<J, I>)>(), graph.shape(operand<J, I>.node)>;
};

/// How many operands sweep J has.
template <class Output, int J>
inline constexpr int sweep_operands = sweeps_of<Output>::template nodes<J>.operand_count;

}  // namespace volumes

template <class Output, int J>
struct sweep_node : expression_tag {
  static constexpr binding_state state = binding_state::closed;
  static constexpr extents shape() {
    using of = volumes::sweeps_of<Output>;
    return of::graph.shape(of::target(J));
  }
};

/// The nodes of the sweep, over all parameters of the network, so that its programs share one set of weights.
template <class Output, int J>
struct lowering::lowering_of<sweep_node<Output, J>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) {
    using of = volumes::sweeps_of<Output>;
    constexpr const graph::view& g = of::graph;
    const int target = of::target(J), parameters = g.size.parameters;
    buffer<int> at(g.size.nodes, -1), begin(g.size.nodes + 1, 0);
    buffer<bool> inside(g.size.nodes, false);
    const graph::sweep_nodes nodes(g, of::pass, target, inside);
    for (int i = 0; i < parameters; ++i) {
      const graph::parameter_info& p = g.parameters[i];
      at[p.node] = lower_parameter(s, p.path.view(), p.shape, {static_cast<initializer::kind_t>(p.init_kind), p.init_scale}, p.learned);
    }
    for (int i = 0; i < nodes.operand_count; ++i) {
      const graph::sweep_operand& o = nodes.operands[static_cast<std::size_t>(i)];
      const extents& e = g.shape(o.node);
      at[o.node] = s.g.input(s.inputs.size, e);
      s.inputs.push_back({of::name(o), e, at[o.node]});
    }
    for (int id = 0; id <= target; ++id) {
      begin[id] = s.g.nodes.size;
      if (inside[id] && at[id] < 0) at[id] = graph::remake(s.g, g, id, at.data);
    }
    for (int id = target + 1; id <= g.size.nodes; ++id) begin[id] = s.g.nodes.size;
    for (int i = 0; i < g.size.layers; ++i) {
      layer_info l = g.layers[i];
      l.first_node = begin[l.first_node], l.last_node = begin[l.last_node];
      if (l.first_node < l.last_node) s.layers.push_back(l);
    }
    return at[target];
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

/// The sweeps of a network on volumes, whose tiles are cut from one of the extents of `Input`, or of 2, 4 or 8 times those: deep levels of a
/// network have few voxels, of which nothing would be kept.
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
  template <int J, int Times>
  static constexpr tile_study study_of = [] {
    constexpr const auto& g = lowering::compiled<output_list<sweep_node<output<Times>, J>>>::graph;
    tile_study t;
    if constexpr (!g.wanted.empty())
      t.refuse(g.where, g.wanted, g.got);
    else
      t = study(graph::view_of(g));
    return t;
  }();
  /// Whether tiles keep half of themselves along each axis, so that they can be moved on by that.
  static constexpr bool moves_on(const tile_study& t) {
    for (int a = 0; a < 3; ++a)
      if (t.axis[a].tile > 1 && !(t.axis[a].slides() && 2 * t.axis[a].most_move() >= t.axis[a].tile)) return false;
    return t.ok();
  }
  static constexpr bool is_small(const tile_study& t) { return t.ok() || t.wanted.view().starts_with("tiles: more than"); }
  template <int J, int Times>
  static constexpr int least_times() {
    constexpr const tile_study& t = study_of<J, Times>;
    if constexpr (!moves_on(t) && is_small(t) && Times < 8) {
      if constexpr (alike<2 * Times>()) return least_times<J, 2 * Times>();
    }
    return Times;
  }

 public:
  /// How many times the extents sweep J has its tile from.
  template <int J>
  static constexpr int times = least_times<J, 1>();
  template <int J>
  using node = sweep_node<output<times<J>>, J>;
  template <int J>
  static constexpr tile_study study = study_of<J, times<J>>;

 private:
  template <int J>
  static constexpr auto sweep_failure() {
    constexpr const tile_study& t = study_of<J, times<J>>;
    if constexpr (!t.ok()) {
      return failed<to_text<t.where>(), to_text<t.wanted>(), to_text<t.got>()>{};
    } else if constexpr (!moves_on(t)) {
      constexpr line got = line("got ") << t.axis[0].tile << " x " << t.axis[1].tile << " x " << t.axis[2].tile << " in sweep " << J + 1;
      return failed<text(""), text("sweeps: tiles of which half is kept"), to_text<got>()>{};
    } else {
      constexpr bool same = [] {
        if constexpr (alike<2 * times<J>>())
          return grows(graph::view_of(lowering::compiled<output_list<node<J>>>::graph),
                       graph::view_of(lowering::compiled<output_list<sweep_node<output<2 * times<J>>, J>>>::graph), t);
        return false;
      }();
      constexpr line got = line("got another one for ") << 2 * times<J> << " times the voxels along each axis";
      if constexpr (!same) return failed<text(""), text("sweeps: one network for all sizes"), to_text<got>()>{};
    }
  }
  template <int... J>
  static constexpr auto first_failure(std::integer_sequence<int, J...>) {
    return std::type_identity<typename detail::first_failed<std::conditional_t<std::is_void_v<decltype(sweep_failure<J>())>, int, decltype(sweep_failure<J>())>...>::type>{};
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
