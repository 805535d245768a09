// Large volumes slab by slab: the depth is cut so that the copies of what one slab reads stay in the caches. 16 -> 8 channels at 64^3 take
// 9 ms so, 12 with one copy of all, which goes to memory and back; and threads that copy what they convolve need nothing from each other.
#pragma once

#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/team.hpp>

#include <cstdint>
#include <type_traits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// A slab of the depth: target positions [first, last) of each residue class, which read the source's planes [begin, end).
struct depth_slab {
  int64_t first = 0, last = 0, begin = 0, end = 0;
};

/// Copies of the source beyond this many bytes are made slab by slab, and leave the caches only as what the next slab overwrites.
inline constexpr int64_t slab_bytes = machine.cached * 3 / 4;

/// How the depth is cut into slabs. Neighbours copy the planes that both read, so thin slabs cost time.
struct depth_slabs {
  int64_t count = 1, size = 1, planes = 1;     // slabs, positions of one, planes that one reads at most
  int64_t n = 1, step = 1, low = 0, high = 1;  // position j of any class reads planes from j * step + low to below j * step + high
  int64_t there = 1;                           // planes that the source has
  constexpr depth_slab slab(int64_t i) const { return between(i * size, smaller(n, (i + 1) * size)); }
  constexpr depth_slab between(int64_t first, int64_t last) const {
    const int64_t begin = smaller(there, larger(0, first * step + low));
    return {first, last, begin, larger(begin, smaller(there, (last - 1) * step + high))};
  }
};

/// `planes` of the source are copied, `bytes` each; in `pieces` slabs at least, if they must be cut at all, but none less deep than
/// `depths` times what two neighbours both read.
constexpr depth_slabs cut_depth(const conv_shape& s, int64_t planes, int64_t bytes, int64_t pieces = 1, int64_t depths = 2) {
  depth_slabs c;
  c.there = c.planes = planes;
  c.n = c.size = s.axis[0].n;
  c.step = s.axis[0].step;
  c.low = planes, c.high = 0;
  s.for_each_class(0, [&](const correlation_axis& a) {
    if (a.taps == 0) return;
    c.low = smaller(c.low, a.offset);
    c.high = larger(c.high, a.end());
  });
  if (planes * bytes <= slab_bytes) return c;
  const int64_t span = c.high - c.low, least = ceil_divide(depths * larger(0, span - c.step), c.step);
  const int64_t size = larger(larger(1, least), smaller(c.n / pieces, (slab_bytes / bytes - span) / c.step + 1));
  c.count = ceil_divide(c.n, size);
  c.size = ceil_divide(c.n, c.count);
  c.count = ceil_divide(c.n, c.size);
  c.planes = smaller(planes, (c.size - 1) * c.step + span);
  return c;
}

/// The same for the adjoint in the filter, which copies both tensors: slabs in `parts` parts, each with sums of its own that are added in
/// order, so that no thread reads what another one copied. None (parts: 0) if eight parts' sums would not stay in the caches.
struct weights_slabs {
  depth_slabs depth;
  int64_t parts = 0;
};

/// Bytes of a plane of the source, of one of the target, and of one part's sums.
constexpr weights_slabs cut_weights(const conv_shape& s, int64_t source, int64_t target, int64_t sums) {
  const correlation_axis& longest = s.axis[0];
  const int64_t eight = smaller(longest.n, ceil_divide(8, s.batch));
  const depth_slabs depth = cut_depth(s, s.source(0, 1, false).count, source + target * longest.dst_step / longest.step, eight, 1);
  const int64_t parts = smaller(smaller(16, s.batch * depth.count), machine.cached / larger(1, sums));
  return depth.count > 1 && parts >= 8 ? weights_slabs{depth, parts} : weights_slabs{};
}

/// What is computed from one copy: a slab of one group of some samples.
struct conv_piece {
  int64_t sample = 0, samples = 1, group = 0;
  depth_slab slab;
};

/// Of the copy of one sample and group (and one block of target channels), which begins with unit `base`: units [begin, end), counted
/// through the planes of the tensor, each cut into as many.
struct copy_range {
  int64_t sample = 0, group = 0, begin = 0, end = 0, base = 0, block = 0;
  /// In units of which each is so many.
  constexpr copy_range in(int64_t units) const { return {sample, group, begin * units, end * units, base * units, block}; }
};

