// A plan, run launch by launch on memory that knows whose numbers it holds: fused programs with their nests and accesses, layouts with
// their zeros, scratch, results in the memory of operands. Whatever is read must have been written for that value and not been written
// over.
#pragma once

#include "graph_reference.hpp"

#include <volute/graph/plan.hpp>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace graph_test {

/// Stands for the real kernels: filters packed as they are, any divisor of the channels a block, zeros for the padding. What is wanted
/// differs from geometry to geometry, so that plans agree and disagree.
inline std::int64_t mixed(const ops::conv_geometry& q, ops::face side) {
  return (q.in[0] * 7 + q.in[2] * 5 + q.kernel[1] * 3 + q.stride[2] + q.out_channels + static_cast<std::int64_t>(side)) % 11;
}
inline ops::volume_layout shape_of(std::int64_t n, std::int64_t c, const std::int64_t (&s)[3]) {
  ops::volume_layout l;
  l.batch = n, l.channels = c, l.planes = s[0], l.rows = l.all_rows = s[1], l.columns = l.all_columns = s[2];
  return l;
}
inline ops::conv_facts some_facts(const ops::conv_geometry& q, ops::face side) {
  const std::int64_t m = mixed(q, side);
  const ops::volume_layout x = shape_of(q.batch, q.in_channels, q.in), y = shape_of(q.batch, q.out_channels, q.out);
  ops::conv_facts f;
  f.packed = side == ops::face::weights ? 0 : q.w_size() + m;
  f.order = static_cast<std::uint64_t>(f.packed);  // geometries with as many share their packed filters
  f.scratch = m % 3 == 0 ? 0 : 5 * m;
  f.source = side == ops::face::data ? y : x, f.target = side == ops::face::forward ? y : x;
  if (side == ops::face::weights) {
    f.target = y;
    f.any_source = m % 4 != 0, f.any_target = m % 5 != 0;
    return f;
  }
  f.more_zeros = m % 4 != 1;
  f.lanes = m % 5 == 2 ? 0 : f.target.channels % 2 == 0 ? 2 : 1;
  f.linked = f.lanes > 0 && m % 3 == 1;  // those take filters from the last to the first
  f.linked_packed = f.packed + 5, f.linked_scratch = 3 * m, f.linked_order = f.order + 1000;
  if (m % 6 == 4) return f;  // wants NCDHW
  f.source.block = f.source.channels % 2 == 0 && m % 2 == 0 ? 2 : f.source.channels;
  if (f.more_zeros) {
    f.source.rows_before = m % 3, f.source.all_rows += m % 3 + m % 2;
    f.source.columns_before = m % 2, f.source.all_columns += m % 2 + m % 4;
  }
  return f;
}
inline std::int64_t some_attention(const ops::attention_form& f, bool gradient) { return f.features % 3 * 5 + (gradient ? 7 : 0); }
inline std::int64_t some_scratch(const ops::conv_geometry& q, ops::face side, const ops::volume_layout&) { return mixed(q, side) % 3; }

class machine {
 public:
  std::vector<std::string> complaints;
  std::vector<tensor> outputs;

  machine(const graph::planner& plan, const leaves& of) : p(plan), given(of), arena_(at(plan.arena)) {
    for (int k = 0; k < p.g.size.outputs; ++k) {
      outputs.push_back(filled(p.g.shape(p.g.outputs[k]), NAN));
      results_.emplace_back(outputs.back().v.size());
    }
    for (int i = 0; i < p.values.size; ++i)  // what is kept with the weights lies apart, each value in memory of its own
      if (const graph::stored_value& v = p.values[i]; v.at.where == graph::space::derived) {
        if (at(v.at.slot) != kept_.size()) complaints.push_back("kept values are not numbered in their order");
        kept_.emplace_back(at(v.size));
      }
    check_places();
  }
  /// Runs all launches, or those of every run.
  void run(bool prologue) {
    for (int i = 0; i < p.steps.size && complaints.empty(); ++i)
      if (prologue || !p.steps[i].invariant) launch(i);
    for (std::size_t k = 0; k < outputs.size(); ++k)
      for (std::size_t i = 0; i < outputs[k].v.size(); ++i) outputs[k].v[i] = results_[k][i].number;
  }

