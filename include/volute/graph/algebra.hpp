// Smart constructors: every node is made through one of these, and each applies the algebraic identities of its primitive before it makes
// anything. So the lowering, the derivative rules and the passes write plain formulas, and x * 1, x + 0, a reshape of a reshape or a sum of
// a broadcast never come to exist.
#pragma once

#include <volute/graph/builder.hpp>

#include <limits>

namespace volute::graph {

/// One smart constructor for each primitive. What makes graphs is a `contractor` (graph/contract.hpp), which is one of these.
class algebra : public builder {
 public:
  /// How the convolutions of expressions are to be computed; a derivative's are as the one that it is of.
  ops::filtering filtering = ops::filtering::direct;
  bool synchronizes = false;  // statistics of batch norm are those of all runs of a step (see convert_sync_batchnorm)
  bool cuts_depth = false;    // the program is that of a slab (see depth_parallel)
  bool has_barrier = false;   // somewhere in the graph

  // ---- leaves
  constexpr int input(int slot, const extents& e) { return make(ops::input{slot}, e, nullptr, 0); }
  constexpr int parameter(int slot, const extents& e) { return make(ops::parameter{slot}, e, nullptr, 0); }
  constexpr int fill(double value, const extents& e) { return make(ops::fill{value == 0 ? 0.0 : value}, e, nullptr, 0); }
  constexpr int random(std::int64_t stream, const extents& e) { return make(ops::random{stream, 0}, e, nullptr, 0); }
  constexpr int arange(std::int64_t n) { return make(ops::arange{}, make_extents(n), nullptr, 0); }
  constexpr int all_reduce(int x) { return make(ops::all_reduce{}, shape(x), &x, 1); }
  constexpr int halo(const ops::halo& op, int x, const extents& result) {
    return is_fill(x, 0) ? fill(0, result) : make(op, result, &x, 1);
  }
  constexpr int barrier(int x, bool stops_gradient) {
    has_barrier = true;
    return make(ops::barrier{stops_gradient ? 1 : 0}, shape(x), &x, 1);
  }

  constexpr bool is_fill(int id) const { return nodes.data[id].op == ops::opcode<ops::fill>; }
  constexpr bool is_fill(int id, double value) const { return nodes.data[id].op == ops::opcode<ops::fill> && as<ops::fill>(id).value == value; }
  constexpr double fill_value(int id) const { return as<ops::fill>(id).value; }
  constexpr bool is_map(int id, ops::fn f) const {
    return nodes.data[id].op == ops::opcode<ops::elementwise> && as<ops::elementwise>(id).function == static_cast<std::int64_t>(f);
  }

  /// Whether every element is 0 or 1, seen from its form.
  constexpr bool is_indicator(int id) const {
    using ops::fn;
    while (is<ops::broadcast>(id) || is<ops::reshape>(id)) id = operand(id, 0);
    return is_map(id, fn::less) || is_map(id, fn::less_equal) || is_map(id, fn::equal) || is_map(id, fn::step);
  }
  static constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();  // folded by no arithmetic: clang refuses that

  // ---- elementwise
  /// f over operands that broadcast against each other.
  constexpr int map(ops::fn f, int a, int b = -1, int c = -1) {
    int args[3]{a, b, c};
    const int n = ops::arity(f);
    int common = nodes.data[a].shape;
    bool same = true;
    for (int i = 1; i < n; ++i) same = same && nodes.data[args[i]].shape == common;
    if (!same) {
      extents e = shape(a);
      for (int i = 1; i < n; ++i) e = ops::broadcast_shape(e, shape(args[i])).shape;
      common = intern(e);
      for (int i = 0; i < n; ++i) args[i] = broadcast(args[i], common);
    }
    return n == 1 ? map1(f, args[0]) : n == 2 ? map2(f, args[0], args[1]) : map3(args[0], args[1], args[2]);
  }

  // ---- shapes
  constexpr int broadcast(int x, int to) {
    if (nodes.data[x].shape == to) return x;
    if (is_fill(x)) return make(nodes.data[x].op, nodes.data[x].attribute, to, nullptr, 0);
    if (is<ops::broadcast>(x)) x = operand(x, 0);
    return make(ops::opcode<ops::broadcast>, intern(ops::encode(ops::broadcast{})), to, &x, 1);
  }
  constexpr int broadcast(int x, const extents& e) { return broadcast(x, intern(e)); }

