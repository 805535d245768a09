// The layout of each edge. Every value lies NCDHW, but for what a convolution wants and convolutions, elementwise programs or poolings
// make: that lies in blocks of channels with the zeros of their padding, as it would be copied, so neither end turns channels into lanes or
// back. All readers must agree (see ops/volume_layout.hpp), and so must what rides along: the whole operands of an epilogue, of an
// elementwise program and of a reduction over pixels (a norm's statistics, a bias's gradient) lie as the result, or each other, do. What a
// pooling makes lies in the blocks of what it reads, or NCDHW; the adjoint in the filter takes any blocks. What is made or read where it
// lies in a concatenation is a range of whole blocks.
#pragma once

#include <volute/graph/place.hpp>

namespace volute::graph {

/// What the planner must know about the kernels. Runtime hands in the real ones.
struct kernel_facts {
  ops::conv_facts (*of)(const ops::conv_geometry&, ops::face);
  std::int64_t (*scratch)(const ops::conv_geometry&, ops::face, const ops::volume_layout& source);  // elements, with a blocked source
  std::int64_t (*attention)(const ops::attention_form&, bool gradient);                             // elements of scratch memory
};

/// The facts of every geometry's faces, asked for once.
class known_facts {
 public:
  constexpr known_facts(const kernel_facts& facts, const buffer<ops::conv_geometry>& geometries) : ask(facts), convolutions_(geometries) {}
  const kernel_facts ask;
  constexpr const ops::conv_facts& of(int geometry, ops::face f) {
    const int want = 3 * geometry + static_cast<int>(f);
    while (at_.size <= want) at_.push_back(-1);
    if (at_.data[want] < 0) {
      at_.data[want] = facts_.size;
      facts_.push_back(ask.of(convolutions_.data[geometry], f));
    }
    return facts_.data[at_.data[want]];
  }

 private:
  const buffer<ops::conv_geometry>& convolutions_;
  buffer<int> at_;
  buffer<ops::conv_facts> facts_;
};

/// Whether a kernel takes packed filters and has an epilogue.
constexpr bool convolves(kernel_kind k) { return k == kernel_kind::conv_forward || k == kernel_kind::conv_data; }
/// The face of a convolution's kernel, and of a pack; of others nobody asks.
VOLUTE_EXHAUSTIVE_BEGIN
constexpr ops::face face_of(kernel_kind k) {
  // clang-format off
  switch (k) {
    case kernel_kind::conv_forward: case kernel_kind::pack_forward: return ops::face::forward;
    case kernel_kind::conv_data: case kernel_kind::pack_data: return ops::face::data;
    case kernel_kind::conv_weights: return ops::face::weights;
    case kernel_kind::elementwise: case kernel_kind::reduce: case kernel_kind::matmul: case kernel_kind::max_pool: case kernel_kind::max_gather:
    case kernel_kind::max_scatter: case kernel_kind::avg_pool: case kernel_kind::avg_adjoint: case kernel_kind::copy: case kernel_kind::fill:
    case kernel_kind::arange: case kernel_kind::random: case kernel_kind::gather: case kernel_kind::scatter: case kernel_kind::attention:
    case kernel_kind::attention_gradient: case kernel_kind::moments: case kernel_kind::all_reduce: case kernel_kind::halo:
    case kernel_kind::room: break;
  }
  // clang-format on
  return ops::face::data;
}
VOLUTE_EXHAUSTIVE_END

/// Chooses the layouts of values.
class layout_pass {
 public:
  buffer<ops::volume_layout> table;

  /// Gives values their layouts, and with them their sizes, their makers' and readers' kernels and scratch memory.
  constexpr layout_pass(buffer<step>& all, buffer<stored_value>& of, buffer<kernel_spec>& specs,
                        const buffer<ops::conv_geometry>& geometries, const buffer<ops::pool_geometry>& windows, known_facts& facts)
      : steps_(all),
        values_(of),
        kernels_(specs),
        convolutions_(geometries),
        pools_(windows),
        facts_(facts),
        at_(of.size, open),
        makers_(of.size, 0),
        readers_(of.size, 0) {
    propose();
    if (table.size == 0) return;
    while (follow()) {
    }
    check();
    while (agree()) {
    }
    apply();
  }