 private:
  struct cell {
    double number = NAN;
    int value = -1;  // of the plan
  };
  const graph::planner& p;
  const leaves& given;
  std::vector<cell> arena_;
  std::vector<std::vector<cell>> results_, kept_;

  // ---- of the launch at hand
  int now_ = 0;
  std::set<const cell*> read_, written_;       // by it
  std::map<const cell*, const cell*> beside_;  // read, and what may be written there: the result of the same element
  void complain(const std::string& what) {
    complaints.push_back("launch " + std::to_string(now_) + " (" + std::string(graph::kernel_name(spec().kind)) + ", node " +
                         std::to_string(step().call.node) + "): " + what);
  }
  const graph::step& step() const { return p.steps[now_]; }
  const graph::kernel_spec& spec() const { return p.kernels[step().call.kernel]; }

  cell* find(const graph::place& at_, std::int64_t i) {
    const std::int64_t k = at_.offset + i;
    std::vector<cell>& all = at_.where == graph::space::arena     ? arena_
                             : at_.where == graph::space::derived ? kept_.at(at(at_.slot))
                                                                  : results_[at(at_.slot)];
    if (k < 0 || k >= static_cast<std::int64_t>(all.size())) return complain("outside its memory"), nullptr;
    return &all[at(k)];
  }
  /// Element i of operand k; `beside`: the element of the result that is computed from it.
  double in(int k, std::int64_t i, std::int64_t beside = -1) {
    const graph::place& from = step().call.in[k];
    if (from.where == graph::space::input || from.where == graph::space::parameters) {
      const int value = step().in[k];
      const tensor& t = from.where == graph::space::input ? given.inputs[at(from.slot)] : given.parameters[at(from.slot)];
      const std::int64_t base = from.where == graph::space::input ? 0 : p.g.parameters[from.slot].offset, e = from.offset - base + i;
      if (p.values[value].at.where != from.where || e < 0 || e >= t.shape.size()) return complain("outside a leaf"), NAN;
      return t.v[at(e)];
    }
    const cell* c = find(from, i);
    if (!c) return NAN;
    if (c->value != step().in[k]) complain("operand " + std::to_string(k) + ", element " + std::to_string(i) + " is not there");
    if (beside < 0)
      read_.insert(c);
    else if (const cell* own = find(step().call.out, beside); own != c)
      read_.insert(c);
    return c->number;
  }
  void out(std::int64_t i, double number) {
    cell* c = find(step().call.out, i);
    if (!c) return;
    written_.insert(c);
    pending_.push_back({c, number, step().out});
  }
  struct write {
    cell* to;
    double number;
    int value;
  };
  std::vector<write> pending_;

  /// What nobody may count on: before the kernel and after it.
  void scribble() {
    for (std::int64_t i = 0; i < step().call.scratch_size; ++i)
      if (cell* c = find(step().call.scratch, i)) *c = {};
  }

  void launch(int i) {
    now_ = i;
    read_.clear(), written_.clear(), pending_.clear();
    scribble();
    kernel();
    for (const cell* c : written_)
      if (read_.count(c)) return complain("writes over what it reads");
    for (const write& w : pending_) *w.to = {w.number, w.value};
    scribble();
    for (const write& w : pending_)
      if (w.to->value != w.value) return complain("writes into its scratch memory");
  }

  double program(const ops::scalar_program& q, const double* inputs) const {
    double r[ops::max_program_inputs + ops::max_program_constants + ops::max_program_length]{};
    int n = 0;
    for (int i = 0; i < q.inputs; ++i) r[n++] = inputs[i];
    for (int i = 0; i < q.constants; ++i) r[n++] = q.constant[i];
    for (int i = 0; i < q.length; ++i) r[n++] = apply(q.code[i].f, r[q.code[i].a], r[q.code[i].b], r[q.code[i].c]);
    return r[q.length == 0 ? 0 : n - 1];
  }

