// What all kernels of the adjoint in the filter share: pixels are cut into parts, each with sums of its own that are added in order. Parts
// depend on the geometry alone, and so do the bits.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/padded.hpp>
#include <volute/kernels/conv3d/registers.hpp>
#include <volute/kernels/conv3d/store.hpp>
#include <volute/kernels/conv3d/unread.hpp>
#include <volute/kernels/team.hpp>

#include <cstdint>
#include <type_traits>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// One run: tensors (x, g and dw for the forward side, g, x and dw for the backward side), memory and threads.
template <class T, const conv_call& C>
struct weights_run {
  static constexpr const conv_shape& s = shape_for<C>;
  const T* source;
  const T* target;
  T* dw;
  T* scratch;
  const team<T>& workers;
  /// Channel c of a (sample, group) pair.
  const T* source_at(int64_t pair, int64_t c) const { return source + pair * s.source_elements() + c * s.source_volume(); }
  const T* target_at(int64_t pair, int64_t c) const { return target + pair * s.target_elements() + c * s.target_volume(); }
  conv_tensor<T> targets() const { return {target, s.groups, s.target_channels, s.target_volume()}; }
  /// Rows from h0 on of some planes of the target, `from` the first one, to a padded copy. Nothing is read behind the tensor.
  void copy_target(const padded_layout& l, const T* from, int64_t planes, int64_t h0, T* to) const noexcept {
    static constexpr source_axis height{0, 1, s.target_size[1]}, width{0, 1, s.target_size[2]};
    const slab_copy<T> copy{l, height, width, width.count, s.target_plane(), s.target_volume(), target_at(s.pairs(), 0)};
    copy_slabs<T, false>(copy, from, {0, planes}, 1, h0, nullptr, to);
  }
  /// Sums again what is NaN of dw[output][input of its group] (see conv3d/unread.hpp).
  void sum_again(const tap_range& outputs, const tap_range& inputs) const noexcept {
    constexpr bool forward = C.side == conv_side::forward;
    constexpr ops::volume_layout of_source = C.layouts.source, of_target = C.layouts.target;
    without_unread<T>(s.geometry, forward ? ops::conv_layouts{of_source, of_target} : ops::conv_layouts{of_target, of_source},
                      forward ? source : target, forward ? target : source, dw, outputs, inputs);
  }
};

/// The kernel of a plan: one specialization for each type of plan, in the header of its family, made of the run.
template <class T, const conv_call& C, const auto& plan>
struct weights_kernel;

/// Accumulators of a register block at most: they leave registers to what is multiplied.
inline constexpr int64_t most_sums = smaller(accumulators, 24);
/// Work of kernels with pixels in their lanes, beside that of full lanes of channels (conv_shape::work()).
inline constexpr double lanes_of_pixels_work = 1.5;
/// Nanoseconds of one of their tasks at least: twice what the hand-over to a thread that is asleep takes.
inline constexpr double least_task = 10e3;

/// Tasks that this much work (in nanoseconds) is worth, 1 if it is not worth sharing.
constexpr int64_t tasks_worth(double work) { return work < worth_sharing ? 1 : smaller(few_tasks, int64_t(work / least_task)); }

/// dw[i] = the sum over parts and lanes of sums[part][i][lane], i in [0, n).
template <class T>
VOLUTE_NO_INLINE void fold_vectors(const T* sums, int64_t parts, int64_t part, int64_t n, T* dw) noexcept {
  using V = simd::vec<T>;
  constexpr int64_t L = simd::lanes<V>;
  const auto read = [&](int64_t k) VOLUTE_ALWAYS_INLINE {
    const T* at = sums + k * L;
    V v = simd::load<V>(at);
    for (int64_t p = 1; p < parts; ++p) v = v + simd::load<V>(at += part);
    return v;
  };
  int64_t i = 0;
  for (; i + L <= n; i += L) {
    V r[L / 2];
    VOLUTE_EACH(k, L / 2) {
      const V a = read(i + k), b = read(i + k + L / 2);
      r[k] = simd::zip_low(a, b) + simd::zip_high(a, b);
    }
    VOLUTE_UNROLL
    for (int m = L / 4; m > 0; m /= 2)
      VOLUTE_EACH(k, m) r[k] = simd::zip_low(r[k], r[k + m]) + simd::zip_high(r[k], r[k + m]);
    simd::store(dw + i, r[0]);
  }
  for (int64_t k = 0; k < L && i < n; ++k, ++i) dw[i] = simd::reduce_add(read(i));
}

/// Of `list` taps, those whose sums stay in registers together: near-equal shares, nine at most.
constexpr int taps_together(int64_t list, int64_t most) { return int(near_equal(list, smaller(9, most))); }

