// Scaled dot-product attention, softmax(scale q k^T + bias) v: the primitive and its gradient, whose kernels never hold the scores, and the
// function of the language. Both primitives have several results: their own value, and `further_result`s.
#pragma once

#include <volute/ops/rule.hpp>

#include <cstdint>
#include <limits>

namespace volute::ops {

/// Result `which` (from 1 on) of its operand, an attention or an attention_gradient; the operand's own value is result 0.
struct further_result {
  std::int64_t which = 0;
  template <class R>
  static constexpr void derivative(const further_result& op, R& r);
};

/// What keys a query sees, beside the bias.
enum class attention_mask : std::int64_t {
  none,
  elements,  // where a tensor like the scores is not 0
  groups,    // those with its own number in a tensor of one number a token
  terms,     // all: a second bias
};

/// q (lead..., L, D), k (lead..., S, D), v (lead..., S, E), a bias and a mask if there are any -> (lead..., L, E). A bias and a mask of
/// elements or terms repeat to the scores (lead..., L, S), groups to (lead..., 1, S). Result 1: log(sum(exp(scores))) of each row (lead..., L).
struct attention {
  double scale = 1;
  std::int64_t causal = 0, bias = 0, mask = 0;  // query i sees keys up to i; whether there is a bias; of attention_mask

  constexpr int operands() const { return 3 + (bias != 0) + (mask != 0); }

  /// Formulas that hold the scores. The weights: their softmax (batch, L, S), 0 in rows that see nothing; or result 1.
  template <class V, class R>
  constexpr V weights(const V* x, R& r, bool sums = false) const {
    extents scores = r.shape_of(x[0]);
    scores[scores.rank - 1] = r.shape_of(x[1])[scores.rank - 2];
    const double infinity = std::numeric_limits<double>::infinity();
    const extents flat = make_extents(scores.size() / scores.stride(scores.rank - 3), scores[scores.rank - 2], scores[scores.rank - 1]);
    V s = r.reshape(r.matmul(r.reshape(x[0], rows_of(r.shape_of(x[0]))), r.reshape(x[1], rows_of(r.shape_of(x[1]))), false, true) * scale,
                    scores);
    const V nothing = s.like(-infinity);
    if (bias != 0) s = s + x[3];
    if (mask == static_cast<std::int64_t>(attention_mask::terms))
      s = s + x[operands() - 1];
    else if (mask != 0)
      s = select(visible(x[operands() - 1], r), s, nothing);
    if (causal != 0) s = select(less_equal(r.positions(scores[scores.rank - 1], 1), r.positions(scores[scores.rank - 2], 0)), s, nothing);
    s = r.reshape(s, flat);
    const V largest = r.constant(r.maximum(s, axis_bit(2)));
    const V sees = less(largest.like(-infinity), largest);
    const V e = exp(s - r.restore(select(sees, largest, largest.like(0)), axis_bit(2), flat));
    const V sum = select(sees, r.sum(e, axis_bit(2)), largest.like(1));
    if (!sums) return e / r.restore(sum, axis_bit(2), flat);
    scores.rank -= 1;
    return r.reshape(select(sees, log(sum) + largest, largest.like(infinity)), scores);
  }
  template <class R>
  static constexpr void derivative(const attention& op, R& r);

 private:
  static constexpr extents rows_of(const extents& e) {
    return make_extents(e.size() / (e[e.rank - 2] * e[e.rank - 1]), e[e.rank - 2], e[e.rank - 1]);
  }
  template <class V, class R>
  constexpr V visible(V m, R& r) const {
    if (mask == static_cast<std::int64_t>(attention_mask::elements)) return m;
    extents e = r.shape_of(m);
    e[e.rank - 2] = e[e.rank - 1], e[e.rank - 1] = 1;
    return equal(m, r.reshape(m, e));
  }
};

/// The gradient of attention: its operands, its result, its result 1 and the gradient that arrives give the gradients by q (its value), by
/// k, v and the bias (results 1 to 3).
struct attention_gradient {
  double scale = 1;
  std::int64_t causal = 0, bias = 0, mask = 0;

