// A network whose only looks at everything are statistics of its channels (norms, global pools) in sweeps over a volume: each sweep ends in
// a volume, from whose voxels the statistics are taken that later sweeps begin with.
#pragma once

#include <volute/graph/interpolation.hpp>

#include <array>

namespace volute::graph {

/// What is known of some channels of a volume together.
enum class statistic : std::int8_t {
  sum,
  mean,
  maximum,
  variance,        // mean of the squares of the differences from the mean
  square_sum,      // of the squares
  square_mean,
};

/// One value, or one for each of several groups of channels, of a volume.
struct statistic_info {
  int node = -1;    // what it stands for
  statistic kind{};
  int volume = -1;  // the node whose voxels it is taken from, (N, C, D, H, W)
  // Element (n * C + c) of the volume's channels belongs to element group_of(...) of the statistic: the axes of what is reduced.
  extents over{};
  ops::axis_set axes = 0;
  /// The element of the statistic that channel `plane` (n * C + c) of `planes` belongs to.
  constexpr std::int64_t group_of(std::int64_t plane, std::int64_t planes) const {
    std::int64_t at = plane * (over.size() / planes), group = 0;
    for (int k = 0; k < over.rank; ++k) {
      const std::int64_t i = at / over.stride(k);
      at -= i * over.stride(k);
      if (!ops::contains(axes, k)) group = group * over[k] + i;
    }
    return group;
  }
};

/// What a sweep reads.
struct sweep_operand {
  enum kind_t : std::int8_t { volume, input, statistic } kind = volume;
  int index = 0;  // of the sweep that made it, of the network's input, or of the statistic
  int node = 0;
};

/// A sweep.
struct sweep_info {
  int node = -1;          // what it makes
  bool is_read = false;   // by later sweeps; else only its statistics are
  bool is_result = false;
};

/// The sweeps of a graph's first result, in their order, and the statistics between them.
class sweep_pass {
 public:
  static constexpr int most = 192;
  std::array<sweep_info, most> sweeps{};
  std::array<statistic_info, most> statistics{};
  int sweep_count = 0, statistic_count = 0;
  bool is_full = false;

  constexpr sweep_pass() = default;
  constexpr explicit sweep_pass(const view& graph) { walk w(graph, *this); }

  constexpr int sweep_of(int node) const {
    for (int i = 0; i < sweep_count; ++i)
      if (sweeps[static_cast<std::size_t>(i)].node == node) return i;
    return -1;
  }
  constexpr int statistic_of(int node) const {
    for (int i = 0; i < statistic_count; ++i)
      if (statistics[static_cast<std::size_t>(i)].node == node) return i;
    return -1;
  }

 private:
  /// A volume's depth, height and width.
  static constexpr bool same_voxels(const extents& a, const extents& b) { return a[2] == b[2] && a[3] == b[3] && a[4] == b[4]; }

  class walk {
   public:
    constexpr walk(const view& graph, sweep_pass& result)
        : g(graph), r(result), spans_(g.size.nodes, false), cut_(g.size.nodes, false), live_(g.size.nodes, false), source_(g.size.nodes, -1) {
      const int out = g.outputs[0];
      live_.data[out] = true;
      for (int id = out; id >= 0; --id)
        for (int k = 0; live_.data[id] && k < g.nodes[id].count; ++k) live_.data[g.operand(id, k)] = true;
      for (int id = 0; id <= out; ++id)
        if (live_.data[id]) spans_.data[id] = spans(id);
      cut_.data[out] = spans_.data[out];
      while (!r.is_full && cut_where_extents_meet()) {
      }
      list();
    }

   private:
    const view& g;
    sweep_pass& r;
    buffer<bool> spans_, cut_, live_;  // whether a node has voxels of the volume; whether a sweep ends there; whether it is needed
    buffer<int> source_;               // of a node: one whose extents are those of all volumes that its sweep reads

    /// Whether a node has voxels; what is a statistic is found, and has none.
    constexpr bool spans(int id) {
      const node& n = g.nodes[id];
      if (g.is<ops::input>(id)) return g.shape(id).rank == 5 && g.shape(id).stride(1) > 1;
      bool any = false;
      for (int k = 0; k < n.count; ++k) any = any || spans_.data[g.operand(id, k)];
      return any && !take(id);
    }
    constexpr bool take(int id) {
      statistic_info s{.node = id};
      if (!is_statistic(id, s)) return false;
      if (r.statistic_count == most) {
        r.is_full = true;
        return false;
      }
      cut_.data[s.volume] = true;
      r.statistics[static_cast<std::size_t>(r.statistic_count++)] = s;
      return true;
    }
    constexpr bool is_statistic(int id, statistic_info& s) const {
      int x = -1;
      if (g.is<ops::reduce>(id)) {
        const auto op = g.as<ops::reduce>(id);
        x = g.operand(id, 0);
        s.over = g.shape(x), s.axes = op.axes;
        s.kind = op.how() == ops::reduction::sum ? statistic::sum : op.how() == ops::reduction::mean ? statistic::mean : statistic::maximum;
      } else if (g.is<ops::max_pool>(id) && g.as<ops::max_pool>(id).window.adaptive != 0 && g.operand(id, 0) == g.operand(id, 1) &&
                 g.shape(id).stride(1) == 1) {
        x = g.operand(id, 0);
        s.over = g.shape(x), s.axes = ops::axis_bit(2) | ops::axis_bit(3) | ops::axis_bit(4);
        s.kind = statistic::maximum;
      } else {
        return false;
      }
      s.volume = behind_reshapes(g, x);
      if (s.kind != statistic::maximum && is_map(g, s.volume, ops::fn::square)) squares(behind_reshapes(g, g.operand(s.volume, 0)), s);
      const extents& v = g.shape(s.volume);
      if (v.rank != 5 || !spans_.data[s.volume] || v.size() != s.over.size()) return false;
      for (int k = 0; k < s.over.rank; ++k)  // all voxels of a channel are in one group
        if (!ops::contains(s.axes, k) && s.over[k] > 1 && s.over.stride(k) % v.stride(1) != 0) return false;
      return true;
    }
    /// The statistic of squares of y: of a volume's differences from its own mean, or of the volume y.
    constexpr void squares(int y, statistic_info& s) const {
      if (s.kind == statistic::mean && is_map(g, y, ops::fn::subtract)) {
        const int x = behind_reshapes(g, g.operand(y, 0));
        int m = g.operand(y, 1);
        while (g.is<ops::reshape>(m) || g.is<ops::broadcast>(m)) m = g.operand(m, 0);
        const int known = r.statistic_of(m);
        if (known >= 0) {
          const statistic_info& mean = r.statistics[static_cast<std::size_t>(known)];
          if (mean.kind == statistic::mean && mean.volume == x && mean.over == s.over && mean.axes == s.axes) {
            s.kind = statistic::variance, s.volume = x;
            return;
          }
        }
      }
      if (g.shape(y).rank != 5) return;
      s.kind = s.kind == statistic::mean ? statistic::square_mean : statistic::square_sum;
      s.volume = y;
    }

