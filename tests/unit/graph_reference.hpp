// What a graph means: the value of each node by the definition of its primitive, in double, as plainly as it can be written. The passes are
// ordinary functions over graph values, so the tests call them at run time and compare what this says before and after.
#pragma once

#include "kernels_support.hpp"

#include <volute/graph/frozen.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace graph_test {

using namespace volute;
using kernels_test::numbers;

struct tensor {
  extents shape{};
  std::vector<double> v;
  std::vector<tensor> more{};  // all results of its node, if it has several
};
inline tensor filled(const extents& e, double value = 0) { return {e, std::vector<double>(static_cast<std::size_t>(e.size()), value)}; }
inline std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// A node: a primitive over earlier nodes.
struct item {
  int op = 0;
  ops::attributes attributes{};
  extents shape{};
  std::vector<int> args;

  template <class Op>
  bool is() const {
    return op == ops::opcode<Op>;
  }
};
using items = std::vector<item>;

inline items items_of(const graph::builder& g) {
  items all;
  for (int i = 0; i < g.nodes.size; ++i) {
    const graph::node& n = g.nodes[i];
    item it{n.op, g.attributes[n.attribute], g.shape(i), {}};
    for (int k = 0; k < n.count; ++k) it.args.push_back(g.operand(i, k));
    all.push_back(it);
  }
  return all;
}

using index = std::array<std::int64_t, max_rank>;
/// f(index, element) for each element of a shape, row-major.
template <class F>
void each(const extents& e, F f) {
  index i{};
  for (std::int64_t n = 0; n < e.size(); ++n) {
    f(i, n);
    for (int a = e.rank - 1; a >= 0 && ++i[at(a)] == e[a]; --a) i[at(a)] = 0;
  }
}
inline std::int64_t place_of(const extents& e, const index& i) {
  std::int64_t n = 0;
  for (int a = 0; a < e.rank; ++a) n = n * e[a] + i[at(a)];
  return n;
}

inline double apply(ops::fn f, double a, double b, double c) {
  using ops::fn;
  // clang-format off
  switch (f) {
    case fn::identity: return a;
    case fn::negate: return -a;
    case fn::abs: return std::fabs(a);
    case fn::sign: return a > 0 ? 1 : a < 0 ? -1 : 0;
    case fn::reciprocal: return 1 / a;
    case fn::square: return a * a;
    case fn::sqrt: return std::sqrt(a);
    case fn::rsqrt: return 1 / std::sqrt(a);
    case fn::exp: return std::exp(a);
    case fn::expm1: return std::expm1(a);
    case fn::log: return std::log(a);
    case fn::log1p: return std::log1p(a);
    case fn::sin: return std::sin(a);
    case fn::cos: return std::cos(a);
    case fn::floor: return std::floor(a);
    case fn::tanh: return std::tanh(a);
    case fn::sigmoid: return 1 / (1 + std::exp(-a));
    case fn::softplus: return a > 0 ? a + std::log1p(std::exp(-a)) : std::log1p(std::exp(a));
    case fn::erf: return std::erf(a);
    case fn::relu: return a > 0 ? a : 0;
    case fn::step: return a > 0 ? 1 : 0;
    case fn::add: return a + b;
    case fn::subtract: return a - b;
    case fn::multiply: return a * b;
    case fn::divide: return a / b;
    case fn::minimum: return a < b ? a : b;
    case fn::maximum: return a > b ? a : b;
    case fn::power: return std::pow(a, b);
    case fn::less: return a < b ? 1 : 0;
    case fn::less_equal: return a <= b ? 1 : 0;
    case fn::equal: return a == b ? 1 : 0;
    case fn::leaky: return a > 0 ? a : a * b;
    case fn::select: return a != 0 ? b : c;
  }
  // clang-format on
  return NAN;
}