 private:
  static constexpr int open = -1, plain = -2, misfit = -3;  // nobody asked yet; NCDHW; an operand that is no range of whole blocks
  buffer<step>& steps_;
  buffer<stored_value>& values_;
  buffer<kernel_spec>& kernels_;
  const buffer<ops::conv_geometry>& convolutions_;
  const buffer<ops::pool_geometry>& pools_;
  known_facts& facts_;
  buffer<int> at_;       // of a value: its layout in the table
  buffer<int> makers_;   // of a value: launches that write it, too many where one of them cannot write blocks
  buffer<int> readers_;  // of a value: launches that read it
  static constexpr int too_many = 1 << 16;

  constexpr const kernel_spec& kernel_of(const step& s) const { return kernels_.data[s.call.kernel]; }
  constexpr bool blocked(int value) const { return at_.data[value] >= 0; }
  constexpr int index(const ops::volume_layout& l) {
    for (int i = 0; i < table.size; ++i)
      if (table.data[i] == l) return i;
    table.push_back(l);
    return table.size - 1;
  }
  constexpr const ops::conv_facts& facts_of(const kernel_spec& k) { return facts_.of(k.geometry, face_of(k.kind)); }

  // ---- kinds of steps
  constexpr bool walks(const step& s) const {
    if (s.volume.rank == 0) return false;
    const kernel_kind k = kernel_of(s).kind;
    return k == kernel_kind::elementwise || k == kernel_kind::reduce || k == kernel_kind::moments;
  }
  constexpr bool maps(const step& s) const { return s.volume.rank > 0 && kernel_of(s).kind == kernel_kind::elementwise; }
  constexpr bool pools(const step& s) const { return s.volume.rank > 0 && !walks(s); }
  /// Whether a step's kernel writes blocks, if it does at all.
  constexpr bool writes_blocks(const step& s) const { return convolves(kernel_of(s).kind) || maps(s) || pools(s); }

  // ---- operands; number `result` is the result
  static constexpr int result = -1;
  static constexpr int value_of(const step& s, int i) { return i == result ? s.out : s.in[i]; }
  static constexpr std::int64_t offset_of(const step& s, int i) { return i == result ? s.out_offset : s.offset[i]; }
  /// Of an operand that may lie in blocks.
  constexpr ops::volume_layout shape_of(const step& s, int i) {
    const kernel_spec& k = kernel_of(s);
    if (walks(s)) return graph::shape_of(s.volume);
    if (pools(s)) {
      extents e = s.volume;
      for (int a = 0; a < 3 && i == result; ++a) e[2 + a] = pools_.data[k.geometry].out[a];
      return graph::shape_of(e);
    }
    const ops::conv_facts& f = facts_of(k);
    const bool first = i == 0;
    ops::volume_layout l = first ? f.source : f.target;
    l.block = l.rows_before = l.columns_before = 0, l.all_rows = l.rows, l.all_columns = l.columns;
    return l;
  }
  /// The layout of an operand, a range of channels of its value, in the table; sets where it begins.
  constexpr int form_of(const step& s, int i, std::int64_t* begin = nullptr) {
    const int value = value_of(s, i);
    if (!blocked(value)) return at_.data[value];
    const ops::volume_layout whole = table.data[at_.data[value]], shape = shape_of(s, i);
    ops::volume_layout l = whole;
    l.channels = shape.channels;
    if (!same_shape(l, shape)) return misfit;
    const std::int64_t volume = l.planes * l.rows * l.columns, channel = offset_of(s, i) / volume;
    if (begin != nullptr) *begin = channel / l.block * l.planes * l.plane();
    if (l.channels == whole.channels) return channel == 0 ? at_.data[value] : misfit;
    if (l.batch != 1 || channel * volume != offset_of(s, i) || channel % l.block != 0 || l.channels % l.block != 0) return misfit;
    return index(l);
  }
  /// Layout l for all channels of a value, of which an operand with layout l is a range; negative: that cannot be.
  constexpr int whole_of(ops::volume_layout l, int value) {
    const std::int64_t volume = l.batch * l.planes * l.rows * l.columns, size = values_.data[value].size;
    if (size % volume != 0 || (l.batch > 1 && size != l.channels * volume)) return plain;
    l.channels = size / volume;
    return l.channels % l.block == 0 ? index(l) : plain;
  }

