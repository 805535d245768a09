// What the language says: each function with its attributes, its shape rule and the primitives that it stands for. A function is a
// structural value and so the template argument of an expression; `emit` is written against any builder of primitives (the graph's is one).
//   infer(x, n)          shapes of the n operands -> the result's shape, or a refusal (wanted, got)
//   emit(g, id, n, out)  makes the primitives, returns the node
#pragma once

#include <volute/ops/list.hpp>

namespace volute::ops {

/// One scalar function over operands that broadcast.
struct map {
  fn f{};
  constexpr inferred infer(const extents* x, int n) const {
    inferred r{x[0], {}, {}};
    for (int i = 1; i < n && r.ok(); ++i) r = broadcast_shape(r.shape, x[i]);
    return r;
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int n, const extents&) const {
    return n == 1 ? g.map(f, id[0]) : n == 2 ? g.map(f, id[0], id[1]) : g.map(f, id[0], id[1], id[2]);
  }
};

/// Sum, maximum or mean over axes; no axes means all. `keep` leaves them with extent 1.
struct reduction_over {
  reduction how{};
  axis_set axes = 0;
  bool keep = false;
  constexpr inferred infer(const extents* x, int) const {
    const line who(how == reduction::sum ? "sum" : how == reduction::mean ? "mean" : "maximum");
    if (contains(axes, axis_twice)) return refuse(line(who) << " wants each axis once", line("got one twice"));
    if ((axes & ~all_axes(x[0].rank)) != 0)
      return refuse(line(who) << " wants axes of rank " << x[0].rank, line("got one outside ") << x[0]);
    const axis_set s = axes == 0 ? all_axes(x[0].rank) : axes;
    extents r;
    for (int i = 0; i < x[0].rank; ++i) {
      if (how == reduction::maximum && contains(s, i) && x[0][i] == 0)
        return refuse(line(who) << " wants an element", line("got axis ") << i << " of " << x[0]);
      if (!contains(s, i))
        r.push_back(x[0][i]);
      else if (keep)
        r.push_back(1);
    }
    return {r, {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    const int rank = g.shape(id[0]).rank;
    return g.reshape(g.reduce(how, id[0], axes == 0 ? all_axes(rank) : axes), out);
  }
};

/// A mean over the elements of a run where it is to be one over all runs of a step: each run has as many (see convert_sync_batchnorm). The
/// operand itself where statistics are not synchronised.
struct mean_over_runs {
  constexpr inferred infer(const extents* x, int) const { return {x[0], {}, {}}; }
  template <class G>
  static constexpr int runs(G& g) {
    return g.all_reduce(g.fill(1, extents{}));
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents&) const {
    return g.synchronizes ? g.map(fn::divide, g.all_reduce(id[0]), runs(g)) : id[0];
  }
};

/// The variance of a sample, n / (n - 1) times that of the population, from `count` elements; of each run where it is synchronised.
struct unbiased {
  double count = 2;
  constexpr inferred infer(const extents* x, int) const { return {x[0], {}, {}}; }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents&) const {
    if (!g.synchronizes) return g.map(fn::multiply, id[0], g.fill(count / (count - 1), extents{}));
    const int all = g.map(fn::multiply, mean_over_runs::runs(g), g.fill(count, extents{}));
    return g.map(fn::multiply, id[0], g.map(fn::divide, all, g.map(fn::subtract, all, g.fill(1, extents{}))));
  }
};

/// A sum over all elements becomes their mean: times `share`, one of so many elements. Where it is a sum over slabs of volumes (see
/// depth_parallel), these are the elements of a slab.
struct mean_from_sum {
  double share = 1;
  bool volumes = false;
  constexpr inferred infer(const extents* x, int) const { return {x[0], {}, {}}; }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents&) const {
    const int mean = g.map(fn::multiply, id[0], g.fill(share, extents{}));
    return g.cuts_depth && volumes ? g.map(fn::divide, mean, mean_over_runs::runs(g)) : mean;
  }
};

/// The same elements under another shape; one extent may be -1 and is worked out.
struct reshape_to {
  extents to{};
  constexpr inferred infer(const extents* x, int) const {
    extents r = to;
    std::int64_t known = 1;
    int open = -1;
    for (int i = 0; i < r.rank; ++i) {
      if (r[i] == -1)
        open = i;
      else
        known = bounded_product(known, r[i]);
    }
    if (open >= 0 && known > 0) r[open] = x[0].size() / known;
    if (r.size() != x[0].size() || (open >= 0 && known == 0))
      return refuse(line("reshape wants ") << x[0].size() << " elements", line("got ") << to << " from " << x[0]);
    return {r, {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    return g.reshape(id[0], out);
  }
};

/// (a0, a1, ..., ak, ...) -> (a0, ..., product from axis `from` on).
struct flatten_from {
  int from = 1;
  constexpr inferred infer(const extents* x, int) const {
    if (x[0].rank < from) return refuse(line("flatten wants rank ") << from << " at least", line("got ") << x[0]);
    extents r;
    for (int i = 0; i < from; ++i) r.push_back(x[0][i]);
    r.push_back(from == 0 ? x[0].size() : x[0].rank > from ? x[0].stride(from - 1) : 1);
    return {r, {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    return g.reshape(id[0], out);
  }
};

/// Repeats to a larger shape.
struct broadcast_to {
  extents to{};
  constexpr inferred infer(const extents* x, int) const {
    if (!broadcasts_to(x[0], to)) return refuse(line("broadcast to ") << to, line("got ") << x[0]);
    return {to, {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    return g.broadcast(id[0], out);
  }
};

/// Axis i of the result is axis `axis[i]` of the operand.
struct permute {
  extents axis{};
  constexpr inferred infer(const extents* x, int) const {
    axis_set seen = 0;
    extents r;
    for (int i = 0; i < axis.rank; ++i)
      if (axis[i] >= 0 && axis[i] < x[0].rank) {
        seen |= axis_bit(static_cast<int>(axis[i]));
        r.push_back(x[0][static_cast<int>(axis[i])]);
      }
    if (axis.rank != x[0].rank || seen != all_axes(x[0].rank))
      return refuse(line("transpose wants ") << x[0].rank << " axes", line("got ") << axis << " for " << x[0]);
    return {r, {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents&) const {
    transpose t;
    for (int i = 0; i < axis.rank; ++i) t.axis[i] = axis[i];
    return g.transpose(id[0], t);
  }
};

/// Elements start, start + step, ... before stop of one axis. Negative start and stop count from the end.
struct slice_axis {
  int axis = 0;
  std::int64_t start = 0, stop = 0, step = 1;
  constexpr inferred infer(const extents* x, int) const {
    if (axis < 0 || axis >= x[0].rank) return refuse(line("slice wants an axis of rank ") << x[0].rank, line("got axis ") << axis);
    const std::int64_t n = x[0][axis], a = start < 0 ? start + n : start, b = stop < 0 ? stop + n : stop;
    if (a < 0 || b > n || a >= b || step < 1)
      return refuse(line("slice wants a range in 0..") << n, line("got ") << start << ".." << stop << " step " << step);
    extents r = x[0];
    r[axis] = (b - a + step - 1) / step;
    return {r, {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    slice s;
    const extents e = g.shape(id[0]);
    for (int i = 0; i < e.rank; ++i) s.step[i] = 1;
    s.start[axis] = start < 0 ? start + e[axis] : start;
    s.step[axis] = step;
    return g.slice(id[0], s, out);
  }
};

/// `value` around the operand, lo before and hi behind each axis.
struct pad_axes {
  extents lo{}, hi{};
  double value = 0;
  constexpr inferred infer(const extents* x, int) const {
    extents r = x[0];
    bool legal = lo.rank == r.rank && hi.rank == r.rank;
    for (int i = 0; legal && i < r.rank; ++i) {
      legal = lo[i] >= 0 && hi[i] >= 0;
      r[i] = bounded_sum(r[i], bounded_sum(lo[i], hi[i]));
    }
    if (!legal) return refuse(line("pad wants ") << x[0].rank << " amounts >= 0", line("got ") << lo << " and " << hi);
    return {r, {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    pad p;
    for (int i = 0; i < lo.rank; ++i) p.lo[i] = lo[i];
    p.value = value;
    return g.pad(id[0], p, out);
  }
};

/// The operands one after another along an axis.
struct concat_along {
  int axis = 0;
  constexpr inferred infer(const extents* x, int n) const {
    extents r = x[0];
    if (axis < 0 || axis >= r.rank) return refuse(line("concat wants an axis of rank ") << r.rank, line("got axis ") << axis);
    for (int k = 1; k < n; ++k) {
      bool fits = x[k].rank == r.rank;
      for (int i = 0; fits && i < r.rank; ++i) fits = i == axis || x[k][i] == r[i];
      if (!fits) return refuse(line("concat wants ") << x[0], line("got ") << x[k] << " along axis " << axis);
      r[axis] = bounded_sum(r[axis], x[k][axis]);
    }
    return {r, {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int n, const extents&) const {
    return g.concat(id, n, axis);
  }
};

/// (..., m, k) x (..., k, n) as torch.matmul: leading axes broadcast, and a vector is a row on the left, a column on the right, whose axis
/// the result lacks. `transpose_b`: the second operand is (..., n, k), or (k).
struct matrix_product {
  bool transpose_b = false;

  /// An operand of rank 2 at least, and the common leading axes.
  static constexpr extents as_matrix(const extents& e, bool row) {
    return e.rank > 1 ? e : row ? make_extents(1, e[0]) : make_extents(e[0], 1);
  }
  static constexpr extents leading(const extents& e) {
    extents r = e;
    r.rank -= 2;
    for (int i = r.rank; i < e.rank; ++i) r[i] = 0;
    return r;
  }
  static constexpr extents with(extents lead, std::int64_t rows, std::int64_t columns) {
    lead.push_back(rows);
    lead.push_back(columns);
    return lead;
  }

  constexpr inferred infer(const extents* x, int) const {
    if (x[0].rank < 1 || x[1].rank < 1)
      return refuse(line(transpose_b ? "linear" : "matmul") << " wants rank 1 at least", line("got ") << x[0] << " and " << x[1]);
    const extents a = as_matrix(x[0], true), b = as_matrix(x[1], transpose_b);
    const std::int64_t k = a[a.rank - 1], kb = b[b.rank - (transpose_b ? 1 : 2)], n = b[b.rank - (transpose_b ? 2 : 1)];
    if (k != kb && transpose_b) return refuse(line("linear wants ") << kb << " features", line("got ") << k << " in " << x[0]);
    if (k != kb) return refuse(line("matmul wants ") << k << " rows", line("got ") << kb << " in " << x[1]);
    inferred r = broadcast_shape(leading(a), leading(b));
    if (!r.ok()) return refuse(line("matmul wants batch ") << leading(a), line("got ") << leading(b) << " in " << x[1]);
    if (x[0].rank > 1) r.shape.push_back(a[a.rank - 2]);
    if (x[1].rank > 1) r.shape.push_back(n);
    return r;
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    const extents a = as_matrix(g.shape(id[0]), true), b = as_matrix(g.shape(id[1]), transpose_b);
    const extents lead = broadcast_shape(leading(a), leading(b)).shape;
    const std::int64_t batch = lead.size(), m = a[a.rank - 2], k = a[a.rank - 1];
    if (leading(b).size() == 1)  // one matrix for all: a taller matrix
      return g.reshape(g.matmul(g.reshape(id[0], make_extents(1, leading(a).size() * m, k)),
                                g.reshape(id[1], make_extents(1, b[b.rank - 2], b[b.rank - 1])), false, transpose_b),
                       out);
    const auto batched = [&](int operand, const extents& e) {
      const std::int64_t rows = e[e.rank - 2], columns = e[e.rank - 1];
      if (leading(e).size() == 1) return g.reshape(operand, make_extents(1, rows, columns));
      return g.reshape(g.broadcast(g.reshape(operand, e), with(lead, rows, columns)), make_extents(batch, rows, columns));
    };
    return g.reshape(g.matmul(batched(id[0], a), batched(id[1], b), false, transpose_b), out);
  }
};

/// The operand, without a derivative.
struct stopped {
  constexpr inferred infer(const extents* x, int) const { return {x[0], {}, {}}; }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents&) const {
    return g.barrier(id[0], true);
  }
};

}  // namespace volute::ops