/// f(x, w, y) for each product x * w that is added to y in the three faces of a convolution.
template <class F>
void each_product(const ops::conv_geometry& q, F f) {
  const extents y = make_extents(q.batch, q.out_channels, q.out[0], q.out[1], q.out[2]);
  const extents x = make_extents(q.batch, q.in_channels, q.in[0], q.in[1], q.in[2]);
  const extents taps = make_extents(q.group_in(), q.kernel[0], q.kernel[1], q.kernel[2]);
  each(y, [&](const index& o, std::int64_t to) {
    each(taps, [&](const index& k, std::int64_t tap) {
      index from{o[0], o[1] / q.group_out() * q.group_in() + k[0]};
      for (std::size_t a = 0; a < 3; ++a) {
        from[2 + a] = o[2 + a] * q.stride[a] - q.lo[a] + k[1 + a] * q.dilation[a];
        if (from[2 + a] < 0 || from[2 + a] >= q.in[a]) return;
      }
      f(place_of(x, from), o[1] * taps.size() + tap, to);
    });
  });
}

/// f(window, elements of x in it, divisor of an average) for each window of each plane.
template <class F>
void each_window(const ops::pool_geometry& q, F f) {
  const extents x = make_extents(q.planes, q.in[0], q.in[1], q.in[2]);
  each(make_extents(q.planes, q.out[0], q.out[1], q.out[2]), [&](const index& o, std::int64_t window) {
    std::int64_t first[3], count[3], step[3], padded = 1;
    for (std::size_t a = 0; a < 3; ++a) {
      const std::int64_t i = o[1 + a];
      first[a] = q.adaptive ? i * q.in[a] / q.out[a] : i * q.stride[a] - q.lo[a];
      count[a] = q.adaptive ? ((i + 1) * q.in[a] + q.out[a] - 1) / q.out[a] - first[a] : q.kernel[a];
      step[a] = q.adaptive ? 1 : q.dilation[a];
      std::int64_t on = 0;
      for (std::int64_t k = 0; k < count[a]; ++k) on += first[a] + k * step[a] < q.in[a] + q.hi[a];
      padded *= on;
    }
    std::vector<std::int64_t> inside;
    each(make_extents(count[0], count[1], count[2]), [&](const index& k, std::int64_t) {
      index from{o[0]};
      for (std::size_t a = 0; a < 3; ++a) {
        from[1 + a] = first[a] + k[a] * step[a];
        if (from[1 + a] < 0 || from[1 + a] >= q.in[a]) return;
      }
      inside.push_back(place_of(x, from));
    });
    const std::int64_t divisor = q.divisor > 0                        ? q.divisor
                                 : q.adaptive || !q.count_include_pad ? static_cast<std::int64_t>(inside.size())
                                                                      : padded;
    f(window, inside, static_cast<double>(divisor));
  });
}