template <class Plan>
constexpr int64_t piece_count(const conv_shape& s, const Plan& p) {
  return ceil_divide(s.batch, p.samples) * s.groups * p.slabs.count;
}
template <class Plan>
constexpr conv_piece piece_of(const conv_shape& s, const Plan& p, int64_t i) {
  const int64_t pair = i / p.slabs.count, sample = pair / s.groups * p.samples;
  return {sample, smaller(p.samples, s.batch - sample), pair % s.groups, p.slabs.slab(i % p.slabs.count)};
}

/// How threads share the pieces: `size` bytes an element; `tasks` of a piece at most; `tiles`: into which one block can be cut.
template <class Plan>
constexpr void plan_threads(Plan& p, const conv_shape& s, int64_t size, int64_t tasks, int64_t tiles) {
  const int64_t pieces = piece_count(s, p);
  const double work = s.work();
  p.share = choose_sharing(work, pieces, p.scratch() * size, p.samples == 1);
  if (p.share != sharing::inside) return;
  p.slices = smaller(smaller(tiles, ceil_divide(tasks, p.blocks)), larger(1, parts_of(work / double(pieces * p.blocks))));
}

/// One piece after the other: copied, then convolved block by block. Threads take whole pieces, or all share both halves of each one.
/// copy(range, to): in units of which a plane has p.source_units, p.grain of them at least; block(piece, b, slice, slices, source, tile):
/// one slice of block b. A pointer for copy: the source, which lies as its copy would; then threads take slices of all pieces.
template <sharing Share, class T, class Plan, class Copy, class Block>
VOLUTE_INLINE void run_pieces(const conv_shape& s, const Plan& p, T* scratch, const team<T>& workers, Copy copy, Block block) {
  const bool inside = Share == sharing::inside && !workers.alone();
  const int64_t pieces = piece_count(s, p), slices = inside ? p.slices : 1, tasks = p.blocks * slices;
  const auto run = [&](const conv_piece& at, int64_t task, const T* source, T* tile) noexcept {
    block(at, task % p.blocks, task / p.blocks, slices, source, tile);
  };
  if constexpr (std::is_pointer_v<Copy>) {
    share_if<Share != sharing::none>(workers, pieces * tasks, [&](int64_t i, int worker) VOLUTE_ALWAYS_INLINE {
      const conv_piece at = piece_of(s, p, i / tasks);
      run(at, i % tasks, copy + at.sample * p.source_sample + at.slab.begin * p.source_plane, workers.memory(worker, scratch));
    });
  } else {
    const int64_t sources = p.samples * p.source_sample;
    const auto grains = [&](const depth_slab& slab) {
      return ceil_divide((slab.end - slab.begin) * p.source_units, p.grain);
    };  // of a sample
    const auto fill = [&](const conv_piece& at, T* source, int64_t begin, int64_t end) VOLUTE_ALWAYS_INLINE {
      const int64_t each = grains(at.slab), base = at.slab.begin * p.source_units, all = at.slab.end * p.source_units;
      for (int64_t n = 0; n < at.samples; ++n) {
        const int64_t first = larger(0, begin - n * each), last = smaller(each, end - n * each);
        if (first >= last) continue;
        copy({at.sample + n, at.group, base + first * p.grain, smaller(all, base + last * p.grain), base}, source + n * p.source_sample);
      }
    };
    if (!inside) {
      share_if<Share == sharing::pairs>(workers, pieces, [&](int64_t i, int worker) VOLUTE_ALWAYS_INLINE {
        const conv_piece at = piece_of(s, p, i);
        T* const source = workers.memory(worker, scratch);
        fill(at, source, 0, at.samples * grains(at.slab));
        for (int64_t task = 0; task < tasks; ++task) run(at, task, source, source + sources);
      });
    } else if constexpr (Share == sharing::inside) {
      for (int64_t i = 0; i < pieces; ++i) {
        const conv_piece at = piece_of(s, p, i);
        share_ranges(workers, at.samples * grains(at.slab), 1, copy_parts(at.samples * p.source_sample),
                     [&](int64_t begin, int64_t end, int) noexcept { fill(at, scratch, begin, end); });
        share(workers, tasks,
              [&](int64_t task, int worker) noexcept { run(at, task, scratch, workers.memory(worker, scratch + sources)); });
      }
    }
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
