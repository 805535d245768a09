// Part of a graph for inputs of other extents: what is made of them changes by the rules of the operations, and is refused where those leave
// open what the network would be.
#pragma once

#include <volute/graph/clean.hpp>
#include <volute/graph/frozen.hpp>

namespace volute::graph {

/// Copies nodes one by one. `at` holds the copies so far; inputs that are there already have the extents that are wanted.
class resized_copy {
 public:
  bool failed = false;  // then what was made is of no use

  constexpr resized_copy(contractor& copy, const view& graph, int* copies) : to_(copy), from_(graph), at_(copies) {}

  constexpr int operator()(int id) {
    bool same = true;
    for (int k = 0; k < from_.nodes[id].count; ++k) same = same && shape(id, k) == old(id, k);
    return same ? remake(to_, from_, id, at_) : failed ? 0 : resized(id);
  }

 private:
  contractor& to_;
  const view& from_;
  int* at_;

  constexpr int operand(int id, int k) const { return from_.operand(id, k); }
  constexpr const extents& old(int id, int k) const { return from_.shape(operand(id, k)); }
  constexpr const extents& shape(int id, int k) const { return to_.shape(at_[operand(id, k)]); }
  constexpr int fail() {
    failed = true;
    return 0;
  }
  /// The operand that has changed.
  constexpr int changed(int id) const {
    int k = 0;
    while (shape(id, k) == old(id, k)) ++k;
    return k;
  }

  constexpr int resized(int id) {
    const extents &x = old(id, 0), &y = shape(id, 0), &e = from_.shape(id);
    if (from_.is<ops::elementwise>(id) || from_.is<ops::concat>(id)) return together(id);
    if (from_.is<ops::transpose>(id)) return remake(to_, from_, id, at_);
    if (from_.is<ops::reduce>(id)) {
      for (int k = 0; k < x.rank; ++k)
        if (x[k] != y[k] && ops::contains(from_.as<ops::reduce>(id).axes, k)) return fail();
      return remake(to_, from_, id, at_);
    }
    if (from_.is<ops::reshape>(id)) {
      const extents r = reshaped(x, y, e);
      return failed ? 0 : to_.reshape(at_[operand(id, 0)], r);
    }
    if (from_.is<ops::broadcast>(id)) {
      extents r = e;
      for (int k = 0; k < x.rank; ++k)
        if (x[k] != y[k]) r.dim[k + e.rank - x.rank] = y[k];
      return to_.broadcast(at_[operand(id, 0)], r);
    }
    if (from_.is<ops::slice>(id)) {  // of axes that have not changed
      const auto op = from_.as<ops::slice>(id);
      extents r = e;
      for (int k = 0; k < x.rank; ++k) {
        if (x[k] == y[k]) continue;
        if (op.start[k] != 0 || op.step[k] != 1 || e[k] != x[k]) return fail();
        r.dim[k] = y[k];
      }
      return to_.slice(at_[operand(id, 0)], op, r);
    }
    if (from_.is<ops::pad>(id)) {
      const auto op = from_.as<ops::pad>(id);
      extents r = e;
      for (int k = 0; k < x.rank; ++k) r.dim[k] += (y[k] - x[k]) * (op.interior[k] + 1);
      return to_.pad(at_[operand(id, 0)], op, r);
    }
    if (from_.is<ops::convolution>(id)) return convolution(id);
    if (from_.is<ops::max_pool>(id) || from_.is<ops::avg_pool>(id)) return pool(id);
    if (from_.is<ops::matmul>(id)) {  // rows and columns; the axis that is summed over, and the batch, are as they were
      const auto op = from_.as<ops::matmul>(id);
      const int k = changed(id), rows = (k == 0 ? op.transpose_a != 0 : op.transpose_b == 0) ? 2 : 1;
      for (int i = 0; i < 3; ++i)
        if (i != rows && shape(id, k)[i] != old(id, k)[i]) return fail();
      if (!(shape(id, 1 - k) == old(id, 1 - k))) return fail();
      return remake(to_, from_, id, at_);
    }
    return fail();
  }

