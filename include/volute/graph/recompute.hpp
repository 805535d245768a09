// Memory for speed: what a checkpointed module computes between its arguments and its result is computed once more where a derivative needs
// it, and not kept. (Chen et al. 2016, "Training deep nets with sublinear memory cost", https://arxiv.org/abs/1604.06174.)
#pragma once

#include <volute/graph/clean.hpp>

namespace volute::graph {

/// The nodes [first, last) that lowering a checkpointed module made, and its result, which is kept.
struct region {
  int first = 0, last = 0, result = 0;
};

/// Copies a graph. Nodes from `forward` on (a derivative's) that read the inside of a region read a second copy of it, which is made before
/// the first of them; the copy reads the region's arguments through a reshape to the same shape, so that it does not count as equal.
class recomputation {
 public:
  constexpr recomputation(builder& to, const builder& from, const buffer<region>& regions, int forward)
      : to_(to),
        from_(from),
        regions_(regions),
        forward_(forward),
        region_of_(from.nodes.size, -1),
        copy_(from.nodes.size, -1),
        constant_(from.nodes.size, 0) {
    for (int r = 0; r < regions.size; ++r)
      for (int i = regions[r].first; i < regions[r].last; ++i)
        if (i != regions[r].result && from.nodes[i].op != ops::opcode<ops::all_reduce>)  // a message is not sent twice
          region_of_[i] = r;  // of nested regions the inner one was entered first, the outer one counts
  }

  constexpr void run(int* outputs, int count, buffer<int>& at) {
    for (int i = 0; i < from_.nodes.size; ++i) {
      const node& n = from_.nodes[i];
      bool constant = !ops::changes[static_cast<std::size_t>(n.op)];
      buffer<int> args;
      for (int k = 0; k < n.count; ++k) {
        const int a = from_.operands[n.first + k];
        constant = constant && constant_[a];
        args.push_back(i >= forward_ && region_of_[a] >= 0 ? again(a, at) : at[a]);
      }
      constant_[i] = constant;
      at[i] = remake(i, args);
    }
    for (int k = 0; k < count; ++k) outputs[k] = at[outputs[k]];
  }

 private:
  builder& to_;
  const builder& from_;
  const buffer<region>& regions_;
  int forward_;
  buffer<int> region_of_, copy_;
  buffer<char> constant_;  // a function of parameters alone: never computed twice

  constexpr int remake(int i, const buffer<int>& args) {
    const node& n = from_.nodes[i];
    return to_.make(n.op, to_.intern(from_.attributes[n.attribute]), to_.intern(from_.shape(i)), args.data, n.count);
  }

  /// The second copy of node `last`, with all that it needs from its region.
  constexpr int again(int last, const buffer<int>& at) {
    if (constant_[last]) return at[last];
    if (copy_[last] >= 0) return copy_[last];
    const int r = region_of_[last], first = regions_[r].first;
    buffer<char> needed(last + 1 - first, 0);
    needed[last - first] = 1;
    for (int i = last; i >= first; --i) {
      const node& n = from_.nodes[i];
      if (needed[i - first] == 0 || copy_[i] >= 0) continue;
      for (int k = 0; k < n.count; ++k)
        if (const int a = from_.operands[n.first + k]; a >= first && region_of_[a] == r && !constant_[a]) needed[a - first] = 1;
    }
    for (int i = first; i <= last; ++i) {
      if (needed[i - first] == 0 || copy_[i] >= 0) continue;
      const node& n = from_.nodes[i];
      buffer<int> args;
      for (int k = 0; k < n.count; ++k) {
        const int a = from_.operands[n.first + k];
        const bool inside = a >= first && region_of_[a] == r && !constant_[a];
        const bool itself = constant_[a] || n.op == ops::opcode<ops::further_result>;
        args.push_back(inside ? copy_[a] : itself ? at[a] : to_.make(ops::reshape{}, from_.shape(a), &at.data[a], 1));
      }
      if (n.op == ops::opcode<ops::random>)  // the same numbers, counted once more
        copy_[i] = to_.make(ops::random{from_.as<ops::random>(i).stream, 1}, from_.shape(i), nullptr, 0);
      else
        copy_[i] = remake(i, args);
    }
    return copy_[last];
  }
};

}  // namespace volute::graph
