// The receptive field: one walk over a graph that finds, for every value, what its voxels see of the inputs along batch, depth, height and
// width, and which nodes look at everything.
#pragma once

#include <volute/graph/interpolation.hpp>
#include <volute/graph/sight_table.hpp>

namespace volute::graph {

/// What a result sees along each axis.
struct sights {
  sight axis[sight_axes];
};

/// The walk. `followed`: bits of the inputs that are looked at; the others count as parameters do.
class field_walk : public sight_table {
 public:
  constexpr field_walk(const view& graph, unsigned followed, field_question asked)
      : sight_table(graph, asked), followed_(followed), live_(graph.size.nodes, false) {
    mark_live();
    for (int id = 0; id < g.size.nodes; ++id)
      if (live_.data[id]) visit(id);
  }

  /// Of result `i`; an axis that does not lie where it lies in the inputs counts as everything.
  constexpr sights result(int i) const {
    sights s;
    const int id = g.outputs[i];
    for (int t = 0; t < sight_axes; ++t) {
      s.axis[t] = of(id, t);
      if (!s.axis[t].is_local()) continue;
      const axis_place p = locate(s.axis[t], g.shape(id), tensor_axis(t));
      if (p.axis != tensor_axis(t) || !fills(s.axis[t], p, g.shape(id))) s.axis[t] = sees_everything(id);
    }
    return s;
  }

 private:
  unsigned followed_;
  buffer<bool> live_;
  struct factor {
    int matrix = 0;
    std::int64_t rows = 0, value = 0;
  };
  buffer<factor> factors_;             // of the matrices that were looked at
  std::int64_t extent_[sight_axes]{};  // of the inputs

  constexpr bool followed(int input) const { return (followed_ >> input & 1) != 0; }

  constexpr void mark_live() {
    for (int i = 0; i < g.size.outputs - g.size.updates; ++i) live_.data[g.outputs[i]] = true;
    for (int id = g.size.nodes - 1; id >= 0; --id)
      if (live_.data[id])
        for (int k = 0; k < g.nodes[id].count; ++k) live_.data[g.operand(id, k)] = true;
  }

  constexpr void visit(int id) {
    static_assert(sizeof(
        ops::primitives::all_among<"graph/receptive_field.hpp: visit", ops::input, ops::parameter, ops::fill, ops::random, ops::arange,
                                   ops::barrier, ops::elementwise, ops::broadcast, ops::reduce, ops::reshape, ops::transpose, ops::slice,
                                   ops::pad, ops::concat, ops::matmul, ops::convolution, ops::max_pool, ops::avg_pool, ops::gather,
                                   ops::attention, ops::attention_gradient, ops::further_result, ops::all_reduce, ops::halo>));
    const extents& e = g.shape(id);
    if (g.is<ops::input>(id)) return input(id);
    if (g.is<ops::fill>(id)) return;
    if (g.nodes[id].count == 0) return void(varies_.data[id] = all_varying(e));  // parameters, random numbers, tables
    const int x = g.operand(id, 0);
    if (g.is<ops::barrier>(id) || g.is<ops::all_reduce>(id)) return same(id, x);
    if (g.is<ops::halo>(id)) return halo(id, x);
    if (g.is<ops::reshape>(id)) return reshape(id, x);
    if (g.is<ops::elementwise>(id)) return elementwise(id);
    if (g.is<ops::broadcast>(id)) return broadcast(id, x);
    if (g.is<ops::reduce>(id)) return reduce(id, x);
    if (g.is<ops::transpose>(id)) return transpose(id, x);
    if (g.is<ops::slice>(id)) return slice(id, x);
    if (g.is<ops::pad>(id)) return pad(id, x);
    if (g.is<ops::concat>(id)) return concat(id);
    if (g.is<ops::matmul>(id)) return matmul(id);
    if (g.is<ops::convolution>(id)) return convolution(id);
    if (g.is<ops::gather>(id)) return gather(id);
    if (g.is<ops::attention>(id) || g.is<ops::attention_gradient>(id) || g.is<ops::further_result>(id)) return attention(id);
    const bool maximum = g.is<ops::max_pool>(id);
    const ops::pool_window w = maximum ? g.as<ops::max_pool>(id).window : g.as<ops::avg_pool>(id).window;
    pool(id, w, maximum, maximum ? g.as<ops::max_pool>(id).scatters != 0 : g.as<ops::avg_pool>(id).adjoint != 0);
  }