  constexpr int reshape(int x, const extents& e) {
    const int to = intern(e);
    if (nodes.data[x].shape == to) return x;
    if (is_fill(x)) return make(nodes.data[x].op, nodes.data[x].attribute, to, nullptr, 0);
    if (is<ops::reshape>(x)) return reshape(operand(x, 0), e);
    return make(ops::opcode<ops::reshape>, intern(ops::encode(ops::reshape{})), to, &x, 1);
  }

  constexpr int transpose(int x, const ops::transpose& t) {
    const extents e = shape(x);
    extents result;
    bool ordered = true;  // only axes of extent 1 move: a reshape
    int last = -1;
    for (int i = 0; i < e.rank; ++i) {
      const int from = static_cast<int>(t.axis[i]);
      result.push_back(e[from]);
      if (e[from] == 1) continue;
      ordered = ordered && from > last;
      last = from;
    }
    if (is_fill(x) || ordered) return reshape(x, result);
    if (is<ops::transpose>(x)) {
      const auto before = as<ops::transpose>(x);
      ops::transpose both;
      for (int i = 0; i < e.rank; ++i) both.axis[i] = before.axis[t.axis[i]];
      return transpose(operand(x, 0), both);
    }
    return make(t, result, &x, 1);
  }

  constexpr int slice(int x, const ops::slice& s, const extents& result) {
    const extents e = shape(x);
    if (e == result) return x;
    if (is_fill(x)) return fill(fill_value(x), result);
    if (is<ops::pad>(x)) {  // exactly what was padded
      const auto p = as<ops::pad>(x);
      bool inverse = shape(operand(x, 0)) == result;
      for (int i = 0; i < e.rank; ++i) inverse = inverse && p.lo[i] == s.start[i] && (p.interior[i] + 1 == s.step[i] || result[i] == 1);
      if (inverse) return operand(x, 0);
    }
    return make(s, result, &x, 1);
  }

  constexpr int pad(int x, const ops::pad& p, const extents& result) {
    if (shape(x) == result) return x;
    if (is_fill(x, p.value) || is_empty(x)) return fill(p.value, result);
    return make(p, result, &x, 1);
  }

  constexpr int concat(const int* all, int given, int axis) {
    buffer<int> args;
    for (int i = 0; i < given; ++i)
      if (!is_empty(all[i])) args.push_back(all[i]);
    const int n = args.size;
    if (n == 0) args.push_back(all[0]);
    if (n <= 1) return args[0];
    extents e = shape(args[0]);
    bool same_fill = is_fill(args[0]);
    for (int i = 1; i < n; ++i) {
      e[axis] += shape(args[i])[axis];
      same_fill = same_fill && is_fill(args[i], fill_value(args[0]));
    }
    if (same_fill) return fill(fill_value(args[0]), e);
    return make(ops::concat{axis}, e, args.data, n);
  }

  // ---- sums
  /// A reduction as it is: see contractor::reduce for what is tried before. Axes of extent 1 are left out of the set; and where a kept axis
  /// lies between reduced ones, the last axes are reduced first: a batch's sum over samples and voxels is then made of the sums of each
  /// sample, which others may need too.
  constexpr int make_reduce(ops::reduction how, int x, ops::axis_set axes) {
    const extents e = shape(x), result = without(e, axes);
    if (result.size() == e.size()) return reshape(x, result);
    ops::axis_set wide = 0, last = 0;
    for (int i = 0; i < e.rank; ++i)
      if (e[i] > 1 && ops::contains(axes, i)) wide |= ops::axis_bit(i);
    std::int64_t block = 1;
    for (int i = e.rank - 1; i >= 0 && (e[i] == 1 || ops::contains(wide, i)); --i)
      if (e[i] > 1) last |= ops::axis_bit(i), block *= e[i];
    if (block >= worth_a_step && last != wide) {
      const int part = make(ops::reduce{static_cast<std::int64_t>(how), last}, without(e, last), &x, 1);
      return reshape(make_reduce(how, reshape(part, flattened(e, last)), wide & ~last), result);
    }
    return reshape(make(ops::reduce{static_cast<std::int64_t>(how), wide}, without(e, wide), &x, 1), result);
  }
  static constexpr std::int64_t worth_a_step = 64;  // elements that become one in the first step