  void kernel() {
    using graph::kernel_kind;
    const graph::kernel_spec& k = spec();
    const graph::launch& c = step().call;
    switch (k.kind) {
      case kernel_kind::elementwise:
        return k.source >= 0 ? over_blocks() : elementwise();
      case kernel_kind::reduce:
        return k.source >= 0 ? over_blocks() : reduce();
      case kernel_kind::matmul:
        return matmul();
      case kernel_kind::conv_forward:
      case kernel_kind::conv_data:
        return convolution();
      case kernel_kind::conv_weights:
        return weights();
      case kernel_kind::pack_forward:
      case kernel_kind::pack_data:
        for (std::int64_t i = 0, n = p.convolutions[k.geometry].w_size(); i < n; ++i) out(k.second ? n - 1 - i : i, in(0, i));
        return;
      case kernel_kind::max_pool:
      case kernel_kind::max_gather:
      case kernel_kind::max_scatter:
      case kernel_kind::avg_pool:
      case kernel_kind::avg_adjoint:
        return pool();
      case kernel_kind::copy:
        return copy();
      case kernel_kind::fill:
        for (std::int64_t i = 0; i < c.nest.extent[0]; ++i) out(i, c.value);
        return;
      case kernel_kind::all_reduce:  // of a run by itself
        for (std::int64_t i = 0; i < c.nest.extent[0]; ++i) out(i, in(0, i));
        return;
      case kernel_kind::halo: {
        const ops::halo_sizes h(c.nest);
        const std::int64_t wide = k.first ? h.outer() : h.inner(), own = k.first ? h.inner() : h.outer();
        for (std::int64_t i = 0; i < h.channels * own; ++i) {
          const std::int64_t from = i % own + (k.first ? h.lo : -h.lo) * h.plane;
          out(i, from >= 0 && from < wide ? in(0, i / own * wide + from) : 0);
        }
        return;
      }
      case kernel_kind::arange:
        for (std::int64_t i = 0; i < c.nest.extent[0]; ++i) out(i, static_cast<double>(i));
        return;
      case kernel_kind::random:
        for (std::int64_t i = 0; i < c.nest.extent[0]; ++i) out(i, random_number(static_cast<std::int64_t>(c.value), i, given.run));
        return;
      case kernel_kind::gather:
      case kernel_kind::scatter:
        return rows(k.kind == kernel_kind::scatter);
      case kernel_kind::attention:
        return attention(false);
      case kernel_kind::attention_gradient:
        return attention(true);
      case kernel_kind::moments:
        return moments();
      case kernel_kind::room:  // the memory is this value's from here on
        for (std::int64_t i = 0; i < c.nest.extent[0]; ++i) out(i, NAN);
        return;
    }
  }

  void moments() {
    const ops::volume_layout l = ops::layout_of(step().call.nest);
    if (l.blocked() ? !(l == layout(spec().source)) : spec().source >= 0) complain("another layout than its kernel has");
    const extents e = make_extents(l.batch, l.channels, l.planes, l.rows, l.columns);
    const std::vector<double> x = volume(0, e, l);
    const std::int64_t results = spec().second ? e[0] * e[1] : e[1];
    std::vector<double> mean(at(results)), variance(at(results));
    const auto each_term = [&](auto f) {
      for (std::int64_t i = 0; i < e.size(); ++i) {
        const std::int64_t channel = i / (e[2] * e[3] * e[4]);
        f(at(spec().second ? channel : channel % e[1]), x[at(i)]);
      }
    };
    const double count = static_cast<double>(e.size() / results);
    each_term([&](std::size_t k, double v) { mean[k] += v / count; });
    each_term([&](std::size_t k, double v) { variance[k] += (v - mean[k]) * (v - mean[k]) / count; });
    for (std::int64_t i = 0; i < results; ++i) {
      out(i, variance[at(i)]);
      cell* to = find(step().call.in[1], i);
      if (!to) return;
      if (to->value != step().in[1]) complain("the means have no room");
      written_.insert(to);
      pending_.push_back({to, mean[at(i)], step().in[1]});
    }
  }

