// Depth-parallel graphs: a network written for a whole volume becomes the program of one slab of it, where the slabs of a volume are the
// runs of a step. Convolutions get planes of the neighbours (halos), sums and means over the depth become those of all slabs, what works on
// every voxel, or on windows of one slab, stays. The walk is made before differentiation, so a derivative has the adjoints of all that.
#pragma once

#include <volute/graph/clean.hpp>

namespace volute::graph {

/// Copies a graph, from operands to results. Inputs of rank 4 or more are cut along the third axis from the end.
class depth_cut {
 public:
  buffer<int> at;     // of each node: its copy
  buffer<int> begin;  // and how many there were before it; one more at the end
  buffer<int> halos;  // nodes of the copy
  int refused = -1;   // the first node that cannot be cut, or -1
  line got;           // what it does

  constexpr depth_cut(contractor& copy, const contractor& graph)
      : at(graph.nodes.size, -1),
        begin(graph.nodes.size + 1, 0),
        to_(copy),
        from_(graph),
        period_(graph.nodes.size, 0),
        varies_(graph.nodes.size, 0),
        own_(graph.nodes.size, -1) {
    for (int i = 0; i < from_.nodes.size; ++i) {
      begin[i] = to_.nodes.size;
      at[i] = made(i);
    }
    begin[from_.nodes.size] = to_.nodes.size;
  }

 private:
  contractor& to_;
  const contractor& from_;
  // Of a value that is cut: in row-major order the volume has, for every so many elements of the slab, those of all slabs. 0: it is the
  // same in all slabs; then `varies` are the axes along which it may vary.
  buffer<std::int64_t> period_;
  buffer<int> varies_;
  buffer<int> own_;  // of a sum over all slabs: this slab's part

  constexpr bool cut(int i) const { return period_[i] > 0; }
  constexpr int operand(int i, int k) const { return from_.operand(i, k); }
  constexpr const extents& shape(int i) const { return from_.shape(i); }
  constexpr int refuse(int i, const line& what) {
    if (refused < 0) refused = i, got = what;
    return to_.fill(0, shape(i));
  }
  /// The axis along which a value is cut; -1: it lies within one.
  constexpr int axis_of(int i) const {
    const extents& e = shape(i);
    for (int k = e.rank - 1; k >= 0; --k)
      if (e.stride(k) * e[k] == period_[i]) return k;
    return -1;
  }
  constexpr void cut_along(int i, int axis) { period_[i] = shape(i).stride(axis) * shape(i)[axis]; }
  constexpr int copied(int i) { return remake(to_, from_, i, at.data); }

  constexpr int made(int i) {
    const node& n = from_.nodes[i];
    if (from_.is<ops::barrier>(i)) {
      period_[i] = period_[operand(i, 0)], varies_[i] = varies_[operand(i, 0)];
      return to_.barrier(at[operand(i, 0)], from_.as<ops::barrier>(i).stops_gradient != 0);
    }
    if (from_.is<ops::input>(i) && shape(i).rank >= 4) {
      const int axis = shape(i).rank - 3;
      if (shape(i)[axis] < 2) return refuse(i, line("a slab of ") << shape(i));
      cut_along(i, axis);
      return copied(i);
    }
    int first = -1;
    for (int k = 0; k < n.count && first < 0; ++k)
      if (cut(operand(i, k))) first = operand(i, k);
    return first < 0 ? same(i) : divided(i, first);
  }

  /// A value that is the same in all slabs.
  constexpr int same(int i) {
    const node& n = from_.nodes[i];
    const extents& e = shape(i);
    const int x = n.count > 0 ? operand(i, 0) : -1;
    int all = 0;
    for (int k = 0; k < e.rank; ++k) all |= (e[k] > 1) << k;
    if (from_.is<ops::fill>(i) || from_.is<ops::random>(i))
      all = 0;
    else if (from_.is<ops::elementwise>(i)) {
      int joint = 0;
      for (int k = 0; k < n.count; ++k) joint |= varies_[operand(i, k)];
      all = joint;
    } else if (from_.is<ops::broadcast>(i))
      all = varies_[x] << (e.rank - shape(x).rank);
    else if (from_.is<ops::reshape>(i) && varies_[x] == 0)
      all = 0;
    varies_[i] = all;
    if (x >= 0 && own_[x] >= 0) {  // of what becomes a sum over all slabs: the slab's part goes along
      if (from_.is<ops::all_reduce>(i)) return to_.all_reduce(own_[x]);
      if (from_.is<ops::reshape>(i)) own_[i] = to_.reshape(own_[x], e);
      if (from_.is<ops::reduce>(i) && from_.as<ops::reduce>(i).how() != ops::reduction::maximum)
        own_[i] = to_.reduce(from_.as<ops::reduce>(i).how(), own_[x], from_.as<ops::reduce>(i).axes);
    }
    return copied(i);
  }

  /// A value made of `x`, which is cut, and perhaps of others.
  constexpr int divided(int i, int x) {
    if (from_.is<ops::elementwise>(i)) return elementwise(i, x);
    if (from_.is<ops::reshape>(i)) {
      period_[i] = period_[x];
      return copied(i);
    }
    const int axis = axis_of(x);
    if (axis < 0) return refuse(i, line("voxels of several places together"));
    if (from_.is<ops::reduce>(i)) return reduce(i, x, axis);
    if (from_.is<ops::convolution>(i)) return convolution(i, x, axis);
    const int to = moved(i, x, axis);
    if (to < 0) return refuse(i, line(ops::primitive_name[from_.nodes[i].op]) << " along depth");
    cut_along(i, to);
    return copied(i);
  }

