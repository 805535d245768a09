// What a walk over a graph knows of each value: what its voxels see of the inputs along each axis, and where its elements differ.
#pragma once

#include <volute/core/buffer.hpp>
#include <volute/graph/frozen.hpp>
#include <volute/graph/sight.hpp>

namespace volute::graph {

/// Axes that are followed: batch, depth, height, width of inputs (N, C, D, H, W); of an input of another rank its first.
inline constexpr int sight_axes = 4;
constexpr int tensor_axis(int t) { return t == 0 ? 0 : 1 + t; }

/// What is asked: what results see; that, and whether they are placed (a parameter or a table with an element for each voxel); or all nodes
/// that look at everything, also behind the first one: then what meets such a value counts as if it did not.
enum class field_question : std::int8_t { reach, places, culprits };

/// The table, of a graph's nodes.
class sight_table {
 public:
  /// Whether inputs may be moved by so many voxels along axis t, and by multiples, so that every value moves by whole positions.
  std::int64_t grid[sight_axes]{};
  /// A number that stands for the pieces that were put at the ends: equal where they stay there when the extents grow.
  std::uint64_t ends[sight_axes]{};
  /// Nodes that look at everything, or are placed, whose operands do not.
  buffer<int> culprits;

 protected:
  constexpr sight_table(const view& graph, field_question asked)
      : g(graph), asked_(asked), strict_(asked == field_question::places), at_(graph.size.nodes * sight_axes, 0), varies_(graph.size.nodes, 0) {
    records_.push_back({});
    for (std::int64_t& n : grid) n = 1;
  }

  const view& g;
  field_question asked_;
  bool strict_;
  buffer<sight> records_;  // 0: none
  buffer<int> at_;         // of each node and axis
  buffer<int> varies_;     // of each node: tensor axes along which elements may differ, as bits

  constexpr const sight& of(int id, int t) const { return records_.data[at_.data[id * sight_axes + t]]; }
  constexpr int record(int id, int t) const { return at_.data[id * sight_axes + t]; }
  constexpr void set(int id, int t, const sight& s) {
    at_.data[id * sight_axes + t] = records_.size;
    records_.push_back(s);
    if (s.is_local()) grid[t] = grid[t] / common_divisor(grid[t], s.step.num) * s.step.num;
    if (s.is_blind() && s.cause == id && (culprits.size == 0 || culprits[culprits.size - 1] != id)) culprits.push_back(id);
  }
  constexpr void keep(int id, int t, int of_record) { at_.data[id * sight_axes + t] = of_record; }
  constexpr sight met(const sight& a, const sight& b, int id) const {
    if (asked_ == field_question::culprits && a.is_blind() && b.is_local()) return b;
    if (asked_ == field_question::culprits && b.is_blind() && a.is_local()) return a;
    return joined(a, b, id);
  }
  constexpr bool varies(int id, int axis) const { return (varies_.data[id] >> axis & 1) != 0; }
  constexpr int all_varying(const extents& e) const {
    int m = 0;
    for (int k = 0; k < e.rank; ++k) m |= (e[k] > 1) << k;
    return m;
  }
  /// Whether elements of `id` differ along the axis of the inputs that `like` describes, of a value of the same shape.
  constexpr bool varies_along(int id, const sight& like) const {
    const extents& e = g.shape(id);
    for (int k = 0; k < e.rank; ++k)
      if (varies(id, k) && e.stride(k) < like.stride * like.n && like.stride < e.stride(k) * e[k]) return true;
    return false;
  }
};

}  // namespace volute::graph
