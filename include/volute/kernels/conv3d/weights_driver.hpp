// The adjoint in the filter with channels in the lanes runs over the same pieces as the forward face, but what they yield is added up: how
// pixels are cut into parts and tasks, and who copies, multiplies and completes what.
#pragma once

#include <volute/kernels/conv3d/lanes.hpp>
#include <volute/kernels/conv3d/slabs.hpp>
#include <volute/kernels/conv3d/weights_parts.hpp>

#include <cstdint>
#include <type_traits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What one task adds up.
struct weights_range {
  int64_t first = 0, last = 0;               // planes of the target, counted through the samples in the copies (classes: of each)
  int64_t source_base = 0, target_base = 0;  // the planes with which the copies begin
  bool add = false;                          // to the sums that are there
  int64_t slice = 0, slices = 1;             // of the taps
};

/// What plans with channels in the lanes have in common. A piece: some samples of one group, or a slab of one sample. A task has one block
/// of target channels and one chunk of source channels; both tensors are copied, the target as [sample][block][plane].
struct weights_cut : chunked_copy {
  int64_t blocks = 1;
  int64_t main_lanes = 1, last_lanes = 1;  // of a block, and of the last one
  int fold = 1;                            // neighbouring lanes for each target channel, with as many source channels
  int64_t together = 1;  // blocks whose copies stand together: one, or all
  int64_t samples = 1;   // the same of samples
  int64_t source_planes = 0, target_block = 0, target_sample = 0;
  int64_t target_units = 1;  // that a plane's copy can be cut into
  /// Both copies are made at once, in the order of the parts: a thread finds most of what it needs in its own cache.
  bool interleaved = false;
  bool parts_inside = false;       // one thread does all parts of a task before the next task
  int64_t sum = 0, sum_count = 1;  // the sums of a task; tasks whose sums wait in memory
  sharing share = sharing::none;
  int64_t parts = 1, part = 1;         // of the planes in the copies, each with sums of its own that are added in order; planes of a part
  int64_t tap_slices = 1, slices = 1;  // of the taps, and of a task's source channels when its sums are completed
  depth_slabs depth;                   // more than one: a part has some of them, and copies what it needs of both tensors itself

  constexpr int64_t block_lanes(int64_t b) const { return b + 1 < blocks ? main_lanes : last_lanes; }
  /// The channels of block b of the target, and of chunk c of the source.
  constexpr tap_range targets(int64_t b, const conv_shape& s) const {
    const int64_t first = b * main_lanes / fold;
    return {first, smaller(s.target_channels, first + block_lanes(b) / fold)};
  }
  constexpr tap_range sources(int64_t c, const conv_shape& s) const {
    return {c * chunk, smaller(s.source_channels, (c + 1) * chunk)};
  }

  constexpr int64_t copies() const { return samples * (source_sample + target_sample); }
  constexpr int64_t scratch() const { return copies() + parts * sum_count * sum; }
  constexpr int64_t worker_scratch() const {  // of each worker but the first, which has scratch()
    if (share == sharing::none) return 0;
    if (depth.count > 1) return whole_lines(copies());
    if (share == sharing::pairs) return whole_lines(scratch());
    return sum_count == 1 && parts * tap_slices == 1 ? whole_lines(sum) : 0;
  }