  constexpr void input(int id) {
    const extents& e = g.shape(id);
    varies_.data[id] = all_varying(e);
    if (!followed(static_cast<int>(g.as<ops::input>(id).slot))) return;
    const bool uniform = e.rank != 5 || (e[2] == 1 && e[3] == 1 && e[4] == 1);
    for (int t = 0; t < (uniform ? 1 : sight_axes) && e.rank > 0; ++t) {
      const std::int64_t n = e[tensor_axis(t)];
      sight s{sight_kind::local};
      s.n = extent_[t] = n, s.stride = e.stride(tensor_axis(t)), s.last = n;
      set(id, t, s);
    }
  }

  constexpr void same(int id, int x) {
    varies_.data[id] = varies_.data[x];
    for (int t = 0; t < sight_axes; ++t) keep(id, t, record(x, t));
  }

  /// Row-major order stays, and with it where positions are.
  constexpr void reshape(int id, int x) {
    same(id, x);
    const extents &from = g.shape(x), &to = g.shape(id);
    int m = 0;
    for (int k = 0; k < to.rank; ++k)
      for (int i = 0; i < from.rank; ++i)
        if (varies(x, i) && to[k] > 1 && from.stride(i) < to.stride(k) * to[k] && to.stride(k) < from.stride(i) * from[i]) m |= 1 << k;
    varies_.data[id] = m;
  }

  /// Operand k of `id`, from which it differs along axis t though it does not see it: that places the value.
  constexpr sight checked(int id, int operand, const sight& like) const {
    return strict_ && like.is_local() && varies_along(operand, like) ? is_placed(id) : like;
  }

  constexpr void elementwise(int id) {
    const int n = g.nodes[id].count;
    for (int k = 0; k < n; ++k) varies_.data[id] |= varies_.data[g.operand(id, k)];
    for (int t = 0; t < sight_axes; ++t) {
      int only = record(g.operand(id, 0), t);
      bool mixed = false;
      for (int k = 1; k < n; ++k) mixed = mixed || record(g.operand(id, k), t) != only;
      if (!mixed) {
        keep(id, t, only);
        continue;
      }
      sight s;
      for (int k = 0; k < n; ++k) s = met(s, of(g.operand(id, k), t), id);
      for (int k = 0; k < n; ++k)
        if (of(g.operand(id, k), t).kind == sight_kind::none) s = checked(id, g.operand(id, k), s);
      set(id, t, s);
    }
  }

  /// Along each followed axis: what lies in tensor axis k of x lies in axis map(k) of the result; -1: there no more.
  template <class Map>
  constexpr void moved(int id, int x, Map map) {
    for (int t = 0; t < sight_axes; ++t) {
      const sight& s = of(x, t);
      if (!s.is_local()) {
        keep(id, t, record(x, t));
        continue;
      }
      const axis_place p = locate(s, g.shape(x), tensor_axis(t));
      const int k = p.axis < 0 ? -1 : map(p.axis);
      set(id, t, k < 0 ? sees_everything(id) : lying(s, g.shape(id), k, p.inner));
    }
  }

  constexpr void broadcast(int id, int x) {
    const extents &from = g.shape(x), &to = g.shape(id);
    const int more = to.rank - from.rank;
    varies_.data[id] = 0;
    for (int k = 0; k < from.rank; ++k) varies_.data[id] |= varies(x, k) << (k + more);
    moved(id, x, [&](int k) { return from[k] == to[k + more] ? k + more : -1; });
  }

  constexpr void reduce(int id, int x) {
    const auto op = g.as<ops::reduce>(id);
    const extents& from = g.shape(x);
    int kept[max_rank]{}, n = 0;
    for (int k = 0; k < from.rank; ++k) {
      kept[k] = ops::contains(op.axes, k) ? -1 : n++;
      if (kept[k] >= 0) varies_.data[id] |= varies(x, k) << kept[k];
    }
    moved(id, x, [&](int k) { return kept[k]; });
  }