  /// Further results are operands that are written: theirs are the last ones.
  void attention(bool gradient) {
    const graph::launch& c = step().call;
    const ops::attention_form f = ops::attention_form::of(spec().lanes);
    const ops::attention op{c.value, f.causal, f.bias, static_cast<std::int64_t>(f.mask)};
    const int rank = c.nest.rank;
    const extents scores = nest_extents(c.nest, 0, rank);
    extents q = scores, k = scores, v = scores, rows = scores, y = scores;
    q[rank - 1] = k[rank - 1] = f.features, v[rank - 1] = y[rank - 1] = f.values, k[rank - 2] = v[rank - 2] = scores[rank - 1];
    rows.rank = rank - 1;
    std::vector<extents> shapes{q, k, v};
    for (int which = 0; which < 2; ++which)
      if (which == 0 ? f.bias : f.mask != ops::attention_mask::none) {
        extents e = scores;
        for (int a = 0; a < rank; ++a) e[a] = c.nest.stride[which][a] == 0 ? 1 : e[a];
        shapes.push_back(e);
      }
    if (gradient) shapes.insert(shapes.end(), {y, rows, y});
    std::vector<tensor> read;
    for (std::size_t n = 0; n < shapes.size(); ++n) {
      read.push_back(filled(shapes[n]));
      for (std::int64_t i = 0; i < shapes[n].size(); ++i) read[n].v[at(i)] = in(static_cast<int>(n), i);
    }
    std::vector<const tensor*> x;
    for (const tensor& t : read) x.push_back(&t);
    const std::vector<tensor> made = attention_results(op, x, gradient ? x.back() : nullptr);
    for (std::int64_t i = 0; i < made[0].shape.size(); ++i) out(i, made[0].v[at(i)]);
    int further = static_cast<int>(shapes.size());
    for (std::size_t n = 1; n < 4; ++n)
      if ((f.further >> (n - 1) & 1) != 0) {
        for (std::int64_t i = 0; i < made[n].shape.size(); ++i) {
          cell* to = find(c.in[further], i);
          if (!to) return;
          if (to->value != step().in[further]) complain("a further result has no room");
          written_.insert(to);
          pending_.push_back({to, made[n].v[at(i)], step().in[further]});
        }
        ++further;
      }
    if (further != c.count) complain("other further results than its form says");
  }

  void rows(bool adjoint) {
    const ops::loop_nest& n = step().call.nest;
    const std::int64_t* const e = n.extent;
    std::vector<double> sums(adjoint ? at(e[0] * e[1] * e[2] * e[4]) : 0);
    for (std::int64_t b = 0; b < e[0] * e[1]; ++b)
      for (std::int64_t j = 0; j < e[3]; ++j) {
        const double number = in(1, b / e[1] * n.stride[1][0] + j);
        const bool there = number >= 0 && number < static_cast<double>(e[2]);
        for (std::int64_t i = 0; i < e[4]; ++i) {
          const std::int64_t row = there ? (b * e[2] + static_cast<std::int64_t>(number)) * e[4] + i : -1,
                             taken = (b * e[3] + j) * e[4] + i;
          if (!adjoint)
            out(taken, there ? in(0, row) : 0);
          else if (there)
            sums[at(row)] += in(0, taken);
        }
      }
    for (std::size_t i = 0; i < sums.size(); ++i) out(static_cast<std::int64_t>(i), sums[i]);
  }