  constexpr attention of() const { return {scale, causal, bias, mask}; }
  constexpr int operands() const { return of().operands() + 3; }

  /// A tensor with all axes but its last two in one.
  template <class V, class R>
  static constexpr V matrices(R& r, V tensor, const extents& e) {
    const std::int64_t rows = e[e.rank - 2], columns = e[e.rank - 1];
    return r.reshape(tensor, make_extents(e.size() / (rows * columns), rows, columns));
  }

  /// Result `which` as a formula, which holds the scores: what derivatives of higher order are made of. 4: that by terms, which is no result.
  template <class V, class R>
  constexpr V formula(const V* x, R& r, int which) const {
    const extents q = r.shape_of(x[0]), k = r.shape_of(x[1]), v = r.shape_of(x[2]);
    extents scores = q;
    scores[q.rank - 1] = k[k.rank - 2];
    const V p = of().weights(x, r), g = matrices(r, x[operands() - 1], r.shape_of(x[operands() - 1]));
    if (which == 2) return r.reshape(r.matmul(p, g, true, false), v);
    const V along = r.matmul(g, matrices(r, x[2], v), false, true);
    const V slope = p * (along - r.restore(r.sum(p * along, axis_bit(2)), axis_bit(2), r.shape_of(p)));
    if (which >= 3) return r.sum_to(r.reshape(slope, scores), r.shape_of(x[which]));
    if (which == 1) return r.reshape(r.matmul(slope, matrices(r, x[0], q), true, false) * scale, k);
    return r.reshape(r.matmul(slope, matrices(r, x[1], k), false, false) * scale, q);
  }
  template <class R>
  static constexpr void derivative(const attention_gradient& op, R& r) {
    r.give_by_formula(r.node, [&](const auto* read) { return op.formula(read, r, 0); });
  }
};

template <class R>
constexpr void further_result::derivative(const further_result& op, R& r) {
  const int of = r.id(0);
  r.give_by_formula(of, [&](const auto* read) {
    if (r.template is<attention_gradient>(of)) return r.template as<attention_gradient>(of).formula(read, r, static_cast<int>(op.which));
    return r.template as<attention>(of).weights(read, r, true);
  });
}

template <class R>
constexpr void attention::derivative(const attention& op, R& r) {
  const auto all = r.attention_gradient({op.scale, op.causal, op.bias, op.mask});
  if (r.needs(0)) r.give(0, all);
  for (int k = 1; k < 3 + (op.bias != 0); ++k)
    if (r.needs(k)) r.give(k, r.further_result(all, k, r.shape(k)));
  if (op.mask != static_cast<std::int64_t>(attention_mask::terms) || !r.needs(op.operands() - 1)) return;
  const attention_gradient gradient{op.scale, op.causal, op.bias, op.mask};
  decltype(r.x(0)) read[8]{};
  for (int i = 0; i < op.operands(); ++i) read[i] = r.x(i);
  read[gradient.operands() - 1] = r.g;
  r.give(op.operands() - 1, gradient.formula(read, r, op.operands() - 1));
}

/// What attention is asked for in the language. Operands: query, key, value, and a bias and a mask if there are any.
struct attended {
  double scale = 0;
  bool scaled = false;  // else the scale is 1 / sqrt(features)
  bool causal = false, bias = false;
  attention_mask mask{};