  constexpr void transpose(int id, int x) {
    const auto op = g.as<ops::transpose>(id);
    int to[max_rank]{};
    for (int i = 0; i < g.shape(x).rank; ++i) to[op.axis[i]] = i, varies_.data[id] |= varies(x, static_cast<int>(op.axis[i])) << i;
    moved(id, x, [&](int k) { return to[k]; });
  }

  /// Along each followed axis: `window(k)` where it fills tensor axis k, which changes; elsewhere it stays.
  template <class Changes, class Window>
  constexpr void windowed(int id, int x, Changes changes, Window window) {
    const extents& e = g.shape(x);
    for (int t = 0; t < sight_axes; ++t) {
      const sight& s = of(x, t);
      if (!s.is_local()) {
        keep(id, t, record(x, t));
        continue;
      }
      const axis_place p = locate(s, e, tensor_axis(t));
      if (p.axis < 0)
        set(id, t, sees_everything(id));
      else if (!changes(p.axis))
        set(id, t, lying(s, g.shape(id), p.axis, p.inner));
      else
        set(id, t, fills(s, p, e) ? lying(window(s, p.axis), g.shape(id), p.axis) : sees_everything(id));
    }
  }

  constexpr void slice(int id, int x) {
    const auto op = g.as<ops::slice>(id);
    const extents& e = g.shape(id);
    varies_.data[id] = varies_.data[x] & all_varying(e);
    windowed(
        id, x, [&](int k) { return e[k] != g.shape(x)[k]; },
        [&](const sight& s, int k) { return gathered(s, op.step[k], op.start[k], 1, 1, e[k]); });
  }

  constexpr void pad(int id, int x) {
    const auto op = g.as<ops::pad>(id);
    const extents& e = g.shape(id);
    varies_.data[id] = varies_.data[x];
    for (int k = 0; k < e.rank; ++k) varies_.data[id] |= (e[k] != g.shape(x)[k]) << k;
    windowed(
        id, x, [&](int k) { return e[k] != g.shape(x)[k]; },
        [&](const sight& s, int k) { return scattered(s, op.interior[k] + 1, op.lo[k], 1, 1, e[k]); });
  }

  constexpr void halo(int id, int x) {
    const auto op = g.as<ops::halo>(id);
    const std::int64_t n = g.shape(id)[2];
    varies_.data[id] = varies_.data[x];
    windowed(
        id, x, [](int k) { return k == 2; },
        [&](const sight& s, int) { return gathered(s, 1, op.adjoint != 0 ? op.lo : -op.lo, 1, 1, n); });
  }

  constexpr void concat(int id) {
    const int axis = static_cast<int>(g.as<ops::concat>(id).axis), n = g.nodes[id].count;
    for (int k = 0; k < n; ++k) varies_.data[id] |= varies_.data[g.operand(id, k)];
    varies_.data[id] |= 1 << axis;
    for (int t = 0; t < sight_axes; ++t) set(id, t, concatenated(id, t, axis, n));
  }

  constexpr sight concatenated(int id, int t, int axis, int n) {
    const extents& e = g.shape(id);
    sight s, blind;
    int main = -1, along = -1;
    for (int k = 0; k < n; ++k) {  // beside each other along another axis; or the largest is the volume, the others lie at its ends
      const int x = g.operand(id, k);
      const sight& own = of(x, t);
      if (own.is_blind() && asked_ != field_question::culprits) return own;
      if (own.is_blind()) blind = own;
      if (!own.is_local()) continue;
      const axis_place p = locate(own, g.shape(x), tensor_axis(t));
      if (p.axis < 0) return sees_everything(id);
      if (p.axis == axis) {
        if (!fills(own, p, g.shape(x))) return sees_everything(id);
        if (main < 0 || own.n > of(g.operand(id, main), t).n) main = k;
      } else {
        s = met(s, lying(own, e, p.axis, p.inner), id);
        along = p.axis;
      }
    }
    for (int k = 0; k < n && s.is_local(); ++k)
      if (strict_ && of(g.operand(id, k), t).kind == sight_kind::none && varies(g.operand(id, k), along)) return is_placed(id);
    if (main < 0 || s.kind != sight_kind::none) return main >= 0 ? sees_everything(id) : s.is_local() ? s : blind;
    return with_ends(id, t, axis, main);
  }

