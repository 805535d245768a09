// What the kernels with pixels in the lanes have in common (conv3d/width.hpp, planes.hpp, in_place.hpp, flat.hpp). They differ in what they
// copy (padded rows, or nothing) and in where sums wait for more products (a tile, planes in flight, registers); how a task is found, how
// filters are packed, how a padded copy lies and how rows of results go to y is the same.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/pack.hpp>
#include <volute/kernels/conv3d/registers.hpp>
#include <volute/kernels/conv3d/store.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

enum filter_axis { channel_axis, depth_axis, height_axis, width_axis };

/// An order of packed filters: [group][block of target channels][class][axes 0 to 3: source channels and taps][target channel]. Target
/// channels that do not exist are zeros; blocks lie as far apart as if all taps met a class.
struct pixel_filter_order {
  filter_axis axes[4]{channel_axis, depth_axis, height_axis, width_axis};
  int64_t targets = 1;  // of a block
  constexpr int64_t size(const conv_shape& s) const { return s.filters() / s.target_channels * whole_blocks(s.target_channels); }
  constexpr int64_t whole_blocks(int64_t channels) const { return ceil_divide(channels, targets) * targets; }
  constexpr void put(hash& h) const { h.put(targets); }
};

template <class T>
VOLUTE_NO_INLINE void pack_filters(const conv_shape& s, const pixel_filter_order& order, const T* w, T* packed, const team<T>&) noexcept {
  const int64_t plane = s.plane_taps(), filter = s.source_channels * s.taps();
  for (int64_t group = 0; group < s.groups; ++group, w += s.target_channels * filter)
    for (int64_t first = 0; first < s.target_channels; first += order.targets) {
      T* const next = packed + filter * order.targets;
      for_each_class(s, [&](const conv_class& taps) {
        const auto& [d, h, x, before] = taps;
        const int64_t counts[4]{s.source_channels, d.taps, h.taps, x.taps};
        const int64_t steps[4]{s.weight_source, d.k_step * plane, h.k_step * s.kernel[2], x.k_step};
        int64_t n[4], step[4];
        for (int i = 0; i < 4; ++i) n[i] = counts[order.axes[i]], step[i] = steps[order.axes[i]];
        const T* const from = w + first * s.weight_target + d.k * plane + h.k * s.kernel[2] + x.k;
        const int64_t valid = smaller(order.targets, s.target_channels - first);
        for (int64_t a = 0; a < n[0]; ++a)
          for (int64_t b = 0; b < n[1]; ++b)
            for (int64_t c = 0; c < n[2]; ++c)
              for (int64_t e = 0; e < n[3]; ++e, packed += order.targets) {
                const T* const at = from + a * step[0] + b * step[1] + c * step[2] + e * step[3];
                for (int64_t o = 0; o < order.targets; ++o) packed[o] = o < valid ? at[o * s.weight_target] : T(0);
              }
      });
      packed = next;
    }
}

/// What all plans have: blocks of target channels in one group, and scratch memory in elements, of which threads may share a copy of the
/// source.
struct pixels_plan {
  pixel_filter_order order;
  int64_t blocks = 1;
  int64_t source_size = 0, own_size = 0;  // the copy, and all else
  sharing share = sharing::none;
  constexpr int64_t scratch() const { return source_size + own_size; }
  constexpr int64_t worker_scratch() const {  // of each worker but the first, which has scratch()
    return worker_memory(share, scratch(), own_size);
  }
};

/// What threads take: of a (sample, group) pair a block of target channels, of that a range of the depth, of that some rows or vectors.
struct pixels_task {
  int64_t pair = 0, block = 0, depth = 0, rows = 0;
};
struct pixels_tasks {
  int64_t pairs = 1, blocks = 1, depths = 1, rows = 1;
  constexpr int64_t count() const { return pairs * blocks * depths * rows; }
  constexpr pixels_task task(int64_t i) const {
    return {i / (rows * depths * blocks), i / (rows * depths) % blocks, i / rows % depths, i % rows};
  }
};

/// Rows of results in a tile. Those of the residue classes of the width take turns, each class `step` elements behind the one before.
template <class T>
struct tile_rows {
  const T* tile = nullptr;
  int64_t pitch = 0, classes = 1, step = 0;
  int64_t rows = 0, width = 0, y_row = 0;  // of the destination; from one row to the next
};

template <class V, class T>
VOLUTE_INLINE V take_turns(const T* tile, int64_t classes, int64_t step, int64_t w) noexcept {
  if (classes == 1) return simd::load<V>(tile + w);
  if (classes == 2) return simd::zip_low(simd::load<V>(tile + w / 2), simd::load<V>(tile + step + w / 2));
  alignas(64) T mixed[simd::lanes<V>];
  int64_t r = w % classes, i = w / classes;
  for (T& e : mixed) {
    e = tile[r * step + i];
    if (++r == classes) r = 0, ++i;
  }
  return simd::load<V>(mixed);
}

/// The rows through the epilogue to y, the first one to `first`. Whole vectors are read of the tile, also at the end of a row.
template <class T, ops::epilogue E>
VOLUTE_NO_INLINE void store_tile(const tile_rows<T>& t, conv_output<T> out, const conv_place& first) noexcept {
  using V = simd::vec<T>;
  constexpr int64_t L = simd::lanes<V>;
  conv_place at = first;
  const T* row = t.tile;
  for (int64_t i = 0; i < t.rows; ++i, row += t.pitch) {
    at.offset = first.offset + i * t.y_row;
    const auto value = [&](int64_t w) VOLUTE_ALWAYS_INLINE { return take_turns<V>(row, t.classes, t.step, w); };
    int64_t w = 0;
    for (; w + L <= t.width; w += L, at.offset += L) finish<E>(value(w), out, at, L);
    if (w < t.width) finish<E>(value(w), out, at, t.width - w);
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