  constexpr int elementwise(int i, int x) {
    period_[i] = period_[x];
    const int axis = axis_of(x);
    for (int k = 0; k < from_.nodes[i].count; ++k) {
      const int a = operand(i, k);
      if (cut(a) ? period_[a] != period_[x] : varies_[a] != 0 && (axis < 0 || (varies_[a] >> axis & 1) != 0))
        return refuse(i, line("another value at each place"));
    }
    return copied(i);
  }

  /// Where the axis of x along which it is cut lies in a value that is made slab by slab; -1: it is not.
  constexpr int moved(int i, int x, int axis) const {
    const extents &e = shape(i), &s = shape(x);
    if (from_.is<ops::broadcast>(i)) return axis + e.rank - s.rank;
    if (from_.is<ops::transpose>(i)) {
      int k = 0;
      while (from_.as<ops::transpose>(i).axis[k] != axis) ++k;
      return k;
    }
    if (from_.is<ops::slice>(i)) {  // all planes, or one of so many, the same in each slab
      const auto op = from_.as<ops::slice>(i);
      const std::int64_t start = op.start[axis], step = op.step[axis];
      return start >= 0 && start < step && e[axis] > 1 && e[axis] * step == s[axis] ? axis : -1;
    }
    if (from_.is<ops::pad>(i)) return from_.as<ops::pad>(i).lo[axis] == 0 && e[axis] == s[axis] ? axis : -1;
    if (from_.is<ops::concat>(i)) {
      bool all = from_.as<ops::concat>(i).axis != axis;
      for (int k = 0; k < from_.nodes[i].count; ++k) {
        const int a = operand(i, k);
        all = all && (cut(a) ? axis_of(a) == axis : (varies_[a] >> axis & 1) == 0);
      }
      return all ? axis : -1;
    }
    if (from_.is<ops::max_pool>(i) && from_.as<ops::max_pool>(i).scatters == 0 && operand(i, 0) == operand(i, 1))
      return axis == 2 && apart(from_.as<ops::max_pool>(i).window, s[2], e[2]) ? 2 : -1;
    if (from_.is<ops::avg_pool>(i)) {
      const auto op = from_.as<ops::avg_pool>(i);
      return axis == 2 && (op.adjoint != 0 ? apart(op.window, e[2], s[2]) : apart(op.window, s[2], e[2])) ? 2 : -1;
    }
    return -1;
  }
  /// Whether the windows of a slab lie in it, and are all that the volume has there.
  static constexpr bool apart(const ops::pool_window& w, std::int64_t in, std::int64_t out) {
    return w.adaptive == 0 && w.lo[0] == 0 && w.hi[0] == 0 && (w.kernel[0] - 1) * w.dilation[0] < w.stride[0] && out * w.stride[0] == in &&
           out > 1;
  }

  /// Over the depth: all slabs have as many voxels, so the mean of their means is the mean.
  constexpr int reduce(int i, int x, int axis) {
    const auto op = from_.as<ops::reduce>(i);
    if (!ops::contains(op.axes, axis)) {
      int to = 0;
      for (int k = 0; k < axis; ++k) to += !ops::contains(op.axes, k);
      cut_along(i, to);
      return copied(i);
    }
    if (op.how() == ops::reduction::maximum) return refuse(i, line("a maximum over the depth"));
    for (int k = 0; k < shape(i).rank; ++k) varies_[i] |= (shape(i)[k] > 1) << k;
    own_[i] = to_.reduce(op.how(), at[x], op.axes);
    const int all = to_.all_reduce(own_[i]);
    return op.how() == ops::reduction::sum ? all : to_.map(ops::fn::divide, all, to_.all_reduce(to_.fill(1, extents{})));
  }

  constexpr int convolution(int i, int x, int axis) {
    auto op = from_.as<ops::convolution>(i);
    const extents &s = shape(x), &e = shape(i), &w = shape(operand(i, 1));
    if (axis != 2 || x != operand(i, 0) || cut(operand(i, 1)) || op.face() == ops::face::weights)
      return refuse(i, line("a convolution by voxels"));
    const std::int64_t reach = (w[2] - 1) * op.dilation[0], stride = op.stride[0];
    cut_along(i, 2);
    if (op.face() == ops::face::data) {
      if (op.lo[0] != 0 || reach >= stride || e[2] != s[2] * stride) return refuse(i, line("conv_transpose3d whose windows overlap"));
      return copied(i);
    }
    if (e[2] * stride != s[2] || e[2] < 2) return refuse(i, line("conv3d from depth ") << s[2] << " to " << e[2]);
    const std::int64_t lo = op.lo[0], high = (e[2] - 1) * stride + reach - lo - (s[2] - 1), hi = high > 0 ? high : 0;
    if (lo > s[2] || hi > s[2]) return refuse(i, line("conv3d that sees ") << (lo > hi ? lo : hi) << " of " << s[2] << " planes");
    if (lo == 0 && hi == 0) return copied(i);
    op.lo[0] = 0;
    const int wide = to_.halo({lo, hi, 0, at[x] + 1}, at[x], make_extents(s[0], s[1], s[2] + lo + hi, s[3], s[4]));
    halos.push_back(wide);
    return to_.convolution(op, wide, at[operand(i, 1)]);
  }
};

}  // namespace volute::graph