  static extents nest_extents(const ops::loop_nest& n, int from, int to) {
    extents e;
    for (int a = from; a < to; ++a) e.push_back(n.extent[a]);
    return e;
  }
  /// Element of input i at an index of the nest; what the lanes promise of the innermost axis must be so.
  std::int64_t element(int i, const index& at_) {
    const ops::loop_nest& n = step().call.nest;
    std::int64_t k = 0;
    for (int a = 0; a < n.rank; ++a) k += at_[at(a)] * n.stride[i][a];
    return k;
  }
  void check_lanes(int inner) {
    const ops::loop_nest& n = step().call.nest;
    for (int i = 0; i < step().call.count; ++i) {
      const std::int64_t s = n.stride[i][inner];
      const auto l = static_cast<ops::lane>((spec().lanes >> (2 * i)) & 3);
      if (n.extent[inner] > 1 && l != (s == 1 ? ops::lane::contiguous : s == 0 ? ops::lane::broadcast : ops::lane::strided))
        complain("input " + std::to_string(i) + " is not read as its lanes say");
    }
  }
  void elementwise() {
    const ops::loop_nest& n = step().call.nest;
    if (n.kept != n.rank) complain("an elementwise nest with reduced axes");
    check_lanes(n.rank - 1);
    each(nest_extents(n, 0, n.rank), [&](const index& i, std::int64_t to) {
      double x[ops::max_program_inputs]{};
      for (int k = 0; k < step().call.count; ++k) x[k] = in(k, element(k, i), to);
      out(to, program(p.programs[spec().program], x));
    });
  }
  void reduce() {
    const ops::loop_nest& n = step().call.nest;
    if (n.kept < n.rank) check_lanes(spec().first ? n.rank - 1 : n.kept - 1);
    const extents reduced = nest_extents(n, n.kept, n.rank);
    each(nest_extents(n, 0, n.kept), [&](const index& i, std::int64_t to) {
      const bool largest = spec().how == ops::reduction::maximum;
      double total = largest ? -INFINITY : 0;
      each(reduced, [&](const index& k, std::int64_t) {
        index all = i;
        for (int a = n.kept; a < n.rank; ++a) all[at(a)] = k[at(a - n.kept)];
        double x[ops::max_program_inputs]{};
        for (int o = 0; o < step().call.count; ++o) x[o] = in(o, element(o, all));
        const double v = program(p.programs[spec().program], x);
        total = largest ? std::fmax(total, v) : total + v;
      });
      out(to, total / step().call.value);  // 1, but for a mean
    });
  }
  void matmul() {
    const ops::loop_nest& n = step().call.nest;
    const std::int64_t m = n.extent[1], columns = n.extent[2], inner = n.extent[3];
    each(make_extents(n.extent[0], m, columns), [&](const index& i, std::int64_t to) {
      double sum = 0;
      for (std::int64_t k = 0; k < inner; ++k)
        sum += in(0, i[0] * n.stride[0][0] + (spec().first ? k * m + i[1] : i[1] * inner + k)) *
               in(1, i[0] * n.stride[1][0] + (spec().second ? i[2] * inner + k : k * columns + i[2]));
      out(to, sum);
    });
  }
  void copy() {
    const ops::loop_nest& n = step().call.nest;
    each(nest_extents(n, 0, n.rank), [&](const index& i, std::int64_t) {
      std::int64_t to = 0;
      for (int a = 0; a < n.rank; ++a) to += i[at(a)] * n.stride[1][a];
      out(to, in(0, element(0, i)));
    });
  }
  void pool() {
    using graph::kernel_kind;
    const ops::pool_geometry& q = p.pools[spec().geometry];
    const bool adjoint = spec().kind == kernel_kind::max_scatter || spec().kind == kernel_kind::avg_adjoint;
    std::vector<double> x(at(q.planes * q.in[0] * q.in[1] * q.in[2]));
    if (spec().source >= 0) return pool_blocks(q);
    if (spec().target >= 0) complain("makes blocks of what lies in none");
    each_window(q, [&](std::int64_t w, const auto& inside, double divisor) {
      std::int64_t best = inside[0];
      if (spec().kind != kernel_kind::avg_pool && spec().kind != kernel_kind::avg_adjoint)
        for (const std::int64_t i : inside)
          if (in(0, i) > in(0, best)) best = i;
      double sum = 0;
      if (spec().kind == kernel_kind::avg_pool)
        for (const std::int64_t i : inside) sum += in(0, i);
      if (spec().kind == kernel_kind::max_pool) out(w, in(0, best));
      if (spec().kind == kernel_kind::max_gather) out(w, in(1, best));
      if (spec().kind == kernel_kind::max_scatter) x[at(best)] += in(1, w);
      if (spec().kind == kernel_kind::avg_pool) out(w, sum / divisor);
      if (spec().kind == kernel_kind::avg_adjoint)
        for (const std::int64_t i : inside) x[at(i)] += in(0, w) / divisor;
    });
    for (std::size_t i = 0; i < x.size() && adjoint; ++i) out(static_cast<std::int64_t>(i), x[i]);
  }