  /// The volume with pieces at its ends.
  constexpr sight with_ends(int id, int t, int axis, int main) {
    const extents& e = g.shape(id);
    std::int64_t before = 0;
    for (int k = 0; k < main; ++k) before += g.shape(g.operand(id, k))[axis];
    const sight& own = of(g.operand(id, main), t);
    sight s = scattered(own, 1, before, 1, 1, e[axis]);
    std::int64_t at = 0;
    for (int k = 0; k < g.nodes[id].count; at += g.shape(g.operand(id, k))[axis], ++k) {
      const sight& piece = of(g.operand(id, k), t);
      if (k == main || !piece.is_local()) continue;
      if (piece.n >= own.n) return sees_everything(id);
      const std::int64_t last = extent_[t] - 1;
      if (k < main) {
        s.near = std::max({s.near, piece.near, std::min(last, last_seen(piece, piece.n - 1))});
        if (piece.last < piece.n) s.last = std::min(s.last, at + piece.last);
        ends[t] = ends[t] * 31 + static_cast<std::uint64_t>(last_seen(piece, piece.n - 1));
      } else {
        s.far = std::max({s.far, piece.far, last - std::max<std::int64_t>(0, first_seen(piece, 0))});
        if (piece.first > 0) s.first = std::max(s.first, at + piece.first);
        ends[t] = ends[t] * 31 + static_cast<std::uint64_t>(last - first_seen(piece, 0));
      }
    }
    return lying(s, e, axis);
  }

  /// Rows of a table (B, O, R, I) by an index (B, J): (B, O, J, I). An element sees its index; what rows there are counts as everything.
  constexpr void gather(int id) {
    varies_.data[id] = all_varying(g.shape(id));
    for (int t = 0; t < sight_axes; ++t) {
      const sight &table = of(g.operand(id, 0), t), &index = of(g.operand(id, 1), t);
      if (table.kind == sight_kind::none && index.kind == sight_kind::none) continue;
      if (table.is_blind() || index.is_blind()) {
        set(id, t, table.is_blind() ? table : index);
        continue;
      }
      const axis_place p = index.is_local() ? locate(index, g.shape(g.operand(id, 1)), tensor_axis(t)) : axis_place{};
      const bool known = table.kind == sight_kind::none && index.is_local() && p.axis == 1 && g.as<ops::gather>(id).adjoint == 0;
      set(id, t, known ? lying(index, g.shape(id), 2, p.inner) : sees_everything(id));
    }
  }

  /// Axes that lead stay; queries and keys see everything.
  constexpr void attention(int id) {
    const extents& out = g.shape(id);
    varies_.data[id] = all_varying(out);
    for (int t = 0; t < sight_axes; ++t) {
      sight s;
      int along = -1;
      for (int k = 0; k < g.nodes[id].count && !s.is_blind(); ++k) {
        const sight& own = of(g.operand(id, k), t);
        if (own.kind == sight_kind::none) continue;
        const extents& e = g.shape(g.operand(id, k));
        const axis_place p = own.is_local() ? locate(own, e, tensor_axis(t)) : axis_place{};
        if (own.is_blind())
          s = own;
        else if (!g.is<ops::attention>(id) || p.axis < 0 || e.rank != out.rank || p.axis > out.rank - 3 || e[p.axis] != out[p.axis])
          s = sees_everything(id);
        else
          s = met(s, lying(own, out, p.axis, p.inner), id), along = p.axis;
      }
      for (int k = 0; k < g.nodes[id].count && s.is_local() && strict_; ++k) {
        const int x = g.operand(id, k), axis = along - out.rank + g.shape(x).rank;
        if (of(x, t).kind == sight_kind::none && axis >= 0 && varies(x, axis)) s = is_placed(id);
      }
      if (s.kind != sight_kind::none) set(id, t, s);
    }
  }

