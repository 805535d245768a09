// Where the values of a plan lie: which launches each is needed by, which result takes over an operand's memory, and the offsets.
#pragma once

#include <volute/graph/arena.hpp>
#include <volute/graph/launch.hpp>

namespace volute::graph {

/// A launch whose operands are still values, not places.
struct step {
  launch call;
  int in[max_operands]{};  // values
  std::int64_t offset[max_operands]{};
  int out = 0;
  std::int64_t out_offset = 0;
  bool in_place[max_operands]{};  // the result may take this operand's memory
  bool invariant = false;
  extents volume{};            // elementwise, and reductions (moments) over all pixels, of whole volumes and what varies with their channels: the
                               // shape; poolings: that of what is pooled
  std::int64_t access = 0;     // then of each operand: two bits
  bool keeps_samples = false;  // the reduction has a result for each sample
};

/// A volume (N, C, D, H, W), NCDHW.
constexpr ops::volume_layout shape_of(const extents& e) {
  ops::volume_layout l;
  l.batch = e[0], l.channels = e[1], l.planes = e[2], l.rows = l.all_rows = e[3], l.columns = l.all_columns = e[4];
  return l;
}

/// A buffer: the result of a launch, a leaf, or packed weights.
struct stored_value {
  int node = 0;
  std::int64_t size = 0;
  place at{};
  bool placed = false;
  bool invariant = false;  // made by the prologue, kept with the weights
  int memory = -1;         // which lifetime in the arena; negative: not there yet, or not there at all
  bool released = false;   // its memory has passed on
  int first = -1, last = -1;
};

/// Gives every value and every step's scratch memory its place. Steps are in their order, values know their first and last.
class placement {
 public:
  std::int64_t arena = 0, live = 0;  // elements: of a run's memory, and the most of it that is alive at once
  std::int64_t prologue = 0;         // of what is kept with the weights

  constexpr placement(buffer<step>& in_order, buffer<stored_value>& of, bool hoists) : steps_(in_order), values_(of) {
    place_values(hoists);
  }

 private:
  buffer<step>& steps_;
  buffer<stored_value>& values_;

  constexpr void place_values(bool hoists) {
    int derived = 0;
    for (stored_value& v : values_)
      if (v.invariant && hoists && !v.placed && v.first >= 0) {
        v.at = {space::derived, derived++, 0}, v.placed = true;
        prologue += whole_lines(v.size);
      }
    buffer<lifetime> lives;
    buffer<int> scratch(steps_.size, -1);
    find_lifetimes(lives, scratch);
    arena = lay_out(lives, 0, live, steps_.size);
    for (stored_value& v : values_)
      if (v.memory >= 0) v.at = {space::arena, 0, lives[v.memory].offset};
    for (int i = 0; i < steps_.size; ++i) {
      step& s = steps_.data[i];
      s.call.scratch = {space::arena, 0, scratch[i] < 0 ? 0 : lives[scratch[i]].offset};
      s.call.out = values_[s.out].at;
      s.call.out.offset += s.out_offset;
      for (int k = 0; k < s.call.count; ++k) {
        s.call.in[k] = values_[s.in[k]].at;
        s.call.in[k].offset += s.offset[k];
      }
    }
  }
  /// From when to when each value needs memory, and each step's scratch memory; a result may take an operand's.
  constexpr void find_lifetimes(buffer<lifetime>& lives, buffer<int>& scratch) {
    std::int64_t now = 0;  // alive at the current step
    for (int i = 0; i < steps_.size; ++i) {
      const step& s = steps_.data[i];
      stored_value& out = values_.data[s.out];
      if (!out.placed && out.memory < 0) {
        for (int k = 0; k < s.call.count && out.memory < 0; ++k) {
          stored_value& in = values_.data[s.in[k]];
          if (s.in_place[k] && in.memory >= 0 && in.last == i && !in.released && in.size == out.size && only_once(s, k)) {
            out.memory = in.memory;
            lives[in.memory].last = out.last;
            in.released = true;  // its memory lives on in the result
          }
        }
        if (out.memory < 0) {
          out.memory = lives.size;
          lives.push_back({whole_lines(out.size), i, out.last});
          now += whole_lines(out.size);
        }
      }
      const std::int64_t beside = whole_lines(s.call.scratch_size);
      if (beside > 0) scratch[i] = lives.size, lives.push_back({beside, i, i});
      if (now + beside > live) live = now + beside;
      for (int k = 0; k < s.call.count; ++k) {
        stored_value& in = values_.data[s.in[k]];
        if (in.last == i && !in.released && in.memory >= 0) {
          in.released = true;
          now -= whole_lines(in.size);
        }
      }
      if (out.last == i && !out.released && out.memory >= 0) {  // nobody reads it: one of several results
        out.released = true;
        now -= whole_lines(out.size);
      }
    }
  }
  static constexpr bool only_once(const step& s, int k) {
    for (int j = 0; j < s.call.count; ++j)
      if (j != k && s.in[j] == s.in[k] && !s.in_place[j]) return false;
    return true;
  }
};

}  // namespace volute::graph
