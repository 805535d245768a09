// Random graphs: every primitive, and the patterns that the simplifier looks for, right and nearly right. Values are known while a graph
// grows, so that no function is asked for what it has no answer to.
#pragma once

#include "graph_reference.hpp"

#include <volute/graph/clean.hpp>

#include <algorithm>

namespace graph_test {

/// Stands for a convolution with one filter bank a sample, which becomes several nodes; its attributes are a convolution's.
inline constexpr int bank_convolution = -1;

class random_graph {
 public:
  items all;
  leaves given;

  explicit random_graph(std::uint64_t seed, int size) : r(seed) {
    r.bits();
    leaf(small_shape());
    while (static_cast<int>(all.size()) < size) grow();
  }

  const tensor& value(int i) const { return values[at(i)]; }
  extents shape(int i) const { return all[at(i)].shape; }
  int any() { return static_cast<int>(r.below(static_cast<std::int64_t>(all.size()))); }
  numbers r;

  int leaf(const extents& e) {
    const bool owned = r.below(3) == 0;
    std::vector<tensor>& of = owned ? given.parameters : given.inputs;
    of.push_back({e, r.vector<double>(e.size(), -1.5, 1.5)});
    const auto slot = static_cast<std::int64_t>(of.size()) - 1;
    return owned ? push(ops::parameter{slot}, e, {}) : push(ops::input{slot}, e, {});
  }

 private:
  static constexpr std::int64_t most = 200;  // elements of a tensor
  std::vector<tensor> values;

  template <class Op>
  int push(const Op& op, const extents& e, std::vector<int> args) {
    return add({ops::opcode<Op>, ops::encode(op), e, std::move(args)});
  }
  int add(item n) {
    tensor y;
    if (n.op == bank_convolution) {  // by its definition: each sample on its own
      y = filled(n.shape);
      const auto op = ops::decode<ops::convolution>(n.attributes);
      const tensor &x = value(n.args[0]), &w = value(n.args[1]);
      extents xs = x.shape, ws = w.shape, ys = y.shape;
      xs[0] = ys[0] = 1, ws = algebra_shape(w.shape);
      for (std::int64_t b = 0; b < x.shape[0]; ++b)
        each_product(op.geometry(xs, ws), [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
          y.v[at(b * ys.size() + out)] += x.v[at(b * xs.size() + in)] * w.v[at(b * ws.size() + tap)];
        });
    } else {
      y = evaluation{given}.one(n, values, all.size());
    }
    all.push_back(std::move(n));
    values.push_back(std::move(y));
    return static_cast<int>(all.size()) - 1;
  }
  static extents algebra_shape(const extents& bank) { return make_extents(bank[1], bank[2], bank[3], bank[4], bank[5]); }

  bool chance(int percent) { return r.below(100) < percent; }
  /// An earlier node, often a late one.
  int pick() {
    const auto n = static_cast<std::int64_t>(all.size());
    return static_cast<int>(chance(60) ? n - 1 - r.below(std::min<std::int64_t>(n, 4)) : r.below(n));
  }
  extents small_shape() {
    extents e;
    const std::int64_t rank = r.below(5);
    for (std::int64_t a = 0; a < rank; ++a) e.push_back(chance(20) ? 1 : 2 + r.below(3));
    return e;
  }
  int number(const extents& e) {
    static constexpr double some[] = {0, 1, -1, 2, 0.5, -0.5, 3, 0.25, -2};
    return push(ops::fill{chance(80) ? some[r.below(9)] : r.uniform(-2, 2)}, e, {});
  }
  int map(ops::fn f, std::vector<int> args) {
    const extents e = shape(args[0]);
    return push(ops::elementwise{static_cast<std::int64_t>(f)}, e, std::move(args));
  }
  int broadcast(int x, const extents& e) { return shape(x) == e ? x : push(ops::broadcast{}, e, {x}); }
  int reshape(int x, const extents& e) { return push(ops::reshape{}, e, {x}); }
  int reduce(ops::reduction how, int x, ops::axis_set axes) {
    return push(ops::reduce{static_cast<std::int64_t>(how), axes}, graph::algebra::without(shape(x), axes), {x});
  }
  ops::axis_set some_axes(int rank) {
    const ops::axis_set s = r.below(std::int64_t{1} << rank);
    return s == 0 ? ops::all_axes(rank) : s;
  }
  double smallest(int x) const {
    double least = INFINITY;
    for (const double v : value(x).v) least = std::fmin(least, v);
    return least;
  }
  int positive(int x) {
    if (smallest(x) > 0.2) return x;
    return map(ops::fn::add, {map(chance(50) ? ops::fn::softplus : ops::fn::square, {tame(x)}), push(ops::fill{0.3}, shape(x), {})});
  }
  int tame(int x) { return largest(value(x)) < 4 ? x : map(chance(50) ? ops::fn::sin : ops::fn::tanh, {x}); }