  /// Sizes of the copies, with `surplus` elements behind each, and samples that stay in `room` bytes together.
  constexpr void size_copies(int64_t planes, int64_t target_planes, int64_t target_plane, int64_t surplus) {
    source_planes = planes;
    source_chunk = planes * source_plane;
    source_sample = whole_lines(chunks * source_chunk) + surplus;
    target_block = target_planes * target_plane;
    target_sample = together * target_block + surplus;
  }
  constexpr int64_t samples_in(int64_t room, int64_t batch, int64_t size) const {
    return smaller(batch, larger(1, room / ((source_sample + target_sample) * size)));
  }
  /// Parts of the planes, of `pixels` pixels each, if their sums stay in `room` bytes.
  constexpr void cut_planes(int64_t planes_of_sample, int64_t pixels, int64_t size, int64_t room) {
    const int64_t planes = samples * planes_of_sample, tasks = together * chunks;
    part = share == sharing::inside ? planes_of_part(tasks, planes, pixels, tasks * sum * size, room) : planes;
    parts = ceil_divide(planes, part);
  }
  /// Slabs of the depth instead, where caches would not hold the copies; `target_plane` elements of one block.
  constexpr bool cut_slabs(const conv_shape& s, int64_t target_plane, int64_t surplus, int64_t size) {
    const int64_t tasks = blocks * chunks;
    const weights_slabs cut = cut_weights(s, chunks * source_plane * size, together * target_plane * size, tasks * sum * size);
    if (share != sharing::inside || cut.parts == 0) return false;
    depth = cut.depth;
    size_copies(depth.planes, smaller(s.target_size[0], depth.size * s.axis[0].dst_step), target_plane, surplus);
    target_sample = whole_lines(target_sample);
    samples = tap_slices = 1;
    parts = cut.parts;
    sum_count = tasks;
    return true;
  }
};

/// A task, and one slice of its source channels when its sums are completed.
struct weights_place {
  int64_t block = 0, chunk = 0, group = 0, slice = 0, slices = 1;
};

/// One group of a kernel with plan p, by all of `workers`. The source is copied as in the forward face (copy_source), the target pixel by
/// pixel; what the kernel does: task(place, source, target, sum, range); complete(place, sum): the sums of a task, those of all parts
/// together, to their places in dw.
template <class T, const conv_call& C, const auto& p>
struct weights_group {
  const weights_kernel<T, C, p>& k;
  int64_t group;
  T* memory;
  const team<T>& workers;

  void copy_sources(const copy_range& range, T* to) const noexcept {
    copy_source<T, false, C.layouts.source>(k.s, p, k.of.source, nullptr, range, to);
  }

  void copy_target(const copy_range& range, T* to) const noexcept {
    copy_channels<T, p.fold, false, C.layouts.target>(k.of.targets(), nullptr, p.targets(range.block, k.s).first,
                                                      p.block_lanes(range.block) / p.fold,
                                                      range.in(k.s.target_plane() / p.target_units), to);
  }

  void complete(int64_t block, int64_t blocks, int64_t slices, const T* sums) const noexcept {
    share(workers, blocks * p.chunks * slices, [&](int64_t i, int) noexcept {
      const int64_t task = i / slices;
      k.complete({block + task / p.chunks, task % p.chunks, group, i % slices, slices}, sums + task * p.sum);
    });
  }

  /// Each part copies its slabs itself.
  void run_slabs() const noexcept {
    T* const sums = memory + p.copies();
    const int64_t slabs = k.s.batch * p.depth.count, tasks = p.blocks * p.chunks, step = k.s.classes[0][0].dst_step;
    share_parts<true>(workers, 1, p.parts, slabs, [&](int64_t, int64_t part, const tap_range& of_part, int worker) noexcept {
      T* const source = workers.memory(worker, memory);
      for (int64_t i = of_part.first; i < of_part.last; ++i) {
        const int64_t n = i / p.depth.count;
        const depth_slab slab = p.depth.slab(i % p.depth.count);
        const int64_t first = slab.first * step, last = smaller(k.s.target_size[0], slab.last * step);
        const weights_range range{slab.first, slab.last, slab.begin, first, i > of_part.first};
        const int64_t base = slab.begin * p.source_units, target_base = first * p.target_units;
        copy_sources({n, group, base, slab.end * p.source_units, base}, source);
        for (int64_t b = 0; b < p.blocks; ++b) {
          T* const target = source + p.source_sample + b % p.together * p.target_block;
          copy_target({n, group, target_base, last * p.target_units, target_base, b}, target);
          for (int64_t c = 0; c < p.chunks; ++c)
            k.task({b, c}, source + c * p.source_chunk, target, sums + (part * tasks + b * p.chunks + c) * p.sum, range);
        }
      }
    });
    complete(0, p.blocks, p.slices, sums);
  }

