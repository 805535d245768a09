// The layout of each edge. Every value lies NCDHW, but for what one convolution makes and only convolutions read: that lies in blocks of
// channels with the zeros of their padding, as they would copy it, so neither end turns channels into lanes or back. All readers must agree
// (see ops/volume_layout.hpp), and so must what rides in an epilogue: a whole operand lies as the result does. The adjoint in the filter
// and sums over pixels (a bias's gradient) take any blocks.
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
    case kernel_kind::attention_gradient: case kernel_kind::room: break;
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

  /// A value that one convolution makes may lie as its readers want it: with the zeros of them all.
  constexpr void propose() {
    for (const step& s : steps_) makers_.data[s.out] += convolves(kernel_of(s).kind) && s.out_offset == 0 ? 1 : 2;
    for (const step& s : steps_) {
      const kernel_spec& k = kernel_of(s);
      const int from = s.in[0];
      if (!convolves(k.kind) || !free(from)) continue;
      const ops::volume_layout& l = facts_of(k).source;
      const ops::volume_layout both = blocked(from) ? join(table.data[at_.data[from]], l) : l;
      at_.data[from] = both.blocked() ? index(both) : plain;
    }
  }

  /// One convolution makes it, and it is no result of the program.
  constexpr bool free(int value) const { return makers_.data[value] == 1 && !values_.data[value].placed && at_.data[value] != plain; }

  /// What nobody has a wish for lies as what rides with it: the gradient that only sums and the adjoint in the filter read as the
  /// activation that masks it. True if something followed.
  constexpr bool follow() {
    bool changed = false;
    for (const step& s : steps_)
      for (int i = 1; i < s.call.count; ++i) {
        if (!rides(s, i)) continue;
        const int a = s.in[i], b = s.out;
        if (blocked(a) && at_.data[b] == open && free(b))
          at_.data[b] = at_.data[a], changed = true;
        else if (blocked(b) && at_.data[a] == open && free(a))
          at_.data[a] = at_.data[b], changed = true;
      }
    return changed;
  }

  /// Who cannot write, or cannot read, what was proposed.
  constexpr void check() {
    for (const step& s : steps_) {
      const kernel_spec& k = kernel_of(s);
      const bool conv = convolves(k.kind);
      const auto layout = [&](int value) -> const ops::volume_layout& { return table.data[at_.data[value]]; };
      if (blocked(s.out) && !(conv && facts_of(k).writes(layout(s.out)))) at_.data[s.out] = plain;
      for (int i = 0; i < s.call.count; ++i) {
        const int v = s.in[i];
        if (!blocked(v)) continue;
        const bool read = k.kind == kernel_kind::conv_weights
                              ? (i == 0 ? facts_of(k).reads_source(layout(v)) : facts_of(k).reads_target(layout(v)))
                          : conv && i == 0    ? !k.first && facts_of(k).reads_source(layout(v))
                          : s.pixels.rank > 0 ? same_shape(layout(v), s.pixels)
                                              : rides(s, i);
        if (s.offset[i] != 0 || !read) at_.data[v] = plain;
      }
    }
  }

  static constexpr bool same_shape(const ops::volume_layout& l, const extents& e) {
    return l.batch == e[0] && l.channels == e[1] && l.planes == e[2] && l.rows == e[3] && l.columns == e[4];
  }
  /// The nest of a sum over the pixels of a volume in layout l: results (sample), channel; the channels of a block are neighbours.
  static constexpr ops::loop_nest pixels_of(const ops::volume_layout& l, bool keeps_samples) {
    ops::loop_nest n;
    const auto axis = [&](std::int64_t extent, std::int64_t stride) {
      if (extent == 1) return;
      n.extent[n.rank] = extent;
      n.stride[0][n.rank++] = stride;
    };
    const std::int64_t blocks = l.channels / l.block, block = l.planes * l.plane();
    if (keeps_samples) axis(l.batch, blocks * block);
    axis(blocks, block);
    n.extent[n.rank] = l.block;
    n.stride[0][n.rank++] = 1;
    n.kept = n.rank;
    if (!keeps_samples) axis(l.batch, blocks * block);
    if (l.padded()) {
      axis(l.planes, l.plane());
      axis(l.rows, l.all_columns * l.block);
      axis(l.columns, l.block);
    } else {
      axis(l.planes * l.rows * l.columns, l.block);
    }
    return n;
  }

  /// Whether operand i rides whole in a convolution's epilogue.
  constexpr bool rides(const step& s, int i) const {
    const kernel_spec& k = kernel_of(s);
    const int operand = i - (k.first ? 2 : 1);  // of the epilogue; 0 is the convolution's result
    return convolves(k.kind) && operand > 0 && static_cast<ops::access>((k.lanes >> (2 * operand)) & 3) == ops::access::whole;
  }

  /// What rides whole and what is written lie alike; true if something had to give way.
  constexpr bool agree() {
    bool changed = false;
    for (const step& s : steps_)
      for (int i = 1; i < s.call.count; ++i) {
        int &a = at_.data[s.in[i]], &b = at_.data[s.out];
        if (!rides(s, i) || a == b || (a < 0 && b < 0)) continue;
        changed = true;
        a = b = plain;
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
      if (s.pixels.rank > 0 && blocked(s.in[0])) {
        const ops::volume_layout& l = table.data[at_.data[s.in[0]]];
        s.call.nest = pixels_of(l, s.keeps_samples);
        s.offset[0] = l.first();
        k.first = false, k.lanes = 0;  // the last axis of the results has the lanes, contiguous
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
