// Sums of products, and convolutions by products. A factor that does not vary along an axis need not be multiplied before the sum over that
// axis:
//
//   sum over k of a * b(k)            = a * sum over k of b(k)
//   sum over i of a(b,i) * b(o,i)     = matmul(a, b^T)                       no tensor (b, o, i)
//   conv(x, W(o,i,k) s(b,i) d(b,o))   = d * conv(x * s, W)                   no filter bank a sample
//
// With these three, a layer may write the modulated convolution as its paper does (StyleGAN2, https://arxiv.org/abs/1912.04958, equations 1
// and 3; document AdaptiveConv3DMod of the seed): W * (mod + 1), divided by the square root of its own sum of squares, and convolved. The
// rewrite happens as the node is made, that is before differentiation, so no gradient of any order builds per-sample weights either.
#pragma once

#include <volute/graph/algebra.hpp>

namespace volute::graph {

/// A product taken apart: each factor is a node of the full rank with extent 1 where it does not vary.
class product {
 public:
  static constexpr int capacity = 12;
  int id[capacity]{};
  ops::axis_set axes[capacity]{};
  int size = 0;
  double scale = 1;
  bool complete = true;  // false: more factors than we keep

  constexpr void add(algebra& g, int node, const extents& e) {
    const ops::axis_set varies = algebra::difference(e, algebra::flattened(e, ops::all_axes(e.rank)));
    for (int i = 0; i < size; ++i)
      if (axes[i] == varies) {
        id[i] = g.map(ops::fn::multiply, id[i], node);
        return;
      }
    if (size == capacity) {
      complete = false;
      return;
    }
    axes[size] = varies;
    id[size++] = node;
  }

  /// Takes apart `node`, seen under shape `e` (its own with leading ones); each factor is squared if `squared`.
  constexpr void collect(algebra& g, int node, const extents& e, bool squared) {
    using ops::fn;
    if (g.is_fill(node)) {
      const double v = g.fill_value(node);
      scale *= squared ? v * v : v;
    } else if (g.is_map(node, fn::multiply)) {
      const int a = g.operand(node, 0), b = g.operand(node, 1);
      collect(g, a, e, squared);
      collect(g, b, e, squared);
    } else if (g.is_map(node, fn::square) && !squared) {
      collect(g, g.operand(node, 0), e, true);
    } else if (g.is_map(node, fn::negate)) {
      if (!squared) scale = -scale;
      collect(g, g.operand(node, 0), e, squared);
    } else if (g.is<ops::broadcast>(node)) {
      const int small = g.operand(node, 0);
      collect(g, small, algebra::aligned(g.shape(small), e.rank), squared);
    } else {
      const int full = g.reshape(node, e);
      add(g, squared ? g.map(fn::square, full) : full, e);
    }
  }
};

/// sum over `axes` of a.id * b.id for two factors that share no kept axis, as a matrix product; -1 where the axes do not lie in blocks.
constexpr int contract(algebra& g, int a, ops::axis_set va, int b, ops::axis_set vb, ops::axis_set axes, const extents& result) {
  const auto run = [](ops::axis_set s) {  // first and last axis
    int first = -1, last = -1;
    for (int i = 0; i < max_rank; ++i)
      if (ops::contains(s, i)) {
        if (first < 0) first = i;
        last = i;
      }
    return std::array<int, 2>{first, last};
  };
  const ops::axis_set inner = va & vb & axes, ka = va & ~axes, kb = vb & ~axes;
  if (inner == 0 || ka == 0 || kb == 0 || (ka & kb) != 0 || (va & axes) != inner || (vb & axes) != inner) return -1;
  if (run(ka)[0] > run(kb)[1]) return contract(g, b, vb, a, va, axes, result);
  if (run(ka)[1] > run(kb)[0]) return -1;
  const auto extent = [&](int node, ops::axis_set s) {
    std::int64_t n = 1;
    for (int i = 0; i < g.shape(node).rank; ++i)
      if (ops::contains(s, i)) n *= g.shape(node)[i];
    return n;
  };
  const auto in = run(inner), ra = run(ka), rb = run(kb);
  const bool ta = in[1] < ra[0], tb = rb[1] < in[0];  // a stored (k, m); b stored (n, k)
  if (!ta && !(ra[1] < in[0])) return -1;
  if (!tb && !(in[1] < rb[0])) return -1;
  const std::int64_t m = extent(a, ka), n = extent(b, kb), k = extent(a, inner);
  const int pa = g.reshape(a, ta ? make_extents(1, k, m) : make_extents(1, m, k));
  const int pb = g.reshape(b, tb ? make_extents(1, n, k) : make_extents(1, k, n));
  return g.reshape(g.matmul(pa, pb, ta, tb), result);
}

/// The algebra whose sums and convolutions take products apart, and so the builder that all code makes nodes with.
class contractor : public algebra {
 public:
  /// A reduction of any axes. Sums of products are split into sums of their factors, and into matrix products.
  constexpr int reduce(ops::reduction how, int x, ops::axis_set axes) {
    using ops::fn;
    const extents e = shape(x);
    axes &= ops::all_axes(e.rank);
    const extents result = without(e, axes);
    if (result.size() == e.size()) return reshape(x, result);
    const bool sums = how == ops::reduction::sum, linear = how != ops::reduction::maximum;
    if (e.size() == 0)  // of nothing: 0, NaN, and what no function asks for
      return fill(sums ? 0 : linear ? not_a_number : -std::numeric_limits<double>::infinity(), result);
    const double terms = static_cast<double>(e.size()) / static_cast<double>(result.size());
    if (linear && sums_to_zero(x, axes)) return fill(0, result);
    if (linear && is_map(x, fn::add)) {
      const int a = operand(x, 0), b = operand(x, 1);
      if (sums_to_zero(b, axes)) return reduce(how, a, axes);
      if (sums_to_zero(a, axes)) return reduce(how, b, axes);
    }
    if (is_fill(x)) return fill(sums && fill_value(x) == fill_value(x) ? fill_value(x) * terms : fill_value(x), result);
    if (linear && is_map(x, fn::negate)) return map(fn::negate, reduce(how, operand(x, 0), axes));
    if (sums && is_map(x, fn::select) && is_indicator(operand(x, 0)) && is_fill(operand(x, 1)) && is_fill(operand(x, 2), 0))  // a count
      return map(fn::multiply, reduce(how, operand(x, 0), axes), fill(fill_value(operand(x, 1)), make_extents()));
    if (is<ops::broadcast>(x)) {  // along a repeated axis the sum is a multiple, maximum and mean are the same
      const int full = reshape(operand(x, 0), aligned(shape(operand(x, 0)), e.rank));
      const extents small = shape(full);
      std::int64_t repeated = 1;
      for (int i = 0; i < e.rank; ++i)
        if (ops::contains(axes, i) && small[i] != e[i]) repeated *= e[i];
      const int part = broadcast(reduce(how, full, axes), result);
      return sums ? map(fn::multiply, part, fill(static_cast<double>(repeated), make_extents())) : part;
    }
    if (linear && (is_map(x, fn::multiply) || is_map(x, fn::square)))
      if (const int split = reduce_product(how, x, axes); split >= 0) return split;
    return make_reduce(how, x, axes);
  }
  constexpr int sum(int x, ops::axis_set axes) { return reduce(ops::reduction::sum, x, axes); }