/// Attention by its definition: the result and log(sum(exp(scores))) of each row, or, with the gradient `g` that arrives, the gradients by
/// q, k, v and the bias. Rows of the batch, queries and keys are walked as they come.
inline std::vector<tensor> attention_results(const ops::attention& op, const std::vector<const tensor*>& x, const tensor* g) {
  const extents q = x[0]->shape, k = x[1]->shape, v = x[2]->shape;
  const int rank = q.rank;
  extents rows = q, scores = q, result = q;
  rows.rank = rank - 1, scores[rank - 1] = k[rank - 2], result[rank - 1] = v[rank - 1];
  std::vector<tensor> y = g ? std::vector<tensor>{filled(q), filled(k), filled(v)} : std::vector<tensor>{filled(result), filled(rows)};
  if (g && op.bias != 0) y.push_back(filled(x[3]->shape));
  const auto repeated = [&](const tensor& t, index i) {
    for (int a = 0; a < t.shape.rank; ++a) i[at(a)] = t.shape[a] == 1 ? 0 : i[at(a + rank - t.shape.rank)];
    return place_of(t.shape, i);
  };
  each(rows, [&](const index& i, std::int64_t row) {
    const std::int64_t matrix = row / q[rank - 2], query = row % q[rank - 2], keys = k[rank - 2];
    std::vector<double> s(at(keys)), along(at(keys));
    double sum = 0, inner = 0;
    for (std::int64_t j = 0; j < keys; ++j) {
      index ij = i, ji = i;
      ij[at(rank - 1)] = j, ji[at(rank - 2)] = 0, ji[at(rank - 1)] = query;
      for (std::int64_t f = 0; f < q[rank - 1]; ++f)
        s[at(j)] += op.scale * x[0]->v[at(row * q[rank - 1] + f)] * x[1]->v[at((matrix * keys + j) * q[rank - 1] + f)];
      if (op.bias != 0) s[at(j)] += x[3]->v[at(repeated(*x[3], ij))];
      const tensor& m = *x[at(op.operands() - 1)];
      const bool seen =
          op.mask == 0 || (op.mask == 1 ? m.v[at(repeated(m, ij))] != 0 : m.v[at(repeated(m, ij))] == m.v[at(repeated(m, ji))]);
      if (!seen || (op.causal != 0 && j > query)) s[at(j)] = -INFINITY;
      sum += std::exp(s[at(j)]);
    }
    if (!g) y[1].v[at(row)] = sum == 0 ? INFINITY : std::log(sum);
    for (std::int64_t j = 0; j < keys; ++j) {
      s[at(j)] = sum == 0 ? 0 : std::exp(s[at(j)]) / sum;
      for (std::int64_t f = 0; f < v[rank - 1]; ++f) {
        const std::size_t from = at((matrix * keys + j) * v[rank - 1] + f), to = at(row * v[rank - 1] + f);
        if (!g) y[0].v[to] += s[at(j)] * x[2]->v[from];
        if (g) along[at(j)] += g->v[to] * x[2]->v[from], y[2].v[from] += s[at(j)] * g->v[to];
      }
      inner += s[at(j)] * along[at(j)];
    }
    for (std::int64_t j = 0; j < keys && g; ++j) {
      index ij = i;
      ij[at(rank - 1)] = j;
      const double slope = s[at(j)] * (along[at(j)] - inner);
      if (op.bias != 0) y[3].v[at(repeated(*x[3], ij))] += slope;
      for (std::int64_t f = 0; f < q[rank - 1]; ++f) {
        const std::size_t a = at(row * q[rank - 1] + f), b = at((matrix * keys + j) * q[rank - 1] + f);
        y[0].v[a] += slope * op.scale * x[1]->v[b], y[1].v[b] += slope * op.scale * x[0]->v[a];
      }
    }
  });
  return y;
}

/// The number that a random tensor has at a place; any function of these two will do.
inline double random_number(std::int64_t stream, std::int64_t i, std::int64_t run) {
  numbers r(static_cast<std::uint64_t>((stream * 1000003 + i) * 31 + run));
  r.bits();
  return r.uniform(0, 1);
}