  /// A value whose makers can all write blocks may lie as its readers want it: with the zeros of them all.
  constexpr void propose() {
    for (const step& s : steps_) {
      makers_.data[s.out] += writes_blocks(s) ? 1 : too_many;
      for (int i = 0; i < s.call.count; ++i) ++readers_.data[s.in[i]];
    }
    for (const step& s : steps_) {
      const kernel_spec& k = kernel_of(s);
      const int from = s.in[0];
      if (!convolves(k.kind) || !free(from)) continue;
      const ops::volume_layout& l = facts_of(k).source;
      const int wish = l.blocked() ? whole_of(l, from) : plain;
      const ops::volume_layout both = wish < 0        ? ops::volume_layout{}
                                      : blocked(from) ? join(table.data[at_.data[from]], table.data[wish])
                                                      : table.data[wish];
      at_.data[from] = both.blocked() ? index(both) : plain;
    }
  }

  /// Launches make it, and it is no result of the program.
  constexpr bool free(int value) const {
    return makers_.data[value] > 0 && makers_.data[value] < too_many && !values_.data[value].placed && at_.data[value] != plain;
  }

  /// Calls f(operand) for all that must lie alike in a step: what rides whole, and the result that it rides in.
  template <class F>
  constexpr void alike(const step& s, F f) {
    const bool convolution = convolves(kernel_of(s).kind);
    if (!convolution && !walks(s)) return;
    bool any = false;
    for (int i = convolution ? 1 : 0; i < s.call.count; ++i)
      if (rides(s, i)) any = true, f(i);
    if (any && (convolution || maps(s))) f(result);
  }
  /// A value of which nobody asked anything lies in layout l; true if that is new.
  constexpr bool take(int value, const ops::volume_layout& l) {
    if (at_.data[value] != open || !free(value)) return false;
    at_.data[value] = whole_of(l, value);
    return true;
  }

  /// What nobody has a wish for lies as what rides with it: the gradient that only sums and the adjoint in the filter read as the
  /// activation that masks it, what a norm reads as what it makes, what is pooled as the pooled. True if something followed.
  constexpr bool follow() {
    bool changed = false;
    for (const step& s : steps_) {
      if (pools(s)) {
        for (const int i : {0, result}) {
          const int form = form_of(s, i), other = i == result ? 0 : result;
          if (form < 0) continue;
          ops::volume_layout l = shape_of(s, other);
          l.block = table.data[form].block;
          changed = take(value_of(s, other), l) || changed;
        }
        continue;
      }
      int wanted = open;
      alike(s, [&](int i) {
        if (wanted < 0) wanted = form_of(s, i);
      });
      if (wanted < 0) continue;
      const ops::volume_layout l = table.data[wanted];
      alike(s, [&](int i) { changed = take(value_of(s, i), l) || changed; });
    }
    return changed;
  }

  /// Who cannot write, or cannot read, what was proposed.
  constexpr void check() {
    for (const step& s : steps_) {
      const kernel_spec& k = kernel_of(s);
      if (blocked(s.out)) {
        const int form = form_of(s, result);
        const bool can = form >= 0 && (convolves(k.kind) ? writes(s, table.data[form]) : writes_blocks(s));
        if (!can) at_.data[s.out] = plain;
      }
      for (int i = 0; i < s.call.count; ++i) {
        if (!blocked(s.in[i])) continue;
        const bool may = k.kind == kernel_kind::conv_weights ? i < 2 : convolves(k.kind) ? i == 0 || rides(s, i) : pools(s) || rides(s, i);
        const int form = may ? form_of(s, i) : misfit;
        const bool can =
            form >= 0 && (k.kind == kernel_kind::conv_weights
                              ? (i == 0 ? facts_of(k).reads_source(table.data[form]) : facts_of(k).reads_target(table.data[form]))
                              : !convolves(k.kind) || i > 0 || (!k.first && facts_of(k).reads_source(table.data[form])));
        if (!can) at_.data[s.in[i]] = plain;
      }
    }
  }
  /// Whether a convolution writes a layout: with the kernels that it has, or with others if its filters are packed for it alone.
  constexpr bool writes(const step& s, const ops::volume_layout& l) {
    const ops::conv_facts& f = facts_of(kernel_of(s));
    return f.writes(l) && (!f.linked || (!kernel_of(s).first && readers_.data[s.in[1]] == 1));
  }