  /// Whether a sum is 0 for its form alone: of x - mean(x), or of a multiple of that.
  constexpr bool sums_to_zero(int x, ops::axis_set axes) {
    using ops::fn;
    if (is_map(x, fn::negate)) return sums_to_zero(operand(x, 0), axes);
    if (is_map(x, fn::multiply)) {
      const int a = operand(x, 0), b = operand(x, 1);
      return (constant_along(b, axes) && sums_to_zero(a, axes)) || (constant_along(a, axes) && sums_to_zero(b, axes));
    }
    if (!is_map(x, fn::subtract)) return false;
    const int whole = operand(x, 0), repeated = operand(x, 1);
    if (!is<ops::broadcast>(repeated)) return false;
    const int mean = operand(repeated, 0);
    const int made = is<ops::reshape>(mean) ? operand(mean, 0) : mean;
    if (!is_map(made, fn::multiply) && !(is<ops::reduce>(made) && as<ops::reduce>(made).how() == ops::reduction::mean)) return false;
    if (shape(mean).size() != without(shape(whole), axes).size()) return false;
    return reshape(reduce(ops::reduction::mean, whole, axes), shape(mean)) == mean;
  }

  /// y[n] = conv(x[n], w[n]): one filter bank a sample, factored where it can be.
  constexpr int convolution_per_sample(const ops::convolution& op, int x, int w) {
    using ops::fn;
    const extents xs = shape(x), ws = shape(w);  // (b, i, d, h, w) and (b, o, i / groups, kd, kh, kw)
    if (xs.size() == 0 || ws.size() == 0) return fill(0, make_extents(xs[0], ws[1], op.extent[0], op.extent[1], op.extent[2]));
    product p;
    p.collect(*this, w, ws, false);
    int weights = -1, inputs = -1, outputs = -1;
    bool factored = p.complete && op.groups == 1;
    const auto into = [&](int& whole, int f) { whole = whole < 0 ? f : map(fn::multiply, whole, f); };
    constexpr ops::axis_set b = 1, o = 2, i = 4;
    for (int k = 0; k < p.size && factored; ++k) {
      const ops::axis_set v = p.axes[k];
      const bool of_sample = (v & b) != 0 || ws[0] == 1;  // a single sample's scales do not vary along b, and must not make a bank either
      if (of_sample && (v & ~(b | o)) == 0)
        into(outputs, p.id[k]);
      else if (of_sample && (v & ~(b | i)) == 0)
        into(inputs, p.id[k]);
      else if ((v & b) == 0)
        into(weights, p.id[k]);
      else
        factored = false;
    }
    if (factored) {
      const extents bank = make_extents(ws[1], ws[2], ws[3], ws[4], ws[5]);
      int plain = weights < 0 ? fill(1, bank) : broadcast(reshape(weights, without(shape(weights), b)), bank);
      if (inputs >= 0) x = map(fn::multiply, x, reshape(inputs, make_extents(shape(inputs)[0], shape(inputs)[2], 1, 1, 1)));
      int y = convolution(op, x, plain);
      if (outputs >= 0) y = map(fn::multiply, y, reshape(outputs, make_extents(shape(outputs)[0], shape(outputs)[1], 1, 1, 1)));
      return p.scale == 1 ? y : map(fn::multiply, y, fill(p.scale, make_extents()));
    }
    // A bank that does not factor is built, and the samples become groups of one convolution.
    ops::convolution grouped = op;
    grouped.groups = op.groups * ws[0];
    const int flat = reshape(x, make_extents(1, xs[0] * xs[1], xs[2], xs[3], xs[4]));
    const int y = convolution(grouped, flat, reshape(w, make_extents(ws[0] * ws[1], ws[2], ws[3], ws[4], ws[5])));
    return reshape(y, make_extents(xs[0], ws[1], shape(y)[2], shape(y)[3], shape(y)[4]));
  }