/// One primitive over its operands' values, into `y`, which has its shape and zeros. Leaves are not asked for.
template <class Op>
void define(const Op& op, const std::vector<const tensor*>& x, std::int64_t run, tensor& y) {
  const extents& e = y.shape;
  const auto put = [&](auto f) { each(e, [&](const index& i, std::int64_t n) { y.v[at(n)] = f(i, n); }); };
  if constexpr (std::is_same_v<Op, ops::fill>) {
    put([&](const index&, std::int64_t) { return op.value; });
  } else if constexpr (std::is_same_v<Op, ops::random>) {
    put([&](const index&, std::int64_t n) { return random_number(op.stream, n, run); });
  } else if constexpr (std::is_same_v<Op, ops::arange>) {
    put([&](const index&, std::int64_t n) { return static_cast<double>(n); });
  } else if constexpr (std::is_same_v<Op, ops::barrier> || std::is_same_v<Op, ops::reshape> || std::is_same_v<Op, ops::all_reduce>) {
    y.v = x[0]->v;
  } else if constexpr (std::is_same_v<Op, ops::halo>) {  // of a slab by itself
    put([&](const index& i, std::int64_t) {
      index from = i;
      from[2] += op.adjoint != 0 ? op.lo : -op.lo;
      return from[2] >= 0 && from[2] < x[0]->shape[2] ? x[0]->v[at(place_of(x[0]->shape, from))] : 0.0;
    });
  } else if constexpr (std::is_same_v<Op, ops::elementwise>) {
    put([&](const index&, std::int64_t n) {
      return apply(op.f(), x[0]->v[at(n)], x.size() > 1 ? x[1]->v[at(n)] : 0, x.size() > 2 ? x[2]->v[at(n)] : 0);
    });
  } else if constexpr (std::is_same_v<Op, ops::broadcast>) {
    const extents& s = x[0]->shape;
    put([&](const index& i, std::int64_t) {
      index from{};
      for (int a = 0; a < s.rank; ++a) from[at(a)] = s[a] == 1 ? 0 : i[at(a + e.rank - s.rank)];
      return x[0]->v[at(place_of(s, from))];
    });
  } else if constexpr (std::is_same_v<Op, ops::reduce>) {
    if (op.how() == ops::reduction::maximum) std::fill(y.v.begin(), y.v.end(), -INFINITY);
    each(x[0]->shape, [&](const index& i, std::int64_t n) {
      index to{};
      int rank = 0;
      for (int a = 0; a < x[0]->shape.rank; ++a)
        if (!ops::contains(op.axes, a)) to[at(rank++)] = i[at(a)];
      double& sum = y.v[at(place_of(e, to))];
      sum = op.how() == ops::reduction::maximum ? std::fmax(sum, x[0]->v[at(n)]) : sum + x[0]->v[at(n)];
    });
    if (op.how() == ops::reduction::mean && e.size() > 0)
      for (double& mean : y.v) mean /= static_cast<double>(x[0]->shape.size() / e.size());
  } else if constexpr (std::is_same_v<Op, ops::transpose>) {
    put([&](const index& i, std::int64_t) {
      index from{};
      for (int a = 0; a < e.rank; ++a) from[at(op.axis[a])] = i[at(a)];
      return x[0]->v[at(place_of(x[0]->shape, from))];
    });
  } else if constexpr (std::is_same_v<Op, ops::slice>) {
    put([&](const index& i, std::int64_t) {
      index from{};
      for (int a = 0; a < e.rank; ++a) from[at(a)] = op.start[a] + i[at(a)] * op.step[a];
      return x[0]->v[at(place_of(x[0]->shape, from))];
    });
  } else if constexpr (std::is_same_v<Op, ops::pad>) {
    std::fill(y.v.begin(), y.v.end(), op.value);
    each(x[0]->shape, [&](const index& i, std::int64_t n) {
      index to{};
      for (int a = 0; a < e.rank; ++a) to[at(a)] = op.lo[a] + i[at(a)] * (op.interior[a] + 1);
      y.v[at(place_of(e, to))] = x[0]->v[at(n)];
    });
  } else if constexpr (std::is_same_v<Op, ops::concat>) {
    std::int64_t start = 0;
    for (const tensor* part : x) {
      each(part->shape, [&](index i, std::int64_t n) {
        i[at(op.axis)] += start;
        y.v[at(place_of(e, i))] = part->v[at(n)];
      });
      start += part->shape[static_cast<int>(op.axis)];
    }
  } else if constexpr (std::is_same_v<Op, ops::matmul>) {
    const extents &p = x[0]->shape, &q = x[1]->shape;
    const bool ta = op.transpose_a != 0, tb = op.transpose_b != 0;
    put([&](const index& i, std::int64_t) {
      double sum = 0;
      for (std::int64_t k = 0; k < p[ta ? 1 : 2]; ++k) {
        const std::int64_t a = p[0] == 1 ? 0 : i[0], b = q[0] == 1 ? 0 : i[0];
        sum += x[0]->v[at(ta ? place_of(p, {a, k, i[1]}) : place_of(p, {a, i[1], k}))] *
               x[1]->v[at(tb ? place_of(q, {b, i[2], k}) : place_of(q, {b, k, i[2]}))];
      }
      return sum;
    });
  } else if constexpr (std::is_same_v<Op, ops::convolution>) {
    each_product(op.geometry(x[0]->shape, x[1]->shape), [&](std::int64_t in, std::int64_t tap, std::int64_t out) {
      if (op.face() == ops::face::forward) y.v[at(out)] += x[0]->v[at(in)] * x[1]->v[at(tap)];
      if (op.face() == ops::face::data) y.v[at(in)] += x[0]->v[at(out)] * x[1]->v[at(tap)];
      if (op.face() == ops::face::weights) y.v[at(tap)] += x[0]->v[at(in)] * x[1]->v[at(out)];
    });
  } else if constexpr (std::is_same_v<Op, ops::max_pool>) {
    const std::vector<double>&all = x[0]->v, &v = x[1]->v;
    each_window(op.window.geometry(x[0]->shape, op.scatters ? x[1]->shape : e), [&](std::int64_t w, const auto& inside, double) {
      std::int64_t best = inside[0];
      for (const std::int64_t i : inside)
        if (all[at(i)] > all[at(best)]) best = i;
      if (op.scatters)
        y.v[at(best)] += v[at(w)];
      else
        y.v[at(w)] = v[at(best)];
    });
  } else if constexpr (std::is_same_v<Op, ops::avg_pool>) {
    const std::vector<double>& v = x[0]->v;
    each_window(op.adjoint ? op.window.geometry(e, x[0]->shape) : op.window.geometry(x[0]->shape, e),
                [&](std::int64_t w, const auto& inside, double divisor) {
                  for (const std::int64_t i : inside) {
                    if (op.adjoint)
                      y.v[at(i)] += v[at(w)] / divisor;
                    else
                      y.v[at(w)] += v[at(i)] / divisor;
                  }
                });
  } else if constexpr (std::is_same_v<Op, ops::gather>) {
    const extents t = op.adjoint ? e : x[0]->shape, n = x[1]->shape;
    for (std::int64_t b = 0; b < t[0]; ++b)
      for (std::int64_t o = 0; o < t[1]; ++o)
        for (std::int64_t j = 0; j < n[1]; ++j)
          for (std::int64_t i = 0; i < t[3]; ++i) {
            const double number = x[1]->v[at((n[0] == 1 ? 0 : b) * n[1] + j)];
            if (!(number >= 0 && number < static_cast<double>(t[2]))) continue;
            const auto row = ((b * t[1] + o) * t[2] + static_cast<std::int64_t>(number)) * t[3] + i;
            const auto taken = ((b * t[1] + o) * n[1] + j) * t[3] + i;
            if (op.adjoint)
              y.v[at(row)] += x[0]->v[at(taken)];
            else
              y.v[at(taken)] = x[0]->v[at(row)];
          }
  } else if constexpr (std::is_same_v<Op, ops::attention> || std::is_same_v<Op, ops::attention_gradient>) {
    if constexpr (std::is_same_v<Op, ops::attention>)
      y.more = attention_results(op, x, nullptr);
    else
      y.more = attention_results(op.of(), x, x.back());
    y.v = y.more[0].v;
  } else if constexpr (std::is_same_v<Op, ops::further_result>) {
    y.v = x[0]->more[at(op.which)].v;
  } else {
    static_assert(std::is_same_v<Op, ops::input> || std::is_same_v<Op, ops::parameter>, "a primitive without a definition");
  }
}

