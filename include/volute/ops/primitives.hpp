// The primitives that have no numbers of their own kernel geometry: leaves, elementwise functions, and movement of data. Each is its
// attributes (64-bit fields only, see rule.hpp) and its derivative rule, written against a context `r` (graph/differentiate.hpp:
// derivative_context):
//   r.x(i), r.y, r.g   operand i, the result, and the gradient that arrives, as values with operators
//   r.needs(i)         whether anything asks for the gradient of operand i
//   r.give(i, v)       adds v to it
//   r.give(i, v, r.chosen(c, strict))   the same of a v that is 0 where c is, because operand i is not chosen there: it stays 0 whatever
//                                       it is multiplied by later (strict), or by what may be infinite for finite operands
// The shapes of results are settled by whoever builds a node (the language checks, the graph's builder computes).
#pragma once

#include <volute/ops/elementwise.hpp>
#include <volute/ops/loop_nest.hpp>
#include <volute/ops/rule.hpp>

namespace volute::ops {

/// A tensor that the user binds. `slot` numbers the program's inputs.
struct input {
  std::int64_t slot = 0;
  template <class R>
  static constexpr void derivative(const input&, R&) {}
};

/// A tensor that the model owns. `slot` numbers the program's parameters.
struct parameter {
  std::int64_t slot = 0;
  template <class R>
  static constexpr void derivative(const parameter&, R&) {}
};

/// Every element is `value`; occupies no memory.
struct fill {
  double value = 0;
  template <class R>
  static constexpr void derivative(const fill&, R&) {}
};

/// Fresh numbers U[0, 1) in every run. `stream` tells the places of a program apart; `copy` only sets the same numbers, made once more,
/// apart from the first ones.
struct random {
  std::int64_t stream = 0;
  std::int64_t copy = 0;
  template <class R>
  static constexpr void derivative(const random&, R&) {}
};

/// 0, 1, 2, ... along the only axis.
struct arange {
  template <class R>
  static constexpr void derivative(const arange&, R&) {}
};

/// The operand itself. Stops a gradient, or keeps the simplifier from looking through a value that a gradient is taken by.
struct barrier {
  std::int64_t stops_gradient = 0;
  template <class R>
  static constexpr void derivative(const barrier& op, R& r) {
    if (op.stops_gradient == 0) r.give(0, r.g);
  }
};

/// The sum of the operand over the runs of a step, each of which computes its gradients by the sum of all runs' losses (see
/// distributed/data_parallel.hpp). A run by itself is the only one: then it is the operand.
struct all_reduce {
  template <class R>
  static constexpr void derivative(const all_reduce&, R& r) {
    r.give(0, r.all_reduce(r.g));
  }
};

/// A slab of (N, C, D, H, W) with `lo` planes of its lower neighbour before it and `hi` of its upper one behind it, zeros at the ends of
/// the volume; or the adjoint of that, which adds such planes to the neighbours that they are of. A slab by itself is the volume. (See
/// graph/depth.hpp.) `slab` tells the slabs of a program apart: what is made once more for a derivative gets no other planes than at first.
struct halo {
  std::int64_t lo = 0, hi = 0, adjoint = 0;
  std::int64_t slab = 0;

  template <class R>
  static constexpr void derivative(const halo& op, R& r) {
    r.give(0, r.halo({op.lo, op.hi, 1 - op.adjoint, 0}, r.g, r.shape(0)));
  }
};

/// What the launch of a halo says in its nest: channels (of all samples), planes of the slab, elements of a plane, and planes of the halo.
struct halo_sizes {
  std::int64_t channels, planes, plane, lo, hi;
  constexpr explicit halo_sizes(const loop_nest& n)
      : channels(n.extent[0]), planes(n.extent[1]), plane(n.extent[2]), lo(n.extent[3]), hi(n.extent[4]) {}
  /// Elements of a channel without its halo, and with it.
  constexpr std::int64_t inner() const { return planes * plane; }
  constexpr std::int64_t outer() const { return (lo + planes + hi) * plane; }
};

VOLUTE_EXHAUSTIVE_BEGIN
/// One scalar function over operands of equal shape (broadcasting is a primitive of its own).
struct elementwise {
  std::int64_t function = 0;
  constexpr fn f() const { return static_cast<fn>(function); }