 private:
  /// A sum or mean of a product, by its factors; -1 where nothing is won.
  constexpr int reduce_product(ops::reduction how, int x, ops::axis_set axes) {
    using ops::fn;
    const extents e = shape(x), result = without(e, axes);
    product p;
    p.collect(*this, x, e, false);
    const ops::axis_set wide = difference(e, flattened(e, ops::all_axes(e.rank)));
    bool splits = false;  // a constant alone stays inside, where it costs nothing and may keep terms within the numbers' range
    for (int i = 0; i < p.size; ++i) splits = splits || p.axes[i] != wide;
    if (!p.complete || !splits) return -1;
    const bool sums = how == ops::reduction::sum;
    const ops::axis_set summed = axes & wide;
    double scale = p.scale, divisor = sums ? 1 : static_cast<double>(e.size()) / static_cast<double>(result.size());
    const auto part = [&](int node, ops::axis_set over) {  // as a mean where the whole is one
      const extents full = shape(node);
      if (!sums) divisor /= static_cast<double>(full.size() / without(full, over).size());
      return make_reduce(how, node, over);
    };
    int outside = -1;  // the product of what does not vary along the sum
    int inside[product::capacity]{};
    ops::axis_set varies[product::capacity]{};
    int count = 0;
    ops::axis_set covered = 0;
    for (int i = 0; i < p.size; ++i) covered |= p.axes[i];
    for (int i = 0; i < e.rank; ++i)
      if (ops::contains(summed & ~covered, i)) scale *= static_cast<double>(e[i]);
    for (int i = 0; i < p.size; ++i) {
      ops::axis_set others = 0;
      for (int k = 0; k < p.size; ++k)
        if (k != i) others |= p.axes[k];
      int f = p.id[i];
      ops::axis_set v = p.axes[i];
      if (const ops::axis_set own = v & summed & ~others; own != 0) {  // what only this factor varies along
        const extents kept = flattened(shape(f), own);
        f = reshape(part(f, own), kept);
        v &= ~own;
      }
      if ((v & summed) == 0) {
        const int placed = reshape(f, without(shape(f), axes));
        outside = outside < 0 ? placed : map(fn::multiply, outside, placed);
      } else {
        inside[count] = f, varies[count++] = v;
      }
    }
    int total = -1;
    if (count == 2) {
      extents r = without(flattened(e, ~(varies[0] | varies[1])), axes);
      total = contract(*this, inside[0], varies[0], inside[1], varies[1], summed, r);
    }
    if (total < 0 && count > 0) {
      int whole = inside[0];
      for (int i = 1; i < count; ++i) whole = map(fn::multiply, whole, inside[i]);
      total = part(whole, axes);
    }
    if (outside >= 0) total = total < 0 ? outside : map(fn::multiply, total, outside);
    if (total < 0) total = fill(1, result);
    if (scale != divisor) total = map(fn::multiply, total, fill(scale / divisor, make_extents()));
    return broadcast(total, result);
  }
};

}  // namespace volute::graph