  /// Something of this shape: an earlier node, a small one repeated, a number, or a leaf.
  int like(const extents& e) {
    const std::int64_t kind = r.below(10);
    if (kind < 4) {
      std::vector<int> same;
      for (std::size_t i = 0; i < all.size(); ++i)
        if (shape(static_cast<int>(i)) == e) same.push_back(static_cast<int>(i));
      if (!same.empty()) return same[at(r.below(static_cast<std::int64_t>(same.size())))];
    }
    if (kind < 7) {
      extents s = graph::algebra::flattened(e, r.below(std::int64_t{1} << e.rank));
      if (chance(30))  // without leading ones
        while (s.rank > 0 && s[0] == 1) s = graph::algebra::without(s, 1);
      return broadcast(chance(20) ? number(s) : leaf(s), e);
    }
    return kind == 7 ? number(e) : leaf(e);
  }
  /// The mean over axes, or nearly: times a number, seen under the shape again.
  int scaled_mean(int x, ops::axis_set axes) {
    const int sum = reduce(ops::reduction::sum, x, axes);
    const double n = static_cast<double>(shape(x).size() / shape(sum).size());
    static constexpr double wrong[] = {1, 1, 1, 0.5, 2, -1, 0};
    const int mean = map(ops::fn::multiply, {sum, push(ops::fill{wrong[r.below(7)] / n}, shape(sum), {})});
    return broadcast(reshape(mean, graph::algebra::flattened(shape(x), axes)), shape(x));
  }
  /// A node under a shape of five axes.
  int volume(int x) {
    if (chance(30) || shape(x).size() > most)
      return leaf(make_extents(1 + r.below(2), 1 + r.below(4), 1 + r.below(3), 1 + r.below(3), 1 + r.below(4)));
    extents e;
    std::int64_t left = shape(x).size();
    for (int a = 0; a < 4; ++a) {
      std::int64_t d = 1 + r.below(4);
      while (left % d != 0) --d;
      e.push_back(d), left /= d;
    }
    e.push_back(left);
    return shape(x) == e ? x : reshape(x, e);
  }
  ops::convolution some_convolution() {
    ops::convolution c;
    for (int a = 0; a < 3; ++a) c.stride[a] = 1 + r.below(2), c.lo[a] = r.below(3), c.dilation[a] = chance(20) ? 2 : 1;
    return c;
  }