  void pool_blocks(const ops::pool_geometry& q) {
    const ops::volume_layout from = layout(spec().source), to = layout(spec().target);
    const extents x = make_extents(from.batch, from.channels, q.in[0], q.in[1], q.in[2]),
                  y = make_extents(from.batch, from.channels, q.out[0], q.out[1], q.out[2]);
    const std::vector<double> source = volume(0, x, from);
    std::set<std::int64_t> inside;
    each_window(q, [&](std::int64_t w, const auto& window, double divisor) {
      double sum = 0, most = -INFINITY;
      for (const std::int64_t i : window) sum += source[at(i)], most = std::fmax(most, source[at(i)]);
      inside.insert(lies(to, y, w));
      out(lies(to, y, w), spec().kind == graph::kernel_kind::max_pool ? most : sum / divisor);
    });
    for (std::int64_t i = 0; to.blocked() && i < to.size(); ++i)
      if (!inside.count(i)) out(i, 0);
  }

  /// Where element `i` of a volume (N, C, D, H, W) lies in a layout.
  static std::int64_t lies(const ops::volume_layout& l, const extents& e, std::int64_t i) {
    if (!l.blocked()) return i;
    const std::int64_t column = i % e[4], row = i / e[4] % e[3], plane = i / e[4] / e[3] % e[2], channel = i / e[4] / e[3] / e[2] % e[1],
                       sample = i / e[4] / e[3] / e[2] / e[1];
    const std::int64_t block = sample * (l.channels / l.block) + channel / l.block;
    return (((block * l.planes + plane) * l.all_rows + l.rows_before + row) * l.all_columns + l.columns_before + column) * l.block +
           channel % l.block;
  }
  /// What the kernel asked for: these blocks, and at least these zeros.
  void check_wishes() {
    const graph::kernel_spec& k = spec();
    const ops::conv_geometry& q = p.convolutions[k.geometry];
    const ops::face side = k.kind == graph::kernel_kind::conv_weights   ? ops::face::weights
                           : k.kind == graph::kernel_kind::conv_forward ? ops::face::forward
                                                                        : ops::face::data;
    const ops::conv_facts f = some_facts(q, side);
    const ops::volume_layout s = layout(k.source), t = layout(k.target), &w = f.source;
    const auto enough = [](const ops::volume_layout& l, const ops::volume_layout& least) {
      return l.rows_before >= least.rows_before && l.columns_before >= least.columns_before && l.rows_after() >= least.rows_after() &&
             l.columns_after() >= least.columns_after();
    };
    if (side == ops::face::weights) {
      if ((s.blocked() && !f.any_source) || (t.blocked() && !f.any_target)) complain("reads blocks that it does not take");
      return;
    }
    if (s.blocked() && (k.first || s.block != w.block || !enough(s, w) || (!f.more_zeros && s.padded())))
      complain("reads another layout than it takes");
    if (k.second != (t.blocked() && f.linked) || (k.second && !s.blocked() && step().call.scratch_size != f.linked_scratch))
      complain("is computed by other kernels than write its layout");
    if (t.blocked() && (f.lanes == 0 || (t.block % f.lanes != 0 && t.block != t.channels))) complain("writes a layout that it cannot");
  }
  /// A program, or a reduction over pixels, of volumes in blocks; zeros around what is written.
  void over_blocks() {
    const graph::kernel_spec& k = spec();
    const ops::volume_layout l = layout(k.source);
    const bool reduces = k.kind == graph::kernel_kind::reduce, largest = k.how == ops::reduction::maximum;
    if (!(ops::layout_of(step().call.nest) == l) || k.target != (reduces ? -1 : k.source)) complain("another layout than its kernel has");
    const extents e = make_extents(l.batch, l.channels, l.planes, l.rows, l.columns);
    std::vector<double> totals(reduces ? at(k.second ? e[0] * e[1] : e[1]) : 0, largest ? -INFINITY : 0);
    std::set<std::int64_t> inside;
    for (std::int64_t i = 0; i < e.size(); ++i) {
      const std::int64_t place = lies(l, e, i), plane = i / (e[2] * e[3] * e[4]), channel = plane % e[1];
      double x[ops::max_program_inputs]{};
      for (int o = 0; o < step().call.count; ++o) {
        const auto how = static_cast<ops::access>((k.lanes >> (2 * o)) & 3);
        x[o] = how == ops::access::whole         ? in(o, place, reduces ? -1 : place)
               : how == ops::access::scalar      ? in(o, 0)
               : how == ops::access::per_channel ? in(o, channel)
                                                 : in(o, plane);
      }
      const double v = program(p.programs[k.program], x);
      inside.insert(place);
      if (!reduces) {
        out(place, v);
        continue;
      }
      double& total = totals[at(k.second ? plane : channel)];
      total = largest ? std::fmax(total, v) : total + v;
    }
    for (std::size_t i = 0; i < totals.size(); ++i) out(static_cast<std::int64_t>(i), totals[i] / step().call.value);
    for (std::int64_t i = 0; i < l.size() && !reduces; ++i)
      if (!inside.count(i)) out(i, 0);
  }
  ops::volume_layout layout(int i) const { return i < 0 ? ops::volume_layout{} : p.layouts[i]; }
  std::vector<double> volume(int k, const extents& e, const ops::volume_layout& l) {
    std::vector<double> v(at(e.size()));
    std::set<std::int64_t> inside;
    for (std::int64_t i = 0; i < e.size(); ++i) {
      const std::int64_t from = lies(l, e, i);
      v[at(i)] = in(k, from);
      inside.insert(from);
    }
    for (std::int64_t i = 0; l.blocked() && i < l.size(); ++i)
      if (!inside.count(i) && in(k, i) != 0) complain("no zeros around a blocked operand");
    return v;
  }
  void convolution() {
    const graph::kernel_spec& k = spec();
    const ops::conv_geometry& q = p.convolutions[k.geometry];
    const bool forward = k.kind == graph::kernel_kind::conv_forward;
    check_wishes();
    const extents x = make_extents(q.batch, q.in_channels, q.in[0], q.in[1], q.in[2]);
    const extents y = make_extents(q.batch, q.out_channels, q.out[0], q.out[1], q.out[2]);
    const extents &from = forward ? x : y, &to = forward ? y : x;
    const ops::volume_layout target = layout(k.target);
    std::vector<double> source = volume(0, from, layout(k.source)), result(at(to.size()));
    if (k.first)
      for (std::size_t i = 0; i < source.size(); ++i) source[i] *= in(2, static_cast<std::int64_t>(i) / (from[2] * from[3] * from[4]));
    each_product(q, [&](std::int64_t i, std::int64_t tap, std::int64_t o) {
      result[at(forward ? o : i)] += source[at(forward ? i : o)] * in(1, k.second ? q.w_size() - 1 - tap : tap);
    });
    if (target.blocked()) {
      std::set<std::int64_t> inside;
      for (std::int64_t i = 0; i < to.size(); ++i) inside.insert(lies(target, to, i));
      for (std::int64_t i = 0; i < target.size(); ++i)
        if (!inside.count(i)) out(i, 0);
    }
    const int extra = k.first ? 3 : 2;
    for (std::int64_t i = 0; i < to.size(); ++i) {
      const std::int64_t place = lies(target, to, i), plane = i / (to[2] * to[3] * to[4]);
      double r[ops::max_program_inputs]{result[at(i)]};
      if (k.program >= 0)
        for (int o = 1; o < p.programs[k.program].inputs; ++o) {
          const auto how = static_cast<ops::access>((k.lanes >> (2 * o)) & 3);
          const std::int64_t e = how == ops::access::whole         ? place
                                 : how == ops::access::scalar      ? 0
                                 : how == ops::access::per_channel ? plane % to[1]
                                                                   : plane;
          r[o] = in(extra + o - 1, e, how == ops::access::whole ? place : -1);
        }
      out(place, k.program < 0 ? r[0] : program(p.programs[k.program], r));
    }
  }
  void weights() {
    const ops::conv_geometry& q = p.convolutions[spec().geometry];
    check_wishes();
    const std::vector<double> x = volume(0, make_extents(q.batch, q.in_channels, q.in[0], q.in[1], q.in[2]), layout(spec().source));
    const std::vector<double> g = volume(1, make_extents(q.batch, q.out_channels, q.out[0], q.out[1], q.out[2]), layout(spec().target));
    std::vector<double> w(at(q.w_size()));
    each_product(q, [&](std::int64_t i, std::int64_t tap, std::int64_t o) { w[at(tap)] += x[at(i)] * g[at(o)]; });
    for (std::size_t i = 0; i < w.size(); ++i) out(static_cast<std::int64_t>(i), w[i]);
  }

