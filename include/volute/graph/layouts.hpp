// The layout of each edge. Every value lies NCDHW, but for what a convolution wants and one convolution or elementwise program makes: that
// lies in blocks of channels with the zeros of their padding, as it would be copied, so neither end turns channels into lanes or back. All
// readers must agree (see ops/volume_layout.hpp), and so must what rides along: the whole operands of an epilogue, of an elementwise
// program and of a reduction over pixels (a norm's statistics, a bias's gradient) lie as the result, or each other, do. The adjoint in the
// filter takes any blocks.
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
    case kernel_kind::attention_gradient: case kernel_kind::all_reduce: case kernel_kind::halo: case kernel_kind::room: break;
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
                        const buffer<ops::conv_geometry>& geometries, known_facts& facts)
      : steps_(all), values_(of), kernels_(specs), convolutions_(geometries), facts_(facts), at_(of.size, open), makers_(of.size, 0) {
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
  static constexpr int open = -1, plain = -2;  // nobody asked yet; NCDHW
  buffer<step>& steps_;
  buffer<stored_value>& values_;
  buffer<kernel_spec>& kernels_;
  const buffer<ops::conv_geometry>& convolutions_;
  known_facts& facts_;
  buffer<int> at_;      // of a value: its layout in the table
  buffer<int> makers_;  // of a value: 1 if one convolution makes all of it

  constexpr const kernel_spec& kernel_of(const step& s) const { return kernels_.data[s.call.kernel]; }
  constexpr bool blocked(int value) const { return at_.data[value] >= 0; }
  constexpr int index(const ops::volume_layout& l) {
    for (int i = 0; i < table.size; ++i)
      if (table.data[i] == l) return i;
    table.push_back(l);
    return table.size - 1;
  }
  constexpr const ops::conv_facts& facts_of(const kernel_spec& k) { return facts_.of(k.geometry, face_of(k.kind)); }

  /// Whether a step's kernel writes blocks, if it does at all.
  constexpr bool maps(const step& s) const { return s.volume.rank > 0 && kernel_of(s).kind == kernel_kind::elementwise; }
  constexpr bool writes_blocks(const step& s) const { return s.out_offset == 0 && (convolves(kernel_of(s).kind) || maps(s)); }

  /// A value that one launch makes may lie as its readers want it: with the zeros of them all.
  constexpr void propose() {
    for (const step& s : steps_) makers_.data[s.out] += writes_blocks(s) ? 1 : 2;
    for (const step& s : steps_) {
      const kernel_spec& k = kernel_of(s);
      const int from = s.in[0];
      if (!convolves(k.kind) || !free(from)) continue;
      const ops::volume_layout& l = facts_of(k).source;
      const ops::volume_layout both = blocked(from) ? join(table.data[at_.data[from]], l) : l;
      at_.data[from] = both.blocked() ? index(both) : plain;
    }
  }

  /// One launch makes it, and it is no result of the program.
  constexpr bool free(int value) const { return makers_.data[value] == 1 && !values_.data[value].placed && at_.data[value] != plain; }

  /// Calls f(layout of a value) for all that must lie alike in a step: what rides whole, and the result that it rides in.
  template <class F>
  constexpr void alike(const step& s, F f) {
    bool any = false;
    for (int i = 0; i < s.call.count; ++i)
      if (rides(s, i)) any = true, f(s.in[i]);
    if (any && (convolves(kernel_of(s).kind) || maps(s))) f(s.out);
  }

  /// What nobody has a wish for lies as what rides with it: the gradient that only sums and the adjoint in the filter read as the
  /// activation that masks it, what a norm reads as what it makes. True if something followed.
  constexpr bool follow() {
    bool changed = false;
    for (const step& s : steps_) {
      int wanted = open;
      alike(s, [&](int value) {
        if (wanted == open && blocked(value)) wanted = at_.data[value];
      });
      if (wanted == open) continue;
      alike(s, [&](int value) {
        if (at_.data[value] == open && free(value)) at_.data[value] = wanted, changed = true;
      });
    }
    return changed;
  }

  /// Who cannot write, or cannot read, what was proposed.
  constexpr void check() {
    for (const step& s : steps_) {
      const kernel_spec& k = kernel_of(s);
      const bool conv = convolves(k.kind);
      const auto layout = [&](int value) -> const ops::volume_layout& { return table.data[at_.data[value]]; };
      if (blocked(s.out) && !(conv ? facts_of(k).writes(layout(s.out)) : maps(s) && same_shape(layout(s.out), s.volume)))
        at_.data[s.out] = plain;
      for (int i = 0; i < s.call.count; ++i) {
        const int v = s.in[i];
        if (!blocked(v)) continue;
        const bool read = k.kind == kernel_kind::conv_weights
                              ? (i == 0 ? facts_of(k).reads_source(layout(v)) : facts_of(k).reads_target(layout(v)))
                          : conv && i == 0 ? !k.first && facts_of(k).reads_source(layout(v))
                                           : rides(s, i) && (conv || same_shape(layout(v), s.volume));
        if (s.offset[i] != 0 || !read) at_.data[v] = plain;
      }
    }
  }

  static constexpr bool same_shape(const ops::volume_layout& l, const extents& e) {
    return l.batch == e[0] && l.channels == e[1] && l.planes == e[2] && l.rows == e[3] && l.columns == e[4];
  }
  /// Whether operand i is read whole, each element where the result has it: in a convolution's epilogue, or by a program over volumes.
  constexpr bool rides(const step& s, int i) const {
    const auto whole = [&](std::int64_t access, int operand) {
      return static_cast<ops::access>((access >> (2 * operand)) & 3) == ops::access::whole;
    };
    const kernel_spec& k = kernel_of(s);
    if (!convolves(k.kind)) return s.volume.rank > 0 && whole(s.access, i);
    const int operand = i - (k.first ? 2 : 1);  // of the epilogue; 0 is the convolution's result
    return operand > 0 && whole(k.lanes, operand);
  }

  /// What rides whole and what is written lie alike; true if something had to give way.
  constexpr bool agree() {
    bool changed = false;
    for (const step& s : steps_) {
      int first = open, layouts = 0;
      bool any = false;
      alike(s, [&](int value) {
        const int at = blocked(value) ? at_.data[value] : plain;
        any = any || at != plain;
        if (layouts == 0 || at != first) first = at, ++layouts;
      });
      if (!any || layouts == 1) continue;
      changed = true;
      alike(s, [&](int value) { at_.data[value] = plain; });
    }
    return changed;
  }

  constexpr void apply() {
    buffer<int> number(table.size, -1);  // of a layout that was proposed: its place among those that stay
    int layouts = 0;
    for (int v = 0; v < values_.size; ++v) {
      if (!blocked(v)) continue;
      int& place = number.data[at_.data[v]];
      if (place < 0) place = layouts++;
      values_.data[v].size = table.data[at_.data[v]].size();
      at_.data[v] = place;
    }
    buffer<ops::volume_layout> kept(layouts);
    for (int i = 0; i < table.size; ++i)
      if (number.data[i] >= 0) kept.data[number.data[i]] = table.data[i];
    table.size = 0;
    for (const ops::volume_layout& l : kept) table.push_back(l);
    buffer<kernel_spec> used;
    for (step& s : steps_) {
      kernel_spec k = kernel_of(s);
      if (convolves(k.kind)) {
        if (blocked(s.out)) k.target = at_.data[s.out];
        if (blocked(s.in[0])) {
          k.source = at_.data[s.in[0]];
          s.call.scratch_size = facts_.ask.scratch(convolutions_.data[k.geometry], face_of(k.kind), table.data[k.source]);
        }
      }
      if (k.kind == kernel_kind::conv_weights) {
        if (blocked(s.in[0])) k.source = at_.data[s.in[0]];
        if (blocked(s.in[1])) k.target = at_.data[s.in[1]];
      }
      if (s.volume.rank > 0) {
        if (maps(s) && blocked(s.out)) k.source = at_.data[s.out];  // what it reads may vary with the channels alone
        for (int i = 0; i < s.call.count && k.source < 0; ++i)
          if (blocked(s.in[i])) k.source = at_.data[s.in[i]];
        if (k.source >= 0) k.lanes = s.access, k.first = false, k.second = s.keeps_samples, s.call.nest = ops::nest_of(table.data[k.source]);
        if (k.source >= 0 && maps(s)) k.target = k.source;
      }
      s.call.kernel = -1;
      for (int i = 0; i < used.size && s.call.kernel < 0; ++i)
        if (used.data[i] == k) s.call.kernel = i;
      if (s.call.kernel >= 0) continue;
      used.push_back(k);
      s.call.kernel = used.size - 1;
    }
    kernels_.size = 0;
    for (const kernel_spec& k : used) kernels_.push_back(k);
  }
};

}  // namespace volute::graph