  constexpr inferred infer(const extents* x, int) const {
    constexpr std::string_view name[]{"query", "key", "value"};
    for (int i = 0; i < 3; ++i)
      if (x[i].rank < 2 || x[i][x[i].rank - 2] < 1 || x[i][x[i].rank - 1] < 1)
        return refuse(line("attention: a ") << name[i] << " (..., L, E)", line("got ") << x[i]);
    const extents q = x[0], k = x[1], v = x[2];
    if (q[q.rank - 1] != k[k.rank - 1])
      return refuse(line("attention: ") << q[q.rank - 1] << " features of keys", line("got ") << k[k.rank - 1] << " in " << k);
    if (k[k.rank - 2] != v[v.rank - 2])
      return refuse(line("attention: ") << k[k.rank - 2] << " values", line("got ") << v[v.rank - 2] << " in " << v);
    inferred lead = broadcast_shape(leading(q), leading(k));
    if (!lead.ok()) return refuse(line("attention: keys for ") << leading(q), line("got ") << k);
    lead = broadcast_shape(lead.shape, leading(v));
    if (!lead.ok()) return refuse(line("attention: values for ") << leading(q), line("got ") << v);
    const std::int64_t queries = q[q.rank - 2], keys = k[k.rank - 2];
    const extents scores = with(lead.shape, queries, keys);
    if (bias && !broadcasts_to(x[3], scores)) return refuse(line("a bias for ") << scores, line("got ") << x[3]);
    const extents m = mask == attention_mask::none ? scores : x[bias ? 4 : 3];
    if (mask == attention_mask::terms && !broadcasts_to(m, scores)) return refuse(line("a second bias for ") << scores, line("got ") << m);
    if (mask == attention_mask::elements && !broadcasts_to(m, scores)) return refuse(line("a mask for ") << scores, line("got ") << m);
    if (mask == attention_mask::groups &&
        (queries != keys || m.rank < 1 || m[m.rank - 1] != keys || !broadcasts_to(m, with_one(lead.shape, keys))))
      return refuse(line("groups for ") << with_one(lead.shape, queries), line("got ") << m);
    return {with(lead.shape, queries, v[v.rank - 1]), {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int n, const extents& out) const {
    extents lead;
    for (int i = 0; i + 2 < out.rank; ++i) lead.push_back(out[i]);
    int args[5]{};
    for (int i = 0; i < n; ++i) {
      const extents e = g.shape(id[i]);
      if (i < 3)
        args[i] = g.broadcast(id[i], with(lead, e[e.rank - 2], e[e.rank - 1]));
      else if (mask == attention_mask::groups && i == n - 1)
        args[i] = g.reshape(id[i], with(leading_of(e), 1, e[e.rank - 1]));
      else
        args[i] = g.reshape(id[i], g.aligned(e, e.rank < 2 ? 2 : e.rank));
    }
    const extents q = g.shape(args[0]);
    const double by = scaled ? scale : 1 / root(static_cast<double>(q[q.rank - 1]));
    return g.attention({by, causal ? 1 : 0, bias ? 1 : 0, static_cast<std::int64_t>(mask)}, args, n);
  }

 private:
  static constexpr extents leading(const extents& e) {
    extents r;
    for (int i = 0; i + 2 < e.rank; ++i) r.push_back(e[i]);
    return r;
  }
  static constexpr extents leading_of(const extents& e) {
    extents r;
    for (int i = 0; i + 1 < e.rank; ++i) r.push_back(e[i]);
    return r;
  }
  static constexpr extents with_one(extents lead, std::int64_t tokens) {
    lead.push_back(tokens);
    return lead;
  }
  static constexpr extents with(extents lead, std::int64_t rows, std::int64_t columns) {
    lead.push_back(rows);
    lead.push_back(columns);
    return lead;
  }
  static constexpr double root(double v) {
    double r = v > 1 ? v : 1;
    for (int i = 0; i < 200; ++i) {
      const double next = 0.5 * (r + v / r);
      if (next >= r) break;
      r = next;
    }
    return r;
  }
};

/// What a kernel of attention is made for: a kernel_spec's 64 bits.
struct attention_form {
  std::int64_t features = 0, values = 0;
  bool bias = false, causal = false;
  attention_mask mask{};
  int further = 0;  // bit k - 1: result k is wanted

  constexpr std::int64_t packed() const {
    return features | values << 24 | std::int64_t{bias} << 48 | std::int64_t{causal} << 49 | static_cast<std::int64_t>(mask) << 50 |
           std::int64_t{further} << 52;
  }
  static constexpr attention_form of(std::int64_t p) {
    constexpr std::int64_t number = (1 << 24) - 1;
    return {p & number,
            p >> 24 & number,
            (p >> 48 & 1) != 0,
            (p >> 49 & 1) != 0,
            static_cast<attention_mask>(p >> 50 & 3),
            static_cast<int>(p >> 52 & 7)};
  }
};

}  // namespace volute::ops