    /// Volumes of one sweep have the same extents: where those of several meet, sweeps end before. Whether one more does.
    constexpr bool cut_where_extents_meet() {
      for (int id = 0; id <= g.outputs[0]; ++id) {
        if (!live_.data[id] || !spans_.data[id]) continue;
        source_.data[id] = g.is<ops::input>(id) ? id : -1;
        for (int k = 0; k < g.nodes[id].count; ++k) {
          const int x = g.operand(id, k);
          if (!spans_.data[x]) continue;
          const int from = cut_.data[x] ? x : source_.data[x];
          if (from < 0) continue;
          if (source_.data[id] < 0) source_.data[id] = from;
          if (same_voxels(g.shape(source_.data[id]), g.shape(from))) continue;
          bool more = false;
          for (int i = 0; i < g.nodes[id].count; ++i) more = end_at(g.operand(id, i)) || more;
          if (more) return true;
        }
      }
      return false;
    }
    /// Ends a sweep at a value whose extents are others than those of the volumes that it is made of.
    constexpr bool end_at(int x) {
      if (!spans_.data[x] || cut_.data[x] || source_.data[x] < 0) return false;
      const int v = g.shape(x).rank == 5 ? x : behind_reshapes(g, x);
      if (cut_.data[v] || g.is<ops::input>(v) || g.shape(v).rank != 5 || same_voxels(g.shape(v), g.shape(source_.data[x]))) return false;
      return cut_.data[v] = true;
    }

    constexpr void list() {
      for (int id = 0; id <= g.outputs[0] && !r.is_full; ++id) {
        if (!live_.data[id] || !cut_.data[id]) continue;
        if (r.sweep_count == most) {
          r.is_full = true;
          return;
        }
        r.sweeps[static_cast<std::size_t>(r.sweep_count++)] = {id, false, id == g.outputs[0]};
      }
      if (r.sweep_count == 0) return;
      // What sweeps and the result are made of, but not through statistics.
      buffer<bool> read(g.size.nodes, false);
      read.data[g.outputs[0]] = !spans_.data[g.outputs[0]];
      for (int id = g.outputs[0]; id >= 0; --id) {
        const bool cut = live_.data[id] && cut_.data[id];
        for (int k = 0; k < g.nodes[id].count && (cut || (read.data[id] && r.statistic_of(id) < 0)); ++k) read.data[g.operand(id, k)] = true;
      }
      for (int i = 0; i < r.sweep_count; ++i)
        r.sweeps[static_cast<std::size_t>(i)].is_read = read.data[r.sweeps[static_cast<std::size_t>(i)].node];
    }
  };
};

/// What a value is computed from: the nodes behind it down to other sweeps and statistics, and those, in the order of nodes.
struct sweep_nodes {
  static constexpr int most = 64;
  std::array<sweep_operand, most> operands{};
  int operand_count = 0;
  bool is_full = false;

  /// Marks in `inside` what is computed.
  constexpr sweep_nodes(const view& g, const sweep_pass& p, int target, buffer<bool>& inside) {
    buffer<bool> wanted(g.size.nodes, false);
    wanted.data[target] = true;
    for (int id = target; id >= 0; --id) {
      if (!wanted.data[id]) continue;
      const bool given = g.is<ops::input>(id) || (id != target && p.sweep_of(id) >= 0) || p.statistic_of(id) >= 0;
      inside.data[id] = !given;
      for (int k = 0; !given && k < g.nodes[id].count; ++k) wanted.data[g.operand(id, k)] = true;
    }
    for (int id = 0; id <= target; ++id) {
      if (!wanted.data[id] || inside.data[id]) continue;
      if (operand_count == most) {
        is_full = true;
        break;
      }
      sweep_operand o{.node = id};
      if (const int s = p.statistic_of(id); s >= 0)
        o.kind = sweep_operand::statistic, o.index = s;
      else if (const int v = p.sweep_of(id); v >= 0 && id != target)
        o.kind = sweep_operand::volume, o.index = v;
      else
        o.kind = sweep_operand::input, o.index = static_cast<int>(g.as<ops::input>(id).slot);
      operands[static_cast<std::size_t>(operand_count++)] = o;
    }
  }
};

}  // namespace volute::graph