  /// Whether operand i is read whole, each element where the result has it: in a convolution's epilogue, or by a program over volumes.
  constexpr bool rides(const step& s, int i) const {
    const auto whole = [&](std::int64_t access, int operand) {
      return static_cast<ops::access>((access >> (2 * operand)) & 3) == ops::access::whole;
    };
    const kernel_spec& k = kernel_of(s);
    if (!convolves(k.kind)) return walks(s) && whole(s.access, i);
    const int operand = i - (k.first ? 2 : 1);  // of the epilogue; 0 is the convolution's result
    return operand > 0 && whole(k.lanes, operand);
  }

  /// What rides whole and what is written lie alike, and what a pooling makes as what it reads, if that; true if something had to give way.
  constexpr bool agree() {
    bool changed = false;
    for (const step& s : steps_) {
      int first = open;
      bool any = false, same = true, begun = false;
      const auto compare = [&](int at) {
        any = any || at >= 0;
        if (at < 0) at = plain;
        same = same && (!begun || at == first);
        first = at, begun = true;
      };
      if (pools(s)) {
        const int source = form_of(s, 0), target = form_of(s, result);
        compare(source), compare(target);
        same = source >= 0 && (target < 0 || table.data[source].block == table.data[target].block);
      } else {
        alike(s, [&](int i) { compare(form_of(s, i)); });
      }
      if (!any || same) continue;
      changed = true;
      if (pools(s)) at_.data[s.in[0]] = at_.data[s.out] = plain;
      alike(s, [&](int i) { at_.data[value_of(s, i)] = plain; });
    }
    return changed;
  }

  // ---- what was settled
  constexpr void apply() {
    buffer<ops::volume_layout> kept;
    const auto keep = [&](int form) {
      for (int i = 0; i < kept.size; ++i)
        if (kept.data[i] == table.data[form]) return i;
      kept.push_back(table.data[form]);
      return kept.size - 1;
    };
    buffer<char> linked(values_.size, 0);  // filters packed for a convolution's other kernels
    for (const step& s : steps_)
      if (convolves(kernel_of(s).kind) && blocked(s.out) && facts_of(kernel_of(s)).linked) linked.data[s.in[1]] = 1;
    buffer<kernel_spec> used;
    kernel_index place_of;
    for (step& s : steps_) {
      kernel_spec k = kernel_of(s);
      const auto settle = [&](int i) {  // the layout of an operand in blocks, and where it begins
        std::int64_t begin = 0;
        const int form = form_of(s, i, &begin);
        if (form < 0) return -1;
        (i == result ? s.out_offset : s.offset[i]) = begin;
        return keep(form);
      };
      if (convolves(k.kind) || pools(s)) {
        const int source = settle(0);
        for (int i = 1; i < s.call.count; ++i)
          if (rides(s, i)) settle(i);
        k.source = source, k.target = settle(result);
      } else if (k.kind == kernel_kind::conv_weights) {
        k.source = settle(0), k.target = settle(1);
      } else if (walks(s)) {
        for (int i = 0; i < s.call.count; ++i)
          if (rides(s, i)) k.source = settle(i);
        if (maps(s)) k.target = settle(result);
        if (k.target >= 0) k.source = k.target;  // what it reads may vary with the channels alone
        if (k.source >= 0) {
          s.call.nest = ops::nest_of(kept.data[k.source]);
          k.lanes = k.kind == kernel_kind::moments ? 0 : s.access, k.first = false, k.second = s.keeps_samples;
        }
      }
      if (convolves(k.kind)) {
        const ops::conv_facts& f = facts_of(k);
        k.second = f.linked && k.target >= 0;
        if (k.second) s.call.scratch_size = f.linked_scratch;
        if (k.source >= 0) s.call.scratch_size = facts_.ask.scratch(convolutions_.data[k.geometry], face_of(k.kind), kept.data[k.source]);
      } else if (linked.data[s.out] != 0) {
        const ops::conv_facts& f = facts_of(k);
        k.second = true, k.lanes = static_cast<std::int64_t>(f.linked_order);
        values_.data[s.out].size = f.linked_packed;
      }
      s.call.kernel = place_of(used, k);
    }
    for (int v = 0; v < values_.size; ++v)
      if (blocked(v)) values_.data[v].size = table.data[at_.data[v]].size();
    table.size = 0;
    for (const ops::volume_layout& l : kept) table.push_back(l);
    kernels_.size = 0;
    for (const kernel_spec& k : used) kernels_.push_back(k);
  }
};

}  // namespace volute::graph