  /// The same number along each of these axes.
  constexpr bool constant_along(int x, ops::axis_set axes) const {
    if (is_fill(x)) return true;
    if (!is<ops::broadcast>(x)) return false;
    const extents e = shape(x), small = aligned(shape(operand(x, 0)), e.rank);
    for (int i = 0; i < e.rank; ++i)
      if (ops::contains(axes, i) && e[i] > 1 && small[i] != 1) return false;
    return true;
  }

  /// The shape with the axes of a set taken out.
  static constexpr extents without(const extents& e, ops::axis_set axes) {
    extents r;
    for (int i = 0; i < e.rank; ++i)
      if (!ops::contains(axes, i)) r.push_back(e[i]);
    return r;
  }
  /// The shape with ones in the axes of a set.
  static constexpr extents flattened(extents e, ops::axis_set axes) {
    for (int i = 0; i < e.rank; ++i)
      if (ops::contains(axes, i)) e[i] = 1;
    return e;
  }
  /// The shape with leading ones up to a rank.
  static constexpr extents aligned(const extents& e, int rank) {
    extents r;
    for (int i = 0; i < rank; ++i) r.push_back(i < rank - e.rank ? 1 : e[i - (rank - e.rank)]);
    return r;
  }
  /// Axes in which two shapes of one rank differ.
  static constexpr ops::axis_set difference(const extents& a, const extents& b) {
    ops::axis_set s = 0;
    for (int i = 0; i < a.rank; ++i)
      if (a[i] != b[i]) s |= ops::axis_bit(i);
    return s;
  }

  constexpr int matmul(int a, int b, bool ta, bool tb) {
    const extents p = shape(a), q = shape(b);
    const extents r = make_extents(p[0] == 1 ? q[0] : p[0], ta ? p[2] : p[1], tb ? q[1] : q[2]);
    if (is_fill(a, 0) || is_fill(b, 0) || is_empty(a) || is_empty(b)) return fill(0, r);
    const int args[2]{a, b};
    return make(ops::matmul{ta, tb}, r, args, 2);
  }

  // ---- volumes
  constexpr int convolution(const ops::convolution& op, int a, int b) {
    const extents r = op.shape(op.geometry(shape(a), shape(b)));
    if (is_fill(a, 0) || is_fill(b, 0) || is_empty(a) || is_empty(b)) return fill(0, r);
    const int args[2]{a, b};
    return make(op, r, args, 2);
  }

  constexpr int max_pool(const ops::max_pool& op, int x, int v, const extents& result) {
    if (is_fill(v, 0)) return fill(0, result);
    const int args[2]{x, v};
    return make(op, result, args, 2);
  }
  constexpr int avg_pool(const ops::avg_pool& op, int x, const extents& result) {
    if (is_fill(x, 0)) return fill(0, result);
    return make(op, result, &x, 1);
  }

  // ---- tables
  constexpr int gather(const ops::gather& op, int x, int index) {
    const extents r = op.shape(shape(x), shape(index));
    if (is_fill(x, 0) || is_empty(x) || is_empty(index)) return fill(0, r);
    const int args[2]{x, index};
    return make(op, r, args, 2);
  }

  // ---- attention
  constexpr int attention(const ops::attention& op, const int* args, int n) {
    extents e = shape(args[0]);
    e[e.rank - 1] = shape(args[2])[e.rank - 1];
    return make(op, e, args, n);  // also of values that are all 0: its further result is not
  }
  constexpr int attention_gradient(const ops::attention_gradient& op, const int* args, int n) {
    return is_fill(args[n - 1], 0) ? fill(0, shape(args[0])) : make(op, shape(args[0]), args, n);
  }
  /// Result `which` of a node; of a gradient that became a constant of zeros it is one.
  constexpr int further_result(int of, int which, const extents& e) {
    return is_fill(of) ? fill(0, e) : make(ops::further_result{which}, e, &of, 1);
  }