  void grow() {
    using ops::fn;
    const int x = pick();
    const extents e = shape(x);
    // clang-format off
    switch (r.below(27)) {
      case 0: case 1: case 2: return unary(x);
      case 3: case 4: case 5: return binary(x);
      case 6: map(fn::select, {chance(70) ? map(chance(50) ? fn::less : fn::less_equal, {x, like(e)}) : like(e), x, like(e)}); return;
      case 7: {  // larger, or with one more axis in front
        extents to = e;
        for (int a = 0; a < e.rank; ++a)
          if (e[a] == 1 && chance(60)) to[a] = 1 + r.below(3);
        if (chance(60) && e.rank < 6) {
          to = make_extents(1 + r.below(3));
          for (int a = 0; a < e.rank; ++a) to.push_back(e[a]);
        }
        if (to.size() <= most && !(to == e)) broadcast(x, to);
        return;
      }
      case 8: case 9:
        if (e.rank > 0) reduce(chance(70) ? ops::reduction::sum : ops::reduction::maximum, x, some_axes(e.rank));
        return;
      case 10: {
        extents to;
        std::int64_t left = e.size();
        for (int a = 0; a < 5 && left > 1; ++a) {
          std::int64_t d = 1 + r.below(6);
          while (left % d != 0) --d;
          if (a == 4) d = left;
          to.push_back(d), left /= d;
        }
        reshape(x, to);
        return;
      }
      case 11: case 12: {
        int y = permute(x);
        if (chance(40)) y = permute(y);
        return;
      }
      case 13: slice(x); return;
      case 14: {
        const int y = pad(x);
        if (y >= 0 && chance(60)) slice_of(y, e);
        return;
      }
      case 15: {
        if (e.rank == 0) return;
        std::vector<int> parts;
        const int axis = static_cast<int>(r.below(e.rank));
        extents to = e;
        to[axis] = 0;
        for (std::int64_t n = 1 + r.below(3); n > 0; --n) {
          parts.push_back(parts.empty() ? x : like(e));
          if (chance(30) && parts.size() > 1) {
            extents other = e;
            other[axis] = 1 + r.below(3);
            parts.back() = like(other);
          }
          to[axis] += shape(parts.back())[axis];
        }
        if (to.size() <= most) push(ops::concat{axis}, to, parts);
        return;
      }
      case 16: return product(x);
      case 17: case 18: return convolve(x);
      case 19: return chance(30) ? rows(x) : pool(x);
      case 20: {  // a norm, or something like it
        const ops::axis_set axes = some_axes(e.rank);
        if (e.rank == 0) return;
        int y = map(fn::subtract, {x, scaled_mean(x, axes)});
        if (chance(30)) y = map(fn::multiply, {y, like(e)});
        if (chance(20)) y = map(fn::negate, {y});
        if (chance(20)) y = map(fn::add, {y, like(e)});
        if (chance(70)) reduce(ops::reduction::sum, y, chance(70) ? axes : some_axes(e.rank));
        return;
      }
      case 21: {  // a sum of a product whose factors do not vary along all axes
        int y = map(fn::multiply, {tame(x), tame(like(e))});
        for (std::int64_t n = r.below(3); n > 0; --n) y = map(fn::multiply, {y, tame(like(e))});
        if (chance(20)) y = map(fn::square, {y});
        if (chance(20)) y = map(fn::negate, {y});
        if (e.rank > 0) reduce(ops::reduction::sum, y, some_axes(e.rank));
        return;
      }
      case 22: {  // wider and longer than a scalar program
        int y = x;
        for (std::int64_t n = 3 + r.below(12); n > 0; --n) y = map(chance(60) ? fn::add : fn::maximum, {y, like(e)});
        return;
      }
      case 23: case 24: return network();
      case 25: return attend(x);
      default:
        switch (r.below(5)) {
          case 0: push(ops::arange{}, make_extents(1 + r.below(6)), {}); return;
          case 1: push(ops::random{r.below(3), r.below(2)}, e, {}); return;
          case 2: push(ops::all_reduce{}, e, {x}); return;
          case 3: return halo(x);
          default: push(ops::barrier{r.below(3) == 0}, e, {x}); return;
        }
    }
    // clang-format on
  }