  /// A product of matrices: axes of rows, of columns and of the batch stay; the one that is summed over sees everything, but for linear
  /// interpolation.
  constexpr void matmul(int id) {
    const auto op = g.as<ops::matmul>(id);
    const int a = g.operand(id, 0), b = g.operand(id, 1);
    const int rows = op.transpose_a != 0 ? 2 : 1, columns = op.transpose_b != 0 ? 1 : 2;
    if (varies(a, 0) || varies(b, 0)) varies_.data[id] |= 1;
    varies_.data[id] |= (varies(a, rows) << 1) | (varies(b, columns) << 2);
    for (int t = 0; t < sight_axes; ++t) {
      const sight &p = of(a, t), &q = of(b, t);
      if (p.kind == sight_kind::none && q.kind == sight_kind::none) continue;
      if (p.is_blind() || q.is_blind())
        set(id, t, p.is_blind() ? p : q);
      else if (q.kind == sight_kind::none)
        set(id, t, multiplied(id, t, a, b, rows, columns, 1));
      else if (p.kind == sight_kind::none)
        set(id, t, multiplied(id, t, b, a, columns, rows, 2));
      else
        set(id, t, both_multiplied(id, t, a, b));
    }
  }
  /// `x` sees axis t, `other` does not. x's axis `kept` becomes axis `to` of the result, the other's `others`.
  constexpr sight multiplied(int id, int t, int x, int other, int kept, int others, int to) {
    const extents &e = g.shape(x), &f = g.shape(other), &out = g.shape(id);
    const sight& s = of(x, t);
    const axis_place p = locate(s, e, tensor_axis(t));
    if (p.axis == 0 && e[0] == out[0]) return strict_ && varies(other, 0) ? is_placed(id) : lying(s, out, 0, p.inner);
    if (p.axis == kept) return lying(s, out, to, p.inner);
    if (p.axis <= 0 || !fills(s, p, e) || f[0] != 1 || others != 1) return sees_everything(id);
    const std::int64_t larger = factor_of(other, f);
    return larger > 0 ? lying(interpolated(s, larger), out, 3 - to) : sees_everything(id);
  }
  /// Volumes have the same matrix along several axes.
  constexpr std::int64_t factor_of(int matrix, const extents& shape) {
    matrix = behind_reshapes(g, matrix);
    for (const factor& known : factors_)
      if (known.matrix == matrix && known.rows == shape[1]) return known.value;
    factors_.push_back({matrix, shape[1], interpolation_factor(g, matrix, shape[1], shape[2])});
    return factors_[factors_.size - 1].value;
  }
  /// Both see axis t: in the batch, or else rows meet columns.
  constexpr sight both_multiplied(int id, int t, int a, int b) const {
    const axis_place p = locate(of(a, t), g.shape(a), tensor_axis(t)), q = locate(of(b, t), g.shape(b), tensor_axis(t));
    if (p.axis != 0 || q.axis != 0 || p.inner != q.inner || g.shape(a)[0] != g.shape(b)[0]) return sees_everything(id);
    return met(lying(of(a, t), g.shape(id), 0, p.inner), lying(of(b, t), g.shape(id), 0, q.inner), id);
  }