 private:
  constexpr int elementwise(ops::fn f, const int* args, int n) {
    return make(ops::opcode<ops::elementwise>, intern(ops::encode(ops::elementwise{static_cast<std::int64_t>(f)})),
                nodes.data[args[0]].shape, args, n);
  }

  /// Where all operands only repeat smaller ones of equal shape, work on those and repeat the result.
  constexpr int small_shape(const int* args, int n) const {
    int small = -1;
    for (int i = 0; i < n; ++i) {
      if (is_fill(args[i])) continue;
      if (!is<ops::broadcast>(args[i])) return -1;
      const int s = nodes.data[operand(args[i], 0)].shape;
      if (small >= 0 && small != s) return -1;
      small = s;
    }
    return small;
  }
  constexpr int shrink(int id, int small) {
    return is_fill(id) ? make(nodes.data[id].op, nodes.data[id].attribute, small, nullptr, 0) : operand(id, 0);
  }

  /// f of a constant where arithmetic gives it exactly: false where it does not, as of NaN.
  static constexpr bool fold(ops::fn f, double v, double& folded) {
    using ops::fn;
    if (v != v) return false;
    // clang-format off
    switch (f) {
      case fn::negate: folded = -v; return true;
      case fn::abs: folded = v < 0 ? -v : v; return true;
      case fn::sign: folded = v > 0 ? 1 : v < 0 ? -1 : 0; return true;
      case fn::square: folded = v * v; return true;
      case fn::relu: folded = v < 0 ? 0 : v; return true;
      case fn::step: folded = v > 0 ? 1 : 0; return true;
      case fn::reciprocal: folded = v != 0 ? 1 / v : 0; return v != 0;
      case fn::sqrt: case fn::rsqrt: folded = 1; return v == 1;
      case fn::exp: folded = 1; return v == 0;
      case fn::log: folded = 0; return v == 1;
      case fn::sin: case fn::tanh: case fn::erf: case fn::expm1: case fn::log1p: folded = 0; return v == 0;
      default: return false;
    }
    // clang-format on
  }
  /// The same of two constants that are no NaN.
  static constexpr bool fold(ops::fn f, double p, double q, double& folded) {
    using ops::fn;
    // clang-format off
    switch (f) {
      case fn::add: folded = p + q; return true;
      case fn::subtract: folded = p - q; return true;
      case fn::multiply: folded = p * q; return true;
      case fn::divide: folded = q != 0 ? p / q : 0; return q != 0;
      case fn::minimum: folded = p < q ? p : q; return true;
      case fn::maximum: folded = p > q ? p : q; return true;
      case fn::less: folded = p < q; return true;
      case fn::less_equal: folded = p <= q; return true;
      case fn::equal: folded = p == q; return true;
      default: return false;
    }
    // clang-format on
  }

  constexpr int map1(ops::fn f, int a) {
    using ops::fn;
    const int s = nodes.data[a].shape;
    if (f == fn::identity) return a;
    if (is_fill(a)) {
      const double v = fill_value(a);
      double folded = 0;
      if (fold(f, v, folded)) return fill(folded, shapes.data[s]);
      if (shapes.data[s].rank > 0) return broadcast(map1(f, fill(v, extents{})), s);  // once, at run time
    }
    if (f == fn::negate && is_map(a, fn::negate)) return operand(a, 0);
    if (f == fn::negate && is_map(a, fn::subtract)) return map2(fn::subtract, operand(a, 1), operand(a, 0));
    if (f == fn::square && is_map(a, fn::negate)) return map1(fn::square, operand(a, 0));
    if (is<ops::broadcast>(a)) return broadcast(map1(f, operand(a, 0)), s);
    return elementwise(f, &a, 1);
  }

