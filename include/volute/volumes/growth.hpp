// What the compiler finds out about a network before it is run on tiles: what an axis of a tile can do, and that the network of larger
// volumes is the same one.
#pragma once

#include <volute/core/hash.hpp>
#include <volute/runtime/receptive_field.hpp>
#include <volute/volumes/cut.hpp>

#include <bit>

namespace volute::volumes {

/// Whether an input is a volume, which is cut into tiles; others are the same for all tiles.
constexpr bool is_volume(const extents& e) { return e.rank == 5 && (e[2] > 1 || e[3] > 1 || e[4] > 1); }

/// An input with more voxels.
template <class Input, size3 More>
struct grown {
  using type = Input;
};
template <text Name, extents S, size3 More>
requires(is_volume(S)) struct grown<input_node<Name, S>, More> {
  using type = input_node<Name, make_extents(S[0], S[1], S[2] + More.d, S[3] + More.h, S[4] + More.w)>;
};

/// What was found: axes, or a refusal.
struct tile_study {
  tile_axis axis[3];
  graph::sights result;
  std::uint64_t ends[graph::sight_axes]{};  // as field_walk's
  line where, wanted, got;
  constexpr bool ok() const { return wanted.empty(); }
  constexpr tile_study& refuse(const line& path, const line& w, const line& g) {
    where = path, wanted = w, got = g;
    return *this;
  }
  /// How much larger the second program is that is compared with the first.
  constexpr size3 growth() const {
    size3 more{0, 0, 0};
    for (int a = 0; a < 3; ++a) more[a] = axis[a].slides() ? axis[a].grid : 0;
    return more;
  }
};

inline constexpr const char* axis_name[] = {"depth", "height", "width"};

/// Bits of the inputs that are volumes; 0 if there is none, or if their extents differ.
constexpr unsigned volumes_of(const graph::view& g, extents& common) {
  unsigned bits = 0;
  for (int i = 0; i < g.size.inputs; ++i) {
    const extents& e = g.inputs[i].shape;
    if (!is_volume(e)) continue;
    if (bits != 0 && (e[2] != common[2] || e[3] != common[3] || e[4] != common[4])) return 0;
    common = e;
    bits |= 1u << i;
  }
  return bits;
}

/// The axes of a graph whose inputs are tiles.
constexpr tile_study study(const graph::view& g) {
  tile_study t;
  extents in;
  const unsigned volumes = volumes_of(g, in);
  if (volumes == 0) return t.refuse({}, "tiles: volumes (N,C,D,H,W) of one size", "got none, or several sizes");
  const extents& out = g.shape(g.outputs[0]);
  if (out.rank != 5) return t.refuse({}, "tiles: a result (N,C,D,H,W)", line("got ") << out);
  if (g.size.updates > 0) return t.refuse({}, "tiles: constant weights", "got states that change");
  const graph::field_walk walk(g, volumes, graph::field_question::places);
  t.result = walk.result(0);
  for (int a = 0; a < graph::sight_axes; ++a) t.ends[a] = walk.ends[a];
  bool slides = false;
  for (int a = 0; a < 3; ++a) {
    const graph::sight& s = t.result.axis[1 + a];
    tile_axis& x = t.axis[a];
    x.tile = in[2 + a], x.result = out[2 + a];
    if (x.tile == 1) continue;  // volumes have one voxel there, too
    if (s.is_blind())
      return t.refuse(graph::path_of(g, s.cause), line("tiles: neighbourhoods along ") << axis_name[a],
                      line("got ") << graph::deed_of(g, s).view());
    if (!s.is_local()) return t.refuse({}, line("tiles: a result that has a ") << axis_name[a], "got one that does not see it");
    x.grid = walk.grid[1 + a], x.first = s.first, x.last = s.last, x.step = s.step, x.fixed = false;
    slides = slides || x.slides();
  }
  if (slides) return t;
  line got("got ");
  got << in[2] << " x " << in[3] << " x " << in[4];
  line wanted("tiles: more than ");
  for (int a = 0; a < 3; ++a) {  // what the borders change, and a step of the grid
    const tile_axis& x = t.axis[a];
    const std::int64_t least = x.fixed ? x.tile : x.tile + x.grid - (ratio(x.last - x.first) * x.step / ratio(x.grid)).floor() * x.grid;
    wanted << (a > 0 ? " x " : "") << (x.fixed ? least : least - 1);
  }
  return t.refuse({}, wanted, got);
}

/// Stands for the constants and the elementwise functions that a result is made of, in any order; a matrix of constants has those of its
/// extents, and is looked at by what it does.
constexpr std::uint64_t numbers_of(const graph::view& g) {
  buffer<bool> constant(g.size.nodes, false), live(g.size.nodes, false);
  for (int id = 0; id < g.size.nodes; ++id) {
    constant.data[id] = g.nodes[id].count > 0 || g.is<ops::fill>(id) || g.is<ops::arange>(id);
    for (int k = 0; k < g.nodes[id].count; ++k) constant.data[id] = constant.data[id] && constant.data[g.operand(id, k)];
  }
  live.data[g.outputs[0]] = true;
  std::uint64_t numbers = 0;
  for (int id = g.size.nodes - 1; id >= 0; --id) {
    if (!live.data[id]) continue;
    if (g.is<ops::fill>(id)) numbers += scatter(std::bit_cast<std::uint64_t>(g.as<ops::fill>(id).value) + 1);
    if (g.is<ops::elementwise>(id)) numbers += scatter(~static_cast<std::uint64_t>(g.as<ops::elementwise>(id).function));
    for (int k = 0; k < g.nodes[id].count; ++k)
      if (!g.is<ops::matmul>(id) || !constant.data[g.operand(id, k)]) live.data[g.operand(id, k)] = true;
  }
  return numbers;
}

/// Whether a network of larger volumes is the same network: it computes with the same numbers, sees the same, begins and ends alike, and its
/// result grows as the input, which is larger by steps of the grid.
constexpr bool grows(const graph::view& small, const graph::view& large, const tile_study& t) {
  extents in, more;
  const unsigned volumes = volumes_of(small, in);
  if (volumes_of(large, more) != volumes || small.size.parameters != large.size.parameters) return false;
  if (numbers_of(small) != numbers_of(large)) return false;
  for (int i = 0; i < small.size.parameters; ++i)
    if (!(small.parameters[i].path == large.parameters[i].path) || !(small.parameters[i].shape == large.parameters[i].shape)) return false;
  const graph::field_walk walk(large, volumes, graph::field_question::places);
  const graph::sights b = walk.result(0);
  const extents &y = small.shape(small.outputs[0]), &z = large.shape(large.outputs[0]);
  if (z.rank != 5 || y[0] != z[0] || y[1] != z[1]) return false;
  for (int k = 0; k < 3; ++k) {
    if (!t.axis[k].slides()) continue;  // volumes have the tile's extent
    const graph::sight &s = t.result.axis[1 + k], &l = b.axis[1 + k];
    const bool same = l.is_local() && s.step == l.step && s.from == l.from && s.to == l.to && s.middle == l.middle && s.near == l.near &&
                      s.far == l.far && walk.grid[1 + k] == t.axis[k].grid && walk.ends[1 + k] == t.ends[1 + k];
    const bool borders = s.n - s.last == l.n - l.last && (s.first == l.first || s.first == s.n);
    const std::int64_t longer = more[2 + k] - in[2 + k];
    if (!same || !borders || longer < 1 || longer % t.axis[k].grid != 0 || !(s.step * ratio(z[2 + k] - y[2 + k]) == ratio(longer))) return false;
  }
  return true;
}

/// All of it: why tiles of this network are refused, or void; and its axes.
template <class Net, class... Input>
struct tile_facts {
  using output = decltype(invoke<Net>(Input{}...));