/// The tensors that inputs and parameters stand for in a run.
struct leaves {
  std::vector<tensor> inputs, parameters;
  std::int64_t run = 0;
};

struct evaluation {
  const leaves& given;
  const std::vector<tensor>* stopped = nullptr;  // values that barriers against gradients keep, whatever the leaves
  numbers* noise = nullptr;                      // each element is off by 1e-13: what that changes much, no rewrite can keep

  /// The values of the nodes that `wanted` need; the others stay empty.
  std::vector<tensor> operator()(const items& all, const std::vector<int>& wanted) const {
    std::vector<char> live(all.size(), 0);
    for (const int w : wanted) live[at(w)] = 1;
    for (std::size_t i = all.size(); i-- > 0;)
      if (live[i])
        for (const int a : all[i].args) live[at(a)] = 1;
    std::vector<tensor> value(all.size());
    for (std::size_t i = 0; i < all.size(); ++i)
      if (live[i]) value[i] = one(all[i], value, i);
    return value;
  }

  tensor one(const item& n, const std::vector<tensor>& value, std::size_t i) const {
    if (n.is<ops::input>()) return given.inputs[at(ops::decode<ops::input>(n.attributes).slot)];
    if (n.is<ops::parameter>()) return given.parameters[at(ops::decode<ops::parameter>(n.attributes).slot)];
    if (stopped && n.is<ops::barrier>() && ops::decode<ops::barrier>(n.attributes).stops_gradient != 0) return (*stopped)[i];
    tensor y = filled(n.shape);
    std::vector<const tensor*> x;
    for (const int a : n.args) x.push_back(&value[at(a)]);
    ops::primitives::visit(n.op, n.attributes, [&](const auto& op) { define(op, x, given.run, y); });
    if (noise)
      for (double& v : y.v) v *= 1 + 1e-13 * noise->uniform(-1, 1);
    return y;
  }
};