  constexpr void convolution(int id) {
    const auto op = g.as<ops::convolution>(id);
    const int x = g.operand(id, 0), w = g.operand(id, 1);
    const extents &e = g.shape(x), &out = g.shape(id);
    const ops::conv_geometry q = op.geometry(e, g.shape(w));
    int m = varies_.data[x] | (out[1] > 1) << 1 | (g.shape(w)[0] > 1 && q.groups > 1);
    for (int a = 0; a < 3; ++a) m |= (q.kernel[a] > 1 || e[2 + a] != out[2 + a]) << (2 + a);
    varies_.data[id] = m & all_varying(out);
    for (int t = 0; t < sight_axes; ++t) {
      const sight &s = of(x, t), &f = of(w, t);
      if (s.kind == sight_kind::none && f.kind == sight_kind::none) continue;
      if (s.is_blind() || f.is_blind() || op.face() == ops::face::weights)
        set(id, t, s.is_blind() ? s : f.is_blind() ? f : sees_everything(id));
      else if (f.kind == sight_kind::none)
        set(id, t, convolved(id, t, op, q));
      else
        set(id, t, filter_banks(id, t, q.groups));
    }
  }
  constexpr sight convolved(int id, int t, const ops::convolution& op, const ops::conv_geometry& q) const {
    const extents &e = g.shape(g.operand(id, 0)), &out = g.shape(id);
    const sight& s = of(g.operand(id, 0), t);
    const axis_place p = locate(s, e, tensor_axis(t));
    if (p.axis == 0) return lying(s, out, 0, p.inner);
    if (p.axis < 2 || !fills(s, p, e)) return sees_everything(id);
    const int a = p.axis - 2;
    return lying(op.face() == ops::face::forward ? gathered(s, q.stride[a], -q.lo[a], q.kernel[a], q.dilation[a], out[p.axis])
                                                 : scattered(s, q.stride[a], -q.lo[a], q.kernel[a], q.dilation[a], out[p.axis]),
                 out, p.axis);
  }
  /// One bank for each position (samples): the groups are samples' groups, in the channels of both operands.
  constexpr sight filter_banks(int id, int t, std::int64_t groups) const {
    const int x = g.operand(id, 0), w = g.operand(id, 1);
    const sight &s = of(x, t), &f = of(w, t);
    const extents &e = g.shape(x), &v = g.shape(w), &out = g.shape(id);
    const axis_place p = locate(f, v, 0);
    if (p.axis != 0 || f.n * p.inner != v[0] || groups % f.n != 0) return sees_everything(id);
    const sight banks = lying(f, out, 1, out[1] / f.n);
    if (s.kind == sight_kind::none) return banks;
    const axis_place c = locate(s, e, 1);
    if (s.n == 1) return met(lying(s, out, 1, out[1]), banks, id);
    if (c.axis != 1 || s.n * c.inner != e[1] || s.n != f.n) return sees_everything(id);
    return met(lying(s, out, 1, out[1] / s.n), banks, id);
  }

  constexpr void pool(int id, const ops::pool_window& w, bool maximum, bool adjoint) {
    const int x = g.operand(id, 0);
    const extents &e = g.shape(x), &out = g.shape(id);
    varies_.data[id] = varies_.data[x] | (maximum ? varies_.data[g.operand(id, 1)] : 0);
    for (int a = 0; a < 3; ++a) varies_.data[id] |= (w.kernel[a] > 1 || e[2 + a] != out[2 + a]) << (2 + a);
    varies_.data[id] &= all_varying(out);
    for (int t = 0; t < sight_axes; ++t) {
      const sight s = maximum ? met(of(x, t), of(g.operand(id, 1), t), id) : of(x, t);
      if (s.kind != sight_kind::none) set(id, t, s.is_blind() ? s : pooled(id, t, s, w, adjoint));
    }
  }
  constexpr sight pooled(int id, int t, const sight& s, const ops::pool_window& w, bool adjoint) const {
    const extents &e = g.shape(g.operand(id, 0)), &out = g.shape(id);
    const axis_place p = locate(s, e, tensor_axis(t));
    if (p.axis == 0 || p.axis == 1) return lying(s, out, p.axis, p.inner);  // planes are pooled each by itself
    if (p.axis < 0 || !fills(s, p, e) || w.adaptive != 0) return sees_everything(id);
    const int a = p.axis - 2;
    if (!adjoint) return lying(gathered(s, w.stride[a], -w.lo[a], w.kernel[a], w.dilation[a], out[p.axis]), out, p.axis);
    const bool even = w.divisor > 0 && w.lo[a] == 0 && w.hi[a] == 0;  // every window is divided by the same: upsampling
    if (!even || g.is<ops::max_pool>(id)) return sees_everything(id);
    return lying(scattered(s, w.stride[a], 0, w.kernel[a], w.dilation[a], out[p.axis]), out, p.axis);
  }
};

}  // namespace volute::graph