  constexpr int map2(ops::fn f, int a, int b) {
    using ops::fn;
    const int s = nodes.data[a].shape;
    if (is_fill(a) && is_fill(b)) {
      const double p = fill_value(a), q = fill_value(b);
      double folded = 0;
      if ((p != p || q != q) && f < fn::power) return fill(not_a_number, shapes.data[s]);
      if (p == p && q == q && fold(f, p, q, folded)) return fill(folded, shapes.data[s]);
    }
    const bool commutes = f == fn::add || f == fn::multiply || f == fn::minimum || f == fn::maximum || f == fn::equal;
    if (commutes && (is_fill(a) ? !is_fill(b) : (!is_fill(b) && a > b))) {  // one order, constants behind
      const int t = a;
      a = b, b = t;
    }
    if (const int simpler = identity(f, a, b); simpler >= 0) return simpler;
    if (is_fill(a) && is_fill(b) && shapes.data[s].rank > 0)
      return broadcast(map2(f, fill(fill_value(a), extents{}), fill(fill_value(b), extents{})), s);
    const int args[2]{a, b};
    if (const int small = small_shape(args, 2); small >= 0) return broadcast(map2(f, shrink(a, small), shrink(b, small)), s);
    return elementwise(f, args, 2);
  }

  /// What a function of two operands is for its form; -1: itself. Where they commute a constant is b.
  constexpr int identity(ops::fn f, int a, int b) {
    using ops::fn;
    switch (f) {
      case fn::add:
        if (is_fill(b, 0)) return a;
        if (is_map(b, fn::negate)) return map2(fn::subtract, a, operand(b, 0));
        if (is_map(a, fn::negate)) return map2(fn::subtract, b, operand(a, 0));
        if (is_map(a, fn::select) && is_map(b, fn::select) && operand(a, 0) == operand(b, 0)) {  // each has what the other leaves out
          if (is_fill(operand(a, 2), 0) && is_fill(operand(b, 1), 0)) return map3(operand(a, 0), operand(a, 1), operand(b, 2));
          if (is_fill(operand(a, 1), 0) && is_fill(operand(b, 2), 0)) return map3(operand(a, 0), operand(b, 1), operand(a, 2));
        }
        if (is_fill(b) && is_map(a, fn::add) && is_fill(operand(a, 1)))
          return map2(fn::add, operand(a, 0), map2(fn::add, operand(a, 1), b));
        break;
      case fn::subtract:
        if (is_fill(b, 0)) return a;
        if (is_fill(a, 0)) return map1(fn::negate, b);
        if (is_fill(b)) return map2(fn::add, a, map1(fn::negate, b));
        if (is_map(b, fn::negate)) return map2(fn::add, a, operand(b, 0));
        break;
      case fn::multiply:
        if (is_fill(b, 0)) return b;
        if (is_fill(b, 1)) return a;
        if (is_fill(b, -1)) return map1(fn::negate, a);
        if (is_fill(b) && is_map(a, fn::negate)) return map2(fn::multiply, operand(a, 0), map1(fn::negate, b));
        if (is_fill(b) && is_map(a, fn::multiply) && is_fill(operand(a, 1)))
          return map2(fn::multiply, operand(a, 0), map2(fn::multiply, operand(a, 1), b));
        if (is_map(a, fn::negate) && is_map(b, fn::negate)) return map2(fn::multiply, operand(a, 0), operand(b, 0));
        if (a == b) return map1(fn::square, a);
        break;
      case fn::divide:
        if (is_fill(b, 1)) return a;
        if (is_fill(a, 0)) return a;
        if (is_fill(a, 1)) return map1(fn::reciprocal, b);
        break;
      case fn::power:
        if (is_fill(b, 0)) return fill(1, shape(a));
        if (is_fill(b, 1)) return a;
        if (is_fill(b, 2)) return map1(fn::square, a);
        if (is_fill(b, 3)) return map2(fn::multiply, map1(fn::square, a), a);
        if (is_fill(b, 0.5)) return map1(fn::sqrt, a);
        if (is_fill(b, -0.5)) return map1(fn::rsqrt, a);
        if (is_fill(b, -1)) return map1(fn::reciprocal, a);
        break;
      default:
        break;
    }
    return -1;
  }

  constexpr int map3(int c, int a, int b) {  // select
    const int s = nodes.data[a].shape;
    if (is_fill(c)) return is_fill(c, 0) ? b : a;
    if (a == b) return a;
    const int args[3]{c, a, b};
    if (const int small = small_shape(args, 3); small >= 0) return broadcast(map3(shrink(c, small), shrink(a, small), shrink(b, small)), s);
    return elementwise(ops::fn::select, args, 3);
  }
};

}  // namespace volute::graph