  /// Operands of one shape, or beside each other; those that do not vary with the inputs follow the one that does.
  constexpr int together(int id) {
    const int k = changed(id), count = from_.nodes[id].count;
    const bool beside = from_.is<ops::concat>(id);
    const int axis = beside ? static_cast<int>(from_.as<ops::concat>(id).axis) : -1;
    if (beside && shape(id, k)[axis] != old(id, k)[axis]) return fail();
    buffer<int> args;
    extents all = shape(id, k);
    std::int64_t length = 0;
    for (int i = 0; i < count; ++i) {
      extents wanted = shape(id, k);
      if (beside) wanted.dim[axis] = old(id, i)[axis];
      args.push_back(shape(id, i) == wanted ? at_[operand(id, i)] : fitted(operand(id, i), wanted));
      if (failed) return 0;
      if (beside) length += wanted[axis];
    }
    if (!beside) return to_.map(from_.as<ops::elementwise>(id).f(), args[0], count > 1 ? args[1] : -1, count > 2 ? args[2] : -1);
    all.dim[axis] = length;
    return to_.make(from_.as<ops::concat>(id), all, args.data, count);
  }
  /// A value that is the same everywhere along the axes that have changed.
  constexpr int fitted(int id, const extents& wanted) {
    if (from_.is<ops::fill>(id)) return to_.fill(from_.as<ops::fill>(id).value, wanted);
    if (from_.is<ops::broadcast>(id) && shape(id, 0) == old(id, 0)) {
      const extents& x = shape(id, 0);
      for (int k = 0; k < x.rank; ++k)
        if (x[k] != 1 && x[k] != wanted[k + wanted.rank - x.rank]) return fail();
      return to_.broadcast(at_[operand(id, 0)], wanted);
    }
    if (!from_.is<ops::elementwise>(id)) return fail();
    int args[3]{-1, -1, -1};
    for (int k = 0; k < from_.nodes[id].count; ++k) args[k] = fitted(operand(id, k), wanted);
    return failed ? 0 : to_.map(from_.as<ops::elementwise>(id).f(), args[0], args[1], args[2]);
  }

  /// Axes of x and e that hold the same elements, as few as possible at a time: those are taken over as they are, or one for several.
  constexpr extents reshaped(const extents& x, const extents& y, const extents& e) {
    extents r = e;
    for (int i = 0, k = 0; i < x.rank || k < e.rank;) {
      const int first = i, begin = k;
      std::int64_t had = 1, has = 1, now = 1;  // of x, of e, of y
      if (i < x.rank) had = x[i], now = y[i], ++i;
      if (k < e.rank) has = e[k], ++k;
      while (had != has) {
        if (had < has && i < x.rank)
          had *= x[i], now *= y[i], ++i;
        else if (k < e.rank)
          has *= e[k], ++k;
        else
          return fail(), r;
      }
      if (now == had) continue;
      if (i - first == k - begin) {
        for (int j = 0; j < i - first; ++j)
          if (x[first + j] != e[begin + j]) return fail(), r;
        for (int j = 0; j < i - first; ++j) r.dim[begin + j] = y[first + j];
      } else if (k - begin == 1) {
        r.dim[begin] = now;
      } else {
        return fail(), r;
      }
    }
    return r;
  }

  constexpr int convolution(int id) {
    auto op = from_.as<ops::convolution>(id);
    const extents &x = old(id, 0), &y = shape(id, 0);
    if (op.face() == ops::face::weights || !(shape(id, 1) == old(id, 1)) || x[0] != y[0] || x[1] != y[1]) return fail();
    for (int a = 0; a < 3; ++a) {
      const std::int64_t more = y[2 + a] - x[2 + a];
      if (op.face() == ops::face::forward && more % op.stride[a] != 0) return fail();
      op.extent[a] += op.face() == ops::face::forward ? more / op.stride[a] : more * op.stride[a];
    }
    return to_.convolution(op, at_[operand(id, 0)], at_[operand(id, 1)]);
  }

  constexpr int pool(int id) {
    const extents &x = old(id, 0), &y = shape(id, 0);
    extents r = from_.shape(id);
    if (x[0] != y[0] || x[1] != y[1]) return fail();
    const auto lengthen = [&](const ops::pool_window& w, bool spreads) {
      for (int a = 0; a < 3; ++a) {
        const std::int64_t more = y[2 + a] - x[2 + a];
        if (w.adaptive != 0 || (!spreads && more % w.stride[a] != 0)) return false;
        r.dim[2 + a] += spreads ? more * w.stride[a] : more / w.stride[a];
      }
      return true;
    };
    if (from_.is<ops::max_pool>(id)) {
      const auto op = from_.as<ops::max_pool>(id);
      if (op.scatters != 0 || operand(id, 0) != operand(id, 1) || !lengthen(op.window, false)) return fail();
      return to_.max_pool(op, at_[operand(id, 0)], at_[operand(id, 1)], r);
    }
    const auto op = from_.as<ops::avg_pool>(id);
    if (!lengthen(op.window, op.adjoint != 0)) return fail();
    return to_.avg_pool(op, at_[operand(id, 0)], r);
  }
};

}  // namespace volute::graph