  template <class R>
  static constexpr void derivative(const elementwise& op, R& r) {
    const auto g = r.g, y = r.y, a = r.x(0);
    const auto b = r.arity() > 1 ? r.x(1) : a;
    const auto half = 0.5;
    // clang-format off
    switch (op.f()) {
      case fn::identity: return r.give(0, g);
      case fn::negate: return r.give(0, -g);
      case fn::abs: return r.give(0, g * sign(a));
      case fn::reciprocal: return r.give(0, -(g * y * y));
      case fn::square: return r.give(0, g * a * 2.0);
      case fn::sqrt: return r.give(0, g / y * half);
      case fn::rsqrt: return r.give(0, g * y * y * y * -half);
      case fn::exp: return r.give(0, g * y);
      case fn::expm1: return r.give(0, g * (y + 1.0));
      case fn::log: return r.give(0, g / a);
      case fn::log1p: return r.give(0, g / (a + 1.0));
      case fn::sin: return r.give(0, g * cos(a));
      case fn::cos: return r.give(0, -(g * sin(a)));
      case fn::tanh: return r.give(0, g * (1.0 - y * y));
      case fn::sigmoid: return r.give(0, g * (y * (1.0 - y)));
      case fn::softplus: return r.give(0, g * sigmoid(a));
      case fn::erf: return r.give(0, g * exp(-square(a)) * 1.1283791670955126);  // 2 / sqrt(pi)
      case fn::relu: return r.give(0, select(y, g, r.zero()), r.chosen(y, false));  // y != 0 exactly where a > 0: the operand need not be kept
      case fn::add: return r.give(0, g), r.give(1, g);
      case fn::subtract:
        r.give(0, g);
        if (r.needs(1)) r.give(1, -g);
        return;
      case fn::multiply:
        if (r.needs(0)) r.give(0, g * b);
        if (r.needs(1)) r.give(1, g * a);
        return;
      case fn::divide:
        if (r.needs(0)) r.give(0, g / b);
        if (r.needs(1)) r.give(1, -(g * y / b));
        return;
      case fn::minimum:  // a tie shares, as torch.minimum
        if (r.needs(0)) not_beyond(r, 0, less(b, a));
        if (r.needs(1)) not_beyond(r, 1, less(a, b));
        return;
      case fn::maximum:
        if (r.needs(0)) not_beyond(r, 0, less(a, b));
        if (r.needs(1)) not_beyond(r, 1, less(b, a));
        return;
      case fn::power:
        if (r.needs(0)) r.give(0, select(b, g * b * power(a, b - 1.0), r.zero()), r.chosen(b, true));  // a^0 is 1 at 0 as well
        if (r.needs(1)) {
          const auto flat = equal(a, r.zero()) * less_equal(r.zero(), b), slopes = equal(flat, r.zero());
          r.give(1, select(slopes, g * y * log(a), r.zero()), r.chosen(slopes, true));
        }
        return;
      case fn::leaky:  // b >= 0: y > 0 exactly where a > 0, and a need not be kept
        if (r.needs(0)) r.give(0, select(less(r.zero(), y), g, g * b));
        if (r.needs(1)) r.give(1, select(less(r.zero(), y), r.zero(), g * a));
        return;
      case fn::select:
        if (r.needs(1)) r.give(1, select(a, g, r.zero()), r.chosen(a, true));
        if (r.needs(2)) r.give(2, select(a, r.zero(), g), r.chosen(equal(a, r.zero()), true));
        return;
      case fn::sign: case fn::floor: case fn::step: case fn::less: case fn::less_equal: case fn::equal: return;  // constant almost everywhere
    }
    // clang-format on
  }

 private:
  /// The gradient of an operand of minimum or maximum that loses where `loses` is 1; NaN loses nowhere.
  template <class R, class V>
  static constexpr void not_beyond(R& r, int i, V loses) {
    r.give(i, select(loses, r.zero(), select(equal(r.x(0), r.x(1)), r.g * 0.5, r.g)), r.chosen(equal(loses, r.zero()), false));
  }
};

VOLUTE_EXHAUSTIVE_END

/// Repeats the operand along axes of extent 1, or new leading axes, to the node's shape.
struct broadcast {
  template <class R>
  static constexpr void derivative(const broadcast&, R& r) {
    r.give(0, r.sum_to(r.g, r.shape(0)));
  }
};

/// Sum, maximum or mean over a set of axes, which disappear. A mean is a kind of its own and not a sum times 1/n: the kernel divides
/// before it rounds, so that the mean of a constant is that constant.
struct reduce {
  std::int64_t kind = 0;
  axis_set axes = 0;
  constexpr reduction how() const { return static_cast<reduction>(kind); }

