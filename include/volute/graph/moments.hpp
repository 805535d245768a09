// A mean over all pixels and the mean of the squared differences from it, which a norm asks for, become one launch that reads its volume
// once (see kernels/moments.hpp): the variances are its result, the means a further result, for which a `room` stands where they were made.
#pragma once

#include <volute/graph/frozen.hpp>
#include <volute/graph/place.hpp>

namespace volute::graph {

/// Finds such pairs of reductions among the steps.
class moments_pass {
 public:
  constexpr moments_pass(buffer<step>& all, buffer<kernel_spec>& specs, const buffer<ops::scalar_program>& of)
      : steps_(all), kernels_(specs), programs_(of) {
    bool any = false;
    for (int i = 0; i < steps_.size; ++i)
      if (means(steps_.data[i])) any = pair(i) || any;
    if (any) drop_unused();
  }

 private:
  buffer<step>& steps_;
  buffer<kernel_spec>& kernels_;
  const buffer<ops::scalar_program>& programs_;

  constexpr bool averages(const step& s) const {
    const kernel_spec& k = kernels_.data[s.call.kernel];
    return k.kind == kernel_kind::reduce && k.how == ops::reduction::mean && s.volume.rank > 0;
  }
  /// The mean of a volume that is stored.
  constexpr bool means(const step& s) const {
    return averages(s) && programs_.data[kernels_.data[s.call.kernel].program].length == 0 && access_of(s, 0) == ops::access::whole;
  }
  static constexpr ops::access access_of(const step& s, int i) { return static_cast<ops::access>((s.access >> (2 * i)) & 3); }
  /// The mean of (x - m) squared, of the same volume x and its means m.
  constexpr bool varies(const step& s, const step& mean) const {
    if (!averages(s) || s.call.count != 2 || !(s.volume == mean.volume) || s.keeps_samples != mean.keeps_samples) return false;
    const ops::scalar_program& p = programs_.data[kernels_.data[s.call.kernel].program];
    return p.length == 2 && p.constants == 0 && p.code[0] == ops::instruction{ops::fn::subtract, 0, 1, 0} &&
           p.code[1] == ops::instruction{ops::fn::square, 2, 0, 0} && s.in[0] == mean.in[0] && s.offset[0] == mean.offset[0] &&
           s.in[1] == mean.out && s.offset[1] == mean.out_offset && access_of(s, 0) == ops::access::whole && s.invariant == mean.invariant;
  }
  constexpr int index(const kernel_spec& k) {
    for (int i = 0; i < kernels_.size; ++i)
      if (kernels_.data[i] == k) return i;
    kernels_.push_back(k);
    return kernels_.size - 1;
  }
  /// The mean of step i with the first step that reads it, if that is its variance.
  constexpr bool pair(int i) {
    step& mean = steps_.data[i];
    for (int j = i + 1; j < steps_.size; ++j) {
      step& s = steps_.data[j];
      bool reads = false;
      for (int k = 0; k < s.call.count; ++k) reads = reads || s.in[k] == mean.out;
      if (!reads) continue;
      if (!varies(s, mean)) return false;
      s.call.kernel = index({.kind = kernel_kind::moments, .second = s.keeps_samples});
      s.call.nest = ops::nest_of(shape_of(s.volume));
      mean.call = {.kernel = index({.kind = kernel_kind::room}), .node = mean.call.node};
      mean.call.nest.rank = 1, mean.call.nest.extent[0] = (s.keeps_samples ? s.volume[0] : 1) * s.volume[1];
      mean.volume = {};
      return true;
    }
    return false;
  }
  /// A kernel that no step calls would be compiled all the same.
  constexpr void drop_unused() {
    buffer<kernel_spec> used;
    for (step& s : steps_) {
      const kernel_spec k = kernels_.data[s.call.kernel];
      int at = 0;
      while (at < used.size && !(used.data[at] == k)) ++at;
      if (at == used.size) used.push_back(k);
      s.call.kernel = at;
    }
    kernels_.size = 0;
    for (const kernel_spec& k : used) kernels_.push_back(k);
  }
};

}  // namespace volute::graph