inline double largest(const tensor& t) {
  double most = 0;
  for (const double v : t.v) most = std::isfinite(v) ? std::fmax(most, std::fabs(v)) : INFINITY;
  return most;
}
/// The largest difference, relative to the largest magnitude (at least 1); infinity for what is no number.
inline double difference(const tensor& a, const tensor& b) {
  if (!(a.shape == b.shape)) return INFINITY;
  double most = 0;
  for (std::size_t i = 0; i < a.v.size(); ++i) {
    const double d = std::fabs(a.v[i] - b.v[i]);
    if (!(d <= most)) most = std::isnan(d) ? INFINITY : d;
  }
  return most / std::fmax(1.0, std::fmin(largest(a), largest(b)));
}

/// The nodes that `root` needs, one a line.
inline std::string describe(const items& all, int root) {
  static constexpr const char* function[] = {
      "identity", "negate",   "abs",    "sign",    "reciprocal", "square",   "sqrt", "rsqrt",      "exp",   "expm1", "log",
      "log1p",    "sin",      "cos",    "tanh",    "sigmoid",    "softplus", "erf",  "floor",      "relu",  "step",  "add",
      "subtract", "multiply", "divide", "minimum", "maximum",    "power",    "less", "less_equal", "equal", "leaky", "select"};
  std::vector<char> live(all.size(), 0);
  live[at(root)] = 1;
  for (std::size_t i = all.size(); i-- > 0;)
    if (live[i])
      for (const int a : all[i].args) live[at(a)] = 1;
  std::string s;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!live[i]) continue;
    const item& n = all[i];
    s += "  n" + std::to_string(i) + " = ";
    s += n.op < 0 ? "bank convolution" : n.is<ops::elementwise>() ? function[n.attributes.word[0]] : ops::primitive_name[at(n.op)];
    for (const int a : n.args) s += " n" + std::to_string(a);
    if (n.is<ops::fill>())
      s += " " + std::to_string(ops::decode<ops::fill>(n.attributes).value);
    else if (n.attributes.words > 0 && !n.is<ops::elementwise>()) {
      s += " {";
      for (int k = 0; k < n.attributes.words; ++k) s += (k ? " " : "") + std::to_string(n.attributes.word[k]);
      s += "}";
    }
    line shape;
    shape << n.shape;
    s += " : " + std::string(shape.view()) + "\n";
  }
  return s;
}

}  // namespace graph_test