  void halo(int x) {
    extents e = all[at(x)].shape;
    if (e.rank != 5 || e.size() == 0) return;
    ops::halo op{r.below(3), r.below(3), 0, 0};
    op.adjoint = op.lo + op.hi < e[2] && chance(50);
    e[2] += (op.adjoint != 0 ? -1 : 1) * (op.lo + op.hi);
    push(op, e, {x});
  }
  void unary(int x) {
    using ops::fn;
    const auto f = static_cast<fn>(r.below(static_cast<std::int64_t>(fn::add)));
    if (f == fn::reciprocal || f == fn::sqrt || f == fn::rsqrt || f == fn::log || f == fn::log1p)
      x = positive(x);
    else if (f == fn::exp || f == fn::expm1 || f == fn::square)
      x = tame(x);
    map(f, {x});
  }
  void binary(int x) {
    using ops::fn;
    const auto f = static_cast<fn>(static_cast<std::int64_t>(fn::add) +
                                   r.below(static_cast<std::int64_t>(fn::select) - static_cast<std::int64_t>(fn::add)));
    int y = like(shape(x));
    if (chance(30)) y = map(fn::negate, {y});
    if (f == fn::divide) y = positive(y);
    if (f == fn::multiply) x = tame(x), y = tame(y);
    if (f == fn::power && chance(50))  // zeros to powers that have two derivatives there
      x = map(fn::relu, {tame(x)}), y = map(fn::add, {positive(tame(y)), push(ops::fill{2}, shape(x), {})});
    else if (f == fn::power)
      x = positive(tame(x)), y = tame(y);
    if (f == fn::leaky) y = positive(y);
    if (chance(50) || f == fn::divide || f == fn::power || f == fn::leaky)
      map(f, {x, y});
    else
      map(f, {y, x});
  }
  int permute(int x) {
    const extents e = shape(x);
    ops::transpose t;
    extents to = e;
    for (int a = 0; a < e.rank; ++a) t.axis[a] = a;
    for (int a = e.rank - 1; a > 0; --a) std::swap(t.axis[a], t.axis[r.below(a + 1)]);
    for (int a = 0; a < e.rank; ++a) to[a] = e[static_cast<int>(t.axis[a])];
    return e.rank > 0 ? push(t, to, {x}) : x;
  }
  int slice(int x) {
    extents to = shape(x);
    ops::slice s;
    for (int a = 0; a < to.rank; ++a) {
      const std::int64_t n = to[a];
      s.start[a] = chance(50) ? 0 : r.below(n);
      s.step[a] = 1 + (chance(30) ? r.below(3) : 0);
      to[a] = (n - s.start[a] + s.step[a] - 1) / s.step[a];
      if (chance(40)) to[a] = 1 + r.below(to[a]);
    }
    return push(s, to, {x});
  }
  /// A slice of this shape, anywhere.
  void slice_of(int x, const extents& to) {
    ops::slice s;
    for (int a = 0; a < to.rank; ++a) {
      const std::int64_t steps = to[a] > 1 ? (shape(x)[a] - 1) / (to[a] - 1) : 1;
      s.step[a] = 1 + r.below(steps);
      s.start[a] = r.below(shape(x)[a] - (to[a] - 1) * s.step[a]);
    }
    push(s, to, {x});
  }
  int pad(int x) {
    extents to = shape(x);
    ops::pad p;
    p.value = chance(60) ? 0 : r.uniform(-1, 1);
    for (int a = 0; a < to.rank; ++a) {
      p.lo[a] = r.below(3), p.interior[a] = chance(20) ? r.below(3) : 0;
      to[a] = p.lo[a] + (to[a] - 1) * (p.interior[a] + 1) + 1 + r.below(3);
    }
    return to.size() <= most ? push(p, to, {x}) : -1;
  }
  void product(int x) {
    const std::int64_t n = shape(x).size();
    std::int64_t batch = chance(30) ? 2 : 1, m = 1 + r.below(5);
    if (n % batch != 0) batch = 1;
    while (n / batch % m != 0) --m;
    const std::int64_t k = n / batch / m, columns = 1 + r.below(4);
    const bool ta = chance(50), tb = chance(50), swap = chance(50);
    if (columns * k > most || columns * m > most) return;
    const std::int64_t others = batch > 1 && chance(50) ? 1 : chance(20) && batch == 1 ? 2 : batch;
    const int a = reshape(x, ta ? make_extents(batch, k, m) : make_extents(batch, m, k));
    int b = leaf(tb ? make_extents(others, columns, k) : make_extents(others, k, columns));
    if (chance(30)) b = map(ops::fn::sin, {b});
    const std::int64_t all_of = std::max(batch, others);
    if (swap)  // (a b)' = b' a'
      push(ops::matmul{!tb, !ta}, make_extents(all_of, columns, m), {b, a});
    else
      push(ops::matmul{ta, tb}, make_extents(all_of, m, columns), {a, b});
  }
  void convolve(int x) {
    x = volume(x);
    const extents e = shape(x);
    ops::convolution c = some_convolution();
    const auto side = static_cast<ops::face>(r.below(3));
    std::int64_t kernel[3], other[3];
    for (int a = 0; a < 3; ++a) {
      kernel[a] = 1 + r.below(3);
      const std::int64_t span = c.dilation[a] * (kernel[a] - 1) + 1, hi = r.below(3);
      if (side == ops::face::data)
        other[a] = (e[2 + a] - 1) * c.stride[a] + span - c.lo[a] - hi + r.below(c.stride[a]);
      else
        other[a] = (e[2 + a] + c.lo[a] + hi - span + c.stride[a]) / c.stride[a];
      if (other[a] < 1 || (side != ops::face::data && e[2 + a] + c.lo[a] + hi < span) || other[a] > 6) return;
    }
    c.groups = e[1] % 2 == 0 && chance(30) ? 2 : e[1] == 3 && chance(30) ? 3 : 1;
    c.which = static_cast<std::int64_t>(side);
    const std::int64_t more = c.groups * (1 + r.below(2));
    const auto spatial = [](std::int64_t p, std::int64_t q, const std::int64_t(&s)[3]) { return make_extents(p, q, s[0], s[1], s[2]); };
    for (int a = 0; a < 3; ++a) c.extent[a] = side == ops::face::weights ? kernel[a] : other[a];
    if (side == ops::face::weights) {
      const int g = like(spatial(e[0], more, other));
      push(c, spatial(more, e[1] / c.groups, kernel), {x, g});
      return;
    }
    if (e[0] * more * other[0] * other[1] * other[2] > 2 * most) return;
    if (side == ops::face::forward && chance(40)) {  // a bank: filters by factors of samples, as modulation makes it
      extents bank = make_extents(e[0]);
      for (const std::int64_t d : {more, e[1] / c.groups, kernel[0], kernel[1], kernel[2]}) bank.push_back(d);
      int w = broadcast(leaf(graph::algebra::flattened(bank, 1)), bank);
      const auto times = [&](ops::axis_set constant) {
        w = map(ops::fn::multiply, {w, broadcast(leaf(graph::algebra::flattened(bank, constant)), bank)});
      };
      if (chance(60)) times(ops::all_axes(6) & ~ops::axis_set{5});  // (b, i)
      if (chance(60)) times(ops::all_axes(6) & ~ops::axis_set{3});  // (b, o)
      if (chance(20)) times(ops::all_axes(6) & ~ops::axis_set{7});  // (b, o, i): does not factor
      if (chance(20)) w = map(ops::fn::negate, {w});
      if (chance(20)) w = map(ops::fn::sin, {w});
      if (bank.size() <= 4 * most) add({bank_convolution, ops::encode(c), spatial(e[0], more, other), {x, w}});
      return;
    }
    if (chance(30)) x = map(ops::fn::multiply, {x, like(e)});  // a scale by sample and channel rides in the copy
    const int w = leaf(side == ops::face::forward ? spatial(more, e[1] / c.groups, kernel) : spatial(e[1], more / c.groups, kernel));
    int y = push(c, spatial(e[0], more, other), {x, w});
    for (std::int64_t n = r.below(4); n > 0; --n) {  // an epilogue
      extents s = shape(y);
      static constexpr ops::axis_set repeated[] = {0, 29, 28, 31};
      s = graph::algebra::flattened(s, repeated[r.below(4)]);
      y = map(chance(50) ? ops::fn::add : ops::fn::multiply, {tame(y), broadcast(leaf(s), shape(y))});
      if (chance(30)) y = map(ops::fn::relu, {y});
    }
  }
  /// Attention with what rides along; and, half the time, its gradient and all further results.
  void attend(int x) {
    const std::int64_t n = shape(x).size();
    std::int64_t lead = 1 + r.below(2), tokens = 1 + r.below(4);
    if (n % lead != 0) lead = 1;
    while (n / lead % tokens != 0) --tokens;
    const std::int64_t features = n / lead / tokens, keys = chance(50) ? tokens : 1 + r.below(4), width = 1 + r.below(4);
    if (features > 8) return;
    const extents q = make_extents(lead, tokens, features), k = make_extents(lead, keys, features),
                  scores = make_extents(lead, tokens, keys);
    std::vector<int> args{tame(reshape(x, q)), 0, like(make_extents(lead, keys, width))};
    args[1] = keys == tokens && chance(50) ? args[0] : tame(like(k));
    ops::attention op{r.uniform(0.2, 1.2), chance(30), chance(50), 0};
    if (op.bias) args.push_back(tame(leaf(graph::algebra::flattened(scores, r.below(8)))));
    if (chance(50)) {
      op.mask = keys == tokens && chance(50) ? 2 : 1;
      const extents m = op.mask == 2 ? make_extents(lead, 1, keys) : graph::algebra::flattened(scores, r.below(4));
      args.push_back(map(ops::fn::less, {leaf(m), push(ops::fill{op.mask == 2 ? 0 : 0.9}, m, {})}));
    }
    const int y = push(op, make_extents(lead, tokens, width), args);
    if (chance(50) || !(largest(value(y).more[1]) < 1e3)) return;  // infinite where a row sees nothing
    const auto further = [&](int of, int which) { return push(ops::further_result{which}, value(of).more[at(which)].shape, {of}); };
    const int sums = further(y, 1);
    args.insert(args.end(), {y, sums, like(shape(y))});
    const int dq = push(ops::attention_gradient{op.scale, op.causal, op.bias, op.mask}, q, args);
    for (int which = 1; which < 3 + (op.bias != 0); ++which)
      if (chance(70)) further(dq, which);
  }
  /// Convolutions that may agree on layouts between them, with what is around them in a network. A channel is a cache line.
  void network() {
    const std::int64_t batch = chance(70) ? 1 : 2;
    const std::int64_t space[3] = {2, 2, 4};
    int x = leaf(make_extents(batch, 1 + r.below(4), space[0], space[1], space[2]));
    std::vector<int> earlier{x};
    for (std::int64_t layers = 2 + r.below(3); layers > 0; --layers) {
      const extents e = shape(x);
      ops::convolution c;
      c.which = chance(75) ? 0 : 1;
      std::int64_t kernel[3] = {};
      for (std::size_t a = 0; a < 3; ++a) c.extent[a] = space[a], c.lo[a] = r.below(2), kernel[a] = 1 + 2 * c.lo[a];
      c.groups = e[1] % 2 == 0 && chance(20) ? 2 : 1;
      extents to = e;
      to[1] = c.groups * (1 + r.below(4 / c.groups));
      extents w = make_extents(c.which == 0 ? to[1] : e[1], (c.which == 0 ? e[1] : to[1]) / c.groups, kernel[0], kernel[1], kernel[2]);
      if (chance(15)) x = map(ops::fn::multiply, {x, broadcast(leaf(make_extents(batch, e[1], 1, 1, 1)), e)});
      x = push(c, to, {x, leaf(w)});
      if (chance(70)) x = map(ops::fn::add, {x, broadcast(leaf(make_extents(to[1], 1, 1, 1)), to)});
      if (chance(60)) x = map(chance(50) ? ops::fn::relu : ops::fn::sin, {x});
      if (chance(40))
        for (const int before : earlier)
          if (shape(before) == to) {
            x = map(ops::fn::add, {x, before});
            break;
          }
      if (chance(20)) reduce(ops::reduction::sum, x, chance(50) ? 29 : 28);
      if (chance(20) && to[1] > 1) {
        ops::slice s;
        for (int a = 0; a < 5; ++a) s.step[a] = 1;
        extents part = to;
        part[1] -= 1, s.start[1] = r.below(2);
        x = push(s, part, {x});
      }
      if (const extents now = shape(x); chance(25) && now[1] < 4) {
        extents both = now;
        const int other = map(ops::fn::exp, {tame(x)});
        both[1] *= 2;
        x = push(ops::concat{1}, both, {x, other});
      }
      if (chance(25)) {  // a norm
        const extents now = shape(x);
        const bool keeps_samples = chance(60);
        const ops::axis_set pixels = keeps_samples ? 28 : 29;
        const auto spread = [&](int of) { return broadcast(reshape(of, make_extents(keeps_samples ? now[0] : 1, now[1], 1, 1, 1)), now); };
        const int mean = spread(reduce(ops::reduction::mean, x, pixels));
        const int variance = reduce(ops::reduction::mean, map(ops::fn::square, {map(ops::fn::subtract, {x, mean})}), pixels);
        x = map(ops::fn::add, {map(ops::fn::subtract, {x, mean}), spread(variance)});
      }
      if (chance(25)) {  // windows that keep the space, for the next one
        ops::pool_window around;
        around.count_include_pad = chance(50);
        for (int a = 0; a < 3; ++a) around.kernel[a] = chance(70) ? 3 : 1, around.lo[a] = around.hi[a] = around.kernel[a] / 2;
        x = chance(50) ? push(ops::max_pool{around, 0}, shape(x), {x, x}) : push(ops::avg_pool{around, 0}, shape(x), {x});
      }
      earlier.push_back(x);
    }
  }
  void rows(int x) {  // numbers on both sides of 0 and 1: some are no rows
    const extents e = shape(x);
    if (e.rank == 0 || e.size() == 0) return;
    const std::int64_t last = e[e.rank - 1], before = e.size() / last, count = 1 + r.below(4);
    if (before * count > most) return;
    const int table = push(ops::reshape{}, make_extents(1, before, last, 1), {x});
    if (chance(50))
      push(ops::gather{last, 0}, make_extents(1, before, count, 1), {table, leaf(make_extents(1, count))});
    else
      push(ops::gather{count, 1}, make_extents(1, before, count, 1), {table, leaf(make_extents(1, last))});
  }
  void pool(int x) {
    x = volume(x);
    const extents e = shape(x);
    ops::pool_window w;
    w.adaptive = chance(25), w.count_include_pad = chance(50), w.divisor = chance(20) ? 2 : 0;
    extents y = e;
    for (int a = 0; a < 3; ++a) {
      w.kernel[a] = 1 + r.below(std::min<std::int64_t>(3, e[2 + a])), w.stride[a] = 1 + r.below(2), w.dilation[a] = chance(20) ? 2 : 1;
      w.lo[a] = w.hi[a] = r.below(w.kernel[a] / 2 + 1);
      const std::int64_t room = e[2 + a] + w.lo[a] + w.hi[a] - (w.dilation[a] * (w.kernel[a] - 1) + 1);
      if (room < 0) return;
      y[2 + a] = w.adaptive ? 1 + r.below(e[2 + a] + 2) : room / w.stride[a] + 1;
      if (y[2 + a] > 6) return;
      // a window of padding alone has no maximum
      for (std::int64_t o = 0; o < y[2 + a] && !w.adaptive; ++o) {
        bool any_inside = false;
        for (std::int64_t k = 0; k < w.kernel[a]; ++k) {
          const std::int64_t i = o * w.stride[a] - w.lo[a] + k * w.dilation[a];
          any_inside = any_inside || (i >= 0 && i < e[2 + a]);
        }
        if (!any_inside) return;
      }
    }
    switch (r.below(5)) {
      case 0:
        push(ops::max_pool{w, 0}, y, {x, x});
        return;
      case 1:
        push(ops::max_pool{w, 0}, y, {x, like(e)});
        return;
      case 2:
        push(ops::max_pool{w, 1}, e, {x, like(y)});
        return;
      case 3:
        push(ops::avg_pool{w, 0}, y, {x});
        return;
      default:
        push(ops::avg_pool{w, 1}, e, {like(y)});
        return;
    }
  }
};

/// The nodes as they are, each made without a look at it; `number[i]` becomes item i's node.
inline void build_plainly(graph::builder& g, const items& all, std::vector<int>& number) {
  number.clear();
  for (const item& n : all) {
    std::vector<int> args;
    for (const int a : n.args) args.push_back(number[at(a)]);
    const auto reshaped = [&](int x, const extents& e) { return g.make(ops::reshape{}, e, &x, 1); };
    if (n.op == bank_convolution) {
      auto c = ops::decode<ops::convolution>(n.attributes);
      const extents x = g.shape(args[0]), w = g.shape(args[1]), &y = n.shape;
      c.groups *= x[0];
      const int flat[] = {reshaped(args[0], make_extents(1, x[0] * x[1], x[2], x[3], x[4])),
                          reshaped(args[1], make_extents(w[0] * w[1], w[2], w[3], w[4], w[5]))};
      number.push_back(reshaped(g.make(c, make_extents(1, y[0] * y[1], y[2], y[3], y[4]), flat, 2), y));
    } else {
      number.push_back(g.make(n.op, g.intern(n.attributes), g.intern(n.shape), args.data(), static_cast<int>(args.size())));
    }
  }
}

/// The same through the smart constructors; barriers stay.
inline void build_simplified(graph::contractor& g, const items& all, std::vector<int>& number) {
  graph::contractor plain;
  std::vector<int> as_they_are;
  build_plainly(plain, all, as_they_are);
  number.clear();
  std::vector<int> made(at(plain.nodes.size), -1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const item& n = all[i];
    if (n.op == bank_convolution)
      number.push_back(g.convolution_per_sample(ops::decode<ops::convolution>(n.attributes), number[at(n.args[0])], number[at(n.args[1])]));
    else if (n.is<ops::barrier>())
      number.push_back(g.barrier(number[at(n.args[0])], ops::decode<ops::barrier>(n.attributes).stops_gradient != 0));
    else
      number.push_back(graph::remake(g, plain, as_they_are[i], made.data()));
    made[at(as_they_are[i])] = number.back();
  }
}

}  // namespace graph_test