  template <class R>
  static constexpr void derivative(const reduce& op, R& r) {
    const auto g = r.restore(r.g, op.axes, r.shape(0));
    double terms = 1;
    for (int i = 0; i < r.shape(0).rank; ++i)
      if (contains(op.axes, i)) terms *= static_cast<double>(r.shape(0)[i]);
    if (op.how() == reduction::mean) return r.give(0, g * (1 / terms));
    if (op.how() == reduction::sum) return r.give(0, g);
    const auto mask = equal(r.x(0), r.restore(r.y, op.axes, r.shape(0)));  // equal maxima share, as torch.amax
    r.give(0, r.where_taken(g * mask / r.restore(r.sum(mask, op.axes), op.axes, r.shape(0)), op.axes), r.winners(0, mask));
  }
};

/// The same elements in the same order under another shape; costs nothing.
struct reshape {
  template <class R>
  static constexpr void derivative(const reshape&, R& r) {
    r.give(0, r.reshape(r.g, r.shape(0)));
  }
};

/// Axis i of the result is axis `axis[i]` of the operand.
struct transpose {
  std::int64_t axis[max_rank]{};
  template <class R>
  static constexpr void derivative(const transpose& op, R& r) {
    transpose inverse;
    for (int i = 0; i < r.shape(0).rank; ++i) inverse.axis[op.axis[i]] = i;
    r.give(0, r.transpose(r.g, inverse));
  }
};

/// Elements start, start + step, ... of each axis, as many as the node's shape says.
struct slice {
  std::int64_t start[max_rank]{};
  std::int64_t step[max_rank]{};
  template <class R>
  static constexpr void derivative(const slice& op, R& r);
};

/// Places the operand into a tensor of `value`: `lo` before, `interior` between neighbours, and what the node's shape leaves behind.
struct pad {
  std::int64_t lo[max_rank]{};
  std::int64_t interior[max_rank]{};
  double value = 0;
  template <class R>
  static constexpr void derivative(const pad& op, R& r) {
    slice s;
    for (int i = 0; i < r.shape(0).rank; ++i) s.start[i] = op.lo[i], s.step[i] = op.interior[i] + 1;
    r.give(0, r.slice(r.g, s, r.shape(0)));
  }
};

template <class R>
constexpr void slice::derivative(const slice& op, R& r) {
  pad p;
  for (int i = 0; i < r.shape(0).rank; ++i) p.lo[i] = op.start[i], p.interior[i] = op.step[i] - 1;
  r.give(0, r.pad(r.g, p, r.shape(0)));
}

/// The operands one after another along an axis.
struct concat {
  std::int64_t axis = 0;
  template <class R>
  static constexpr void derivative(const concat& op, R& r) {
    slice s;
    for (int i = 0; i < max_rank; ++i) s.step[i] = 1;
    for (int k = 0; k < r.arity(); ++k) {
      if (r.needs(k)) r.give(k, r.slice(r.g, s, r.shape(k)));
      s.start[op.axis] += r.shape(k)[static_cast<int>(op.axis)];
    }
  }
};

/// (batch, m, k) x (batch, k, n); either operand may be stored transposed.
struct matmul {
  std::int64_t transpose_a = 0, transpose_b = 0;
  template <class R>
  static constexpr void derivative(const matmul& op, R& r) {
    const bool ta = op.transpose_a != 0, tb = op.transpose_b != 0;
    // sum_to: over the batch, where one matrix serves all of it
    if (r.needs(0)) r.give(0, r.sum_to(ta ? r.matmul(r.x(1), r.g, tb, true) : r.matmul(r.g, r.x(1), false, !tb), r.shape(0)));
    if (r.needs(1)) r.give(1, r.sum_to(tb ? r.matmul(r.g, r.x(0), true, ta) : r.matmul(r.x(0), r.g, !ta, false), r.shape(1)));
  }
};

}  // namespace volute::ops