  /// Every value begins with a cache line; no two that are needed at the same time share one, but a result and the operand whose place it
  /// takes; the bounds that are reported are bounds.
  void check_places() {
    const auto wrong = [&](const std::string& what) { complaints.push_back(what); };
    const auto in_arena = [&](const graph::stored_value& v) { return v.first >= 0 && v.at.where == graph::space::arena; };
    std::int64_t kept = 0;
    for (int a = 0; a < p.values.size; ++a) {
      const graph::stored_value& v = p.values[a];
      if (v.at.where != graph::space::parameters && v.at.offset % 16 != 0)
        wrong("value " + std::to_string(a) + " begins inside a cache line");
      if (v.at.where == graph::space::derived) kept += graph::whole_lines(v.size);
      if (!in_arena(v)) continue;
      if (v.at.offset < 0 || v.at.offset + v.size > p.arena) wrong("value " + std::to_string(a) + " is not in the arena");
      if (v.invariant && p.hoists) wrong("a value to be kept is in the arena");
      for (int b = 0; b < a; ++b) {
        const graph::stored_value& u = p.values[b];
        if (!in_arena(u) || v.at.offset >= u.at.offset + u.size || u.at.offset >= v.at.offset + v.size) continue;
        const bool same_place = v.at.offset == u.at.offset && v.size == u.size;
        if (v.last >= u.first && u.last >= v.first && !(same_place && (v.last == u.first || u.last == v.first)))
          wrong("values " + std::to_string(b) + " and " + std::to_string(a) + " share memory");
      }
    }
    if (kept != p.prologue_elements) wrong("the elements that are kept are counted wrongly");
    if (p.live_peak > p.arena) wrong("the lower bound of the arena is above it");
    for (const graph::step& s : p.steps)
      if (s.call.scratch_size > 0 && (s.call.scratch.offset < 0 || s.call.scratch.offset + s.call.scratch_size > p.arena))
        wrong("scratch memory outside the arena");
  }
};

}  // namespace graph_test