 private:
  static constexpr tile_study first = [] {
    if constexpr (is_failed<output> || !expression<output>) {
      return tile_study{};
    } else {
      constexpr auto& g = lowering::compiled<output_list<output>>::graph;
      tile_study t;
      if constexpr (!g.wanted.empty())
        t.refuse(g.where, g.wanted, g.got);
      else
        t = study(graph::view_of(g));
      return t;
    }
  }();
  template <size3 More>
  static constexpr bool same_when_grown() {
    using larger = decltype(invoke<Net>(typename grown<Input, More>::type{}...));
    if constexpr (!is_failed<larger>) {
      constexpr auto& g = lowering::compiled<output_list<larger>>::graph;
      if constexpr (g.wanted.empty())
        return grows(graph::view_of(lowering::compiled<output_list<output>>::graph), graph::view_of(g), first);
    }
    return false;
  }
  static constexpr auto refusal() {
    if constexpr (is_failed<output>) {
      return output{};
    } else if constexpr (!expression<output>) {
      return failed<text(""), text("tiles: one result (N,C,D,H,W)"), text("got several")>{};
    } else if constexpr (!first.ok()) {
      return failed<to_text<first.where>(), to_text<first.wanted>(), to_text<first.got>()>{};
    } else if constexpr (!same_when_grown<first.growth()>()) {
      constexpr size3 more = first.growth();
      constexpr line got = line("got another one for ") << more.d << ',' << more.h << ',' << more.w << " more voxels";
      return failed<text(""), text("tiles: one network for all sizes"), to_text<got>()>{};
    }
  }

 public:
  using failure = decltype(refusal());
  static constexpr bool is_refused = !std::is_void_v<failure>;
  static constexpr const tile_axis (&axis)[3] = first.axis;
};

}  // namespace volute::volumes