  /// The copies of samples [first, first + samples) of `together` blocks from `block` on. The source's serve all blocks if all samples
  /// stand together.
  void copy(int64_t block, int64_t first, int64_t samples, T* source, T* target) const noexcept {
    const bool again = block == 0 || p.samples < k.s.batch;
    const int64_t sources = again ? p.source_planes * p.source_units : 0, targets = k.s.target_size[0] * p.target_units;
    const int64_t source_steps = ceil_divide(sources, p.grain), target_steps = ceil_divide(targets, p.grain);
    const int64_t steps = p.interleaved ? target_steps : source_steps + target_steps;
    // How far either copy is at step i.
    const auto source_at = [&](int64_t i) {
      return smaller(sources, (p.interleaved ? source_steps * i / steps : smaller(i, source_steps)) * p.grain);
    };
    const auto target_at = [&](int64_t i) { return smaller(targets, (p.interleaved ? i : larger(0, i - source_steps)) * p.grain); };
    share_ranges(workers, samples * steps, 1, copy_parts(samples * (p.target_sample + (again ? p.source_sample : 0))),
                 [&](int64_t begin, int64_t end, int) noexcept {
                   for_each_sample({begin, end}, steps, [&](int64_t n, int64_t from, int64_t to) {
                     copy_sources({first + n, group, source_at(from), source_at(to)}, source + n * p.source_sample);
                     for (int64_t b = 0; b < p.together; ++b)
                       copy_target({first + n, group, target_at(from), target_at(to), 0, block + b},
                                     target + n * p.target_sample + b * p.target_block);
                   });
                 });
  }

  /// The copies of some samples, then the tasks. A task that has all pixels completes its sums at once.
  void run_samples() const noexcept {
    T* const target = memory + p.samples * p.source_sample;
    T* const sums = memory + p.copies();
    const bool alone = workers.alone();
    const int64_t tasks = p.together * p.chunks, tap_slices = alone ? 1 : p.tap_slices, depth = k.s.classes[0][0].n;
    const bool whole = p.parts * tap_slices == 1;
    for (int64_t block = 0; block < p.blocks; block += p.together)
      for (int64_t first = 0; first < k.s.batch; first += p.samples) {
        const int64_t samples = smaller(p.samples, k.s.batch - first);
        const bool last = first + samples == k.s.batch;
        copy(block, first, samples, memory, target);
        share(workers, p.parts * tap_slices * tasks, [&](int64_t i, int worker) noexcept {
          const bool inside = alone && p.parts_inside;
          const int64_t task = inside ? i / p.parts : i % tasks, cut = inside ? i % p.parts : i / tasks, part = cut / tap_slices;
          const int64_t b = task / p.chunks, c = task % p.chunks;
          T* const sum = p.sum_count == 1 && whole ? workers.memory(worker, sums) : sums + (part * p.sum_count + task) * p.sum;
          k.task({block + b, c}, memory + c * p.source_chunk, target + b * p.target_block, sum,
                 {part * p.part, smaller(samples * depth, (part + 1) * p.part), 0, 0, first > 0, cut % tap_slices, tap_slices});
          if (last && whole) k.complete({block + b, c, group}, sum);
        });
        if (last && !whole) complete(block, p.together, alone ? 1 : p.slices, sums);
      }
  }

  void run() const noexcept {
    if constexpr (p.depth.count > 1)
      run_slabs();
    else
      run_samples();
  }
};

/// All groups of a kernel with channels in the lanes.
template <class T, const conv_call& C, const auto& p>
requires std::is_base_of_v<weights_cut, std::remove_cvref_t<decltype(p)>>
void run_weights(const weights_run<T, C>& of) noexcept {
  const weights_kernel<T, C, p> k{of};
  if constexpr (p.share == sharing::pairs)
    share(of.workers, of.s.groups, [&](int64_t group, int worker) noexcept {
      weights_group<T, C, p>{k, group, of.workers.memory(worker, of.scratch), {}}.run();
    });
  else
    for (int64_t group = 0; group < of.s.groups; ++group)
      weights_group<T, C, p>{k, group, of.scratch, p.share == sharing::inside ? of.workers : team<T>{}}.run();
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
