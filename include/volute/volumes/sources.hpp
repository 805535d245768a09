// Where tiles get their voxels: memory, or a function that fills a part of the volume.
#pragma once

#include <volute/runtime/bind.hpp>
#include <volute/volumes/cut.hpp>

#include <cstring>
#include <span>

namespace volute::volumes {

inline namespace VOLUTE_ISA {

/// A dense volume (N, C, D, H, W) in memory, N and C those of the network's input. Must outlive the run.
template <class T>
struct memory_source {
  const T* data;
  size3 extent;
  std::int64_t samples = -1, channels = -1;  // -1: as many as there are to be

  size3 extents() const { return extent; }
  /// Throws shape_error if it is not one of the network's inputs.
  void check(std::int64_t wanted_samples, std::int64_t wanted_channels) const {
    if (samples < 0 || (samples == wanted_samples && channels == wanted_channels)) return;
    fail("volume: expected " + std::to_string(wanted_samples) + " samples of " + std::to_string(wanted_channels) + " channels, found " +
         std::to_string(samples) + " of " + std::to_string(channels));
  }
  /// Fills `to`, dense (N, C, box).
  template <class U>
  void fill(const box& b, std::int64_t planes, U* to) const {
    for (std::int64_t p = 0; p < planes; ++p)
      for (std::int64_t z = b.begin.d; z < b.begin.d + b.extent.d; ++z)
        for (std::int64_t y = b.begin.h; y < b.begin.h + b.extent.h; ++y) {
          const T* const from = data + ((p * extent.d + z) * extent.h + y) * extent.w + b.begin.w;
          if constexpr (std::is_same_v<T, U>)
            std::memcpy(static_cast<void*>(to), from, static_cast<std::size_t>(b.extent.w) * sizeof(T));
          else
            for (std::int64_t x = 0; x < b.extent.w; ++x) to[x] = static_cast<U>(from[x]);
          to += b.extent.w;
        }
  }
};

/// A function fill(box, T* to) that writes the voxels of a part of the volume to `to`, dense (N, C, box). Several workers call it at once.
template <class F>
struct function_source {
  size3 extent;
  F function;

  size3 extents() const { return extent; }
  void check(std::int64_t, std::int64_t) const {}
  template <class U>
  void fill(const box& b, std::int64_t, U* to) const {
    function(b, to);
  }
};

/// `memory(x)` of a dense tensor (N, C, D, H, W), or memory(pointer, {d, h, w}).
template <class T>
memory_source<T> memory(const T* data, const size3& extent) {
  return {data, extent};
}
template <runtime::shaped V>
auto memory(const V& v) {
  using T = std::remove_cv_t<typename V::value_type>;
  if (v.dimension() != 5) fail("volume: expected rank 5 (N,C,D,H,W), found rank " + std::to_string(v.dimension()));
  const T* const data = runtime::dense_data<T>(v);
  if (data == nullptr && v.size() != 0) fail("volume: expected dense in row-major order, found an expression or a view");
  const auto at = [&](std::size_t i) { return static_cast<std::int64_t>(v.shape()[i]); };
  return memory_source<T>{data, {at(2), at(3), at(4)}, at(0), at(1)};
}
/// `function({d, h, w}, f)`.
template <class F>
function_source<F> function(const size3& extent, F f) {
  return {extent, static_cast<F&&>(f)};
}

/// The voxels of a tile: those of `source` within the volume, and behind its high ends what the rule says. `to` is dense (planes, tile).
template <class Source, class T>
void fill_tile(const Source& source, const size3& volume, const size3& origin, const size3& tile, std::int64_t planes, fit rule, T* to) {
  box b{origin, tile};
  for (int a = 0; a < 3; ++a) b.extent[a] = std::min(tile[a], volume[a] - origin[a]);
  source.fill(b, planes, to);
  if (b.extent == tile) return;
  // The part is spread out from its end, so that nothing is overwritten before it has moved.
  for (std::int64_t p = planes; p-- > 0;)
    for (std::int64_t z = tile.d; z-- > 0;)
      for (std::int64_t y = tile.h; y-- > 0;) {
        T* const row = to + ((p * tile.d + z) * tile.h + y) * tile.w;
        const bool inside = z < b.extent.d && y < b.extent.h;
        if (!inside) continue;
        std::memmove(static_cast<void*>(row), to + ((p * b.extent.d + z) * b.extent.h + y) * b.extent.w,
                     static_cast<std::size_t>(b.extent.w) * sizeof(T));
        std::fill(row + b.extent.w, row + tile.w, rule == fit::replicate ? row[b.extent.w - 1] : T(0));
      }
  for (std::int64_t p = 0; p < planes; ++p)
    for (std::int64_t z = 0; z < tile.d; ++z)
      for (std::int64_t y = 0; y < tile.h; ++y) {
        if (z < b.extent.d && y < b.extent.h) continue;
        T* const row = to + ((p * tile.d + z) * tile.h + y) * tile.w;
        const std::int64_t zs = std::min(z, b.extent.d - 1), ys = std::min(y, b.extent.h - 1);
        if (rule == fit::replicate)
          std::memcpy(static_cast<void*>(row), to + ((p * tile.d + zs) * tile.h + ys) * tile.w,
                      static_cast<std::size_t>(tile.w) * sizeof(T));
        else
          std::fill(row, row + tile.w, T(0));
      }
}

}  // namespace VOLUTE_ISA

}  // namespace volute::volumes