/// What plans with pixels in the lanes have in common: copies, in elements, and parts of the pixels, each with sums of its own (`partial`
/// elements) that are added in order.
struct weights_parts {
  int64_t source_size = 0, target_size = 0;
  int64_t tasks = 1, steps = 1;  // for threads, beside the parts; of one sample, which a part takes some of
  int64_t parts = 1, partial = 0;
  bool vectors_of_sums = false;  // each sum is one, and its lanes are added up at the end
  sharing share = sharing::none;
  constexpr int64_t copies() const { return source_size + target_size; }
  constexpr bool sums_wait() const { return parts > 1 || vectors_of_sums; }  // in scratch memory; else they are made in dw
  constexpr int64_t scratch() const { return copies() + (sums_wait() ? parts * partial : 0); }
  constexpr int64_t worker_scratch() const { return worker_memory(share, copies(), copies()); }

  /// As many parts as make the work worth sharing, which takes `slower` times that of full lanes of channels; their sums have `room` (in
  /// elements).
  constexpr void want_parts(const conv_shape& s, int64_t all_tasks, double slower, int64_t room) {
    tasks = all_tasks, partial = s.filters();
    const int64_t wanted = tasks_worth(s.work() * slower);
    if (wanted > 1) share = sharing::pairs, parts = smaller(ceil_divide(wanted, tasks), larger(1, room / partial));
  }
  /// A step or more of `samples` samples for each.
  constexpr void limit_parts(int64_t samples) {
    parts = smaller(parts, samples * steps);
    if (tasks * parts == 1) share = sharing::none;
  }

  template <class T>
  T* sums(T* scratch, int64_t part, T* dw) const {
    return sums_wait() ? scratch + copies() + part * partial : dw;
  }
  /// At the end dw has the sums of all parts.
  template <class T>
  VOLUTE_INLINE void fold(const T* scratch, T* dw) const noexcept {
    if (vectors_of_sums)
      fold_vectors(scratch + copies(), parts, partial, partial / simd::width<T>, dw);
    else if (parts > 1)
      for (int64_t i = 0; i < partial; ++i) {
        const T* at = scratch + copies() + i;
        T sum = *at;
        for (int64_t k = 1; k < parts; ++k) sum += *(at += partial);
        dw[i] = sum;
      }
  }
};

/// What a part adds up at a time: steps [begin, end) of one sample, for task `task` of `tasks`. The first ones write its sums.
struct weights_stint {
  int64_t task = 0, tasks = 1, sample = 0, begin = 0, end = 0;
  bool first = true;
};

/// f(sample, its first one, the one behind its last) for some steps, counted through samples of `steps` each.
template <class F>
VOLUTE_INLINE void for_each_sample(const tap_range& all, int64_t steps, F f) noexcept {
  for (int64_t i = all.first, next = 0; i < all.last; i = next) {
    const int64_t n = i / steps;
    next = smaller(all.last, (n + 1) * steps);
    f(n, i - n * steps, next - n * steps);
  }
}

/// f(task, part, its steps, worker) for each task and each of `parts` parts of `steps` steps. Parts of a task follow each other.
template <bool Shared, class T, class F>
VOLUTE_INLINE void share_parts(const team<T>& workers, int64_t tasks, int64_t parts, int64_t steps, F f) noexcept {
  share_if<Shared>(workers, tasks * parts, [&](int64_t i, int worker) VOLUTE_ALWAYS_INLINE {
    f(i / parts, i % parts, nth_range(steps, i % parts, parts), worker);
  });
}

/// All parts of a kernel with pixels in the lanes. It has add(stint, memory), which adds up a stint in the run's dw. (tasks(): how many
/// tasks the workers get, if not the plan's.)
template <class T, const conv_call& C, const auto& p>
requires std::is_base_of_v<weights_parts, std::remove_cvref_t<decltype(p)>>
void run_weights(const weights_run<T, C>& of) noexcept {
  const weights_kernel<T, C, p> k{of};
  int64_t tasks = p.tasks;
  if constexpr (requires { k.tasks(); }) tasks = k.tasks();
  share_parts<p.share != sharing::none>(
      of.workers, tasks, p.parts, of.s.batch * p.steps,
      [&](int64_t task, int64_t part, const tap_range& steps, int worker) VOLUTE_ALWAYS_INLINE {
        auto of_part = k;
        of_part.of.dw = p.sums(of.scratch, part, of.dw);
        for_each_sample(steps, p.steps, [&](int64_t n, int64_t from, int64_t to) VOLUTE_ALWAYS_INLINE {
          of_part.add({task, tasks, n, from, to, n * p.steps + from == steps.first}, of.workers.memory(worker, of.scratch));
        });
      });
  p.fold(of.scratch, of.dw);
  constexpr ops::conv_geometry g = C.geometry;
  if (!all_finite(of.dw, g.w_size())) of.sum_again({0, g.out_channels}, {0, g.group_in()});
}

/// Where dw has the filter of target channel `target` and source channel `source` of a group.
constexpr int64_t filter_offset(const conv_shape& s, int64_t group, int64_t target, int64_t source) {
  return group * s.target_channels * s.source_channels * s.taps() + target * s.weight_target + source * s.weight_source;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
