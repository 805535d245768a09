// Copies between strided tensors (transpose, slice, pad, concat) and fills.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/team.hpp>
#include <volute/ops/loop_nest.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// out[0 .. n-1] = value.
template <class T>
void fill(T* out, std::int64_t n, T value) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  const V v(value);
  std::int64_t j = 0;
  for (; j + width <= n; j += width) simd::store(out + j, v);
  for (; j < n; ++j) out[j] = value;
}

/// The same by threads: about 10 elements a nanosecond each.
template <class T>
void fill(T* out, std::int64_t n, T value, const team<T>& workers) noexcept {
  share_ranges(workers, n, 1024, workers.alone() ? 1 : parts_of(0.1 * static_cast<double>(n)),
               [&](std::int64_t begin, std::int64_t end, int) noexcept { fill(out + begin, end - begin, value); });
}

/// The axes of a copy that are left after extents of 1 are dropped and neighbours merged; `in` and `out` are strides.
struct copy_axes {
  int rank = 0;
  std::int64_t extent[max_rank]{}, in[max_rank]{}, out[max_rank]{};

  explicit copy_axes(const ops::copy_nest& nest) noexcept {
    for (int a = 0; a < nest.rank; ++a) {
      if (nest.extent[a] == 1) continue;
      const bool merge =
          rank > 0 && in[rank - 1] == nest.in_stride[a] * nest.extent[a] && out[rank - 1] == nest.out_stride[a] * nest.extent[a];
      const int to = merge ? rank - 1 : rank++;
      extent[to] = merge ? extent[to] * nest.extent[a] : nest.extent[a];
      in[to] = nest.in_stride[a];
      out[to] = nest.out_stride[a];
    }
  }

  void move_to_end(int axis) noexcept {
    const std::int64_t e = extent[axis], i = in[axis], o = out[axis];
    for (int a = axis; a + 1 < rank; ++a) extent[a] = extent[a + 1], in[a] = in[a + 1], out[a] = out[a + 1];
    extent[rank - 1] = e, in[rank - 1] = i, out[rank - 1] = o;
  }

  /// The last axis with a unit stride, or -1.
  static int unit(const std::int64_t* stride, int n) noexcept {
    for (int a = n - 1; a >= 0; --a)
      if (stride[a] == 1) return a;
    return -1;
  }
};

/// One row of n elements.
template <class T>
VOLUTE_INLINE void copy_row(const T* in, std::int64_t in_step, T* out, std::int64_t out_step, std::int64_t n) noexcept {
  if (in_step == 1 && out_step == 1) {
    if (n >= 16)
      std::memcpy(out, in, static_cast<std::size_t>(n) * sizeof(T));
    else  // a call of memcpy costs more than a few elements
      for (std::int64_t j = 0; j < n; ++j) out[j] = in[j];
  } else if (in_step == 0 && out_step == 1) {
    fill(out, n, *in);
  } else {
    for (std::int64_t j = 0; j < n; ++j) out[j * out_step] = in[j * in_step];
  }
}

/// One square of 16 bytes by 16 bytes / sizeof(T): rows of `in` become columns of `out`.
template <class T>
VOLUTE_INLINE void transpose_square(const T* in, std::int64_t in_row, T* out, std::int64_t out_row) noexcept {
  constexpr int side = 16 / static_cast<int>(sizeof(T));
  if constexpr (simd::has_width<T, side>) {
    using V = simd::vec<T, side>;
    V r[side], s[side];
    for (int i = 0; i < side; ++i) r[i] = simd::load<V>(in + i * in_row);
    if constexpr (side == 4) {  // two rounds of the perfect shuffle
      s[0] = xsimd::zip_lo(r[0], r[2]), s[1] = xsimd::zip_hi(r[0], r[2]);
      s[2] = xsimd::zip_lo(r[1], r[3]), s[3] = xsimd::zip_hi(r[1], r[3]);
      r[0] = xsimd::zip_lo(s[0], s[2]), r[1] = xsimd::zip_hi(s[0], s[2]);
      r[2] = xsimd::zip_lo(s[1], s[3]), r[3] = xsimd::zip_hi(s[1], s[3]);
    } else {
      s[0] = xsimd::zip_lo(r[0], r[1]), s[1] = xsimd::zip_hi(r[0], r[1]);
      r[0] = s[0], r[1] = s[1];
    }
    for (int i = 0; i < side; ++i) simd::store(out + i * out_row, r[i]);
  } else {
    for (int i = 0; i < side; ++i)
      for (int j = 0; j < side; ++j) out[j * out_row + i] = in[i * in_row + j];
  }
}

/// out[j * out_row + i] = in[i * in_row + j], i < rows, j < columns, by blocks whose lines of in and out fit the L1 cache.
template <class T>
__attribute__((noinline)) void transpose_plane(const T* in, std::int64_t in_row, T* out, std::int64_t out_row, std::int64_t rows,
                                               std::int64_t columns) noexcept {
  constexpr std::int64_t side = 16 / static_cast<int>(sizeof(T));
  constexpr std::int64_t block = 32;
  for (std::int64_t j0 = 0; j0 < columns; j0 += block) {
    const std::int64_t j1 = j0 + block < columns ? j0 + block : columns;
    for (std::int64_t i0 = 0; i0 < rows; i0 += block) {
      const std::int64_t i1 = i0 + block < rows ? i0 + block : rows;
      std::int64_t j = j0;
      for (; j + side <= j1; j += side) {
        std::int64_t i = i0;
        for (; i + side <= i1; i += side) transpose_square(in + i * in_row + j, in_row, out + j * out_row + i, out_row);
        for (; i < i1; ++i)
          for (std::int64_t k = 0; k < side; ++k) out[(j + k) * out_row + i] = in[i * in_row + j + k];
      }
      for (; j < j1; ++j)
        for (std::int64_t i = i0; i < i1; ++i) out[j * out_row + i] = in[i * in_row + j];
    }
  }
}

/// All positions of some axes.
template <class T>
void copy_part(copy_axes axes, const T* in, T* out) noexcept {
  if (axes.rank == 0) {
    *out = *in;
    return;
  }
  // The order of the axes is free. Best is a row that is contiguous on both sides, then a plane that is contiguous in one axis on
  // the one side and in another on the other: a transposition. `tail` axes are done by the inner kernel, the others by an odometer.
  int tail = 1;
  const int to = copy_axes::unit(axes.out, axes.rank), from = copy_axes::unit(axes.in, axes.rank);
  if (to >= 0 && from >= 0 && axes.in[to] != 1) {
    tail = 2;
    axes.move_to_end(to);
    axes.move_to_end(from > to ? from - 1 : from);  // last: contiguous in `in`; before it: contiguous in `out`
  } else if (to >= 0) {
    axes.move_to_end(to);
  }
  const int last = axes.rank - 1, outer = axes.rank - tail;
  std::int64_t index[max_rank]{};
  for (;;) {
    if (tail == 2)
      transpose_plane(in, axes.in[last - 1], out, axes.out[last], axes.extent[last - 1], axes.extent[last]);
    else
      copy_row(in, axes.in[last], out, axes.out[last], axes.extent[last]);
    int a = outer - 1;
    for (; a >= 0; --a) {
      if (++index[a] < axes.extent[a]) {
        in += axes.in[a], out += axes.out[a];
        break;
      }
      in -= axes.in[a] * (axes.extent[a] - 1), out -= axes.out[a] * (axes.extent[a] - 1);
      index[a] = 0;
    }
    if (a < 0) return;
  }
}

/// out[out_offset + ...] = in[in_offset + ...] over all positions of the nest. The two tensors do not overlap. Threads share the first
/// axis, or a longer one if that has fewer than 8 positions.
template <class T>
void strided_copy(const ops::copy_nest& nest, const T* in, T* out, const team<T>& workers = {}) noexcept {
  const copy_axes axes(nest);
  in += nest.in_offset;
  out += nest.out_offset;
  if (workers.alone() || axes.rank == 0) return copy_part(axes, in, out);
  std::int64_t size = 1;
  int axis = 0;
  for (int a = 0; a < axes.rank; ++a) {
    size *= axes.extent[a];
    if (axes.extent[axis] < 8 && axes.extent[a] > axes.extent[axis]) axis = a;
  }
  const bool rows = axes.in[axes.rank - 1] == 1 && axes.out[axes.rank - 1] == 1;  // else turned or strided
  share_ranges(workers, axes.extent[axis], axes.rank == 1 ? 1024 : 1, parts_of(static_cast<double>(size) * (rows ? 0.15 : 0.5)),
               [&](std::int64_t begin, std::int64_t end, int) noexcept {
                 copy_axes some = axes;
                 some.extent[axis] = end - begin;
                 copy_part(some, in + begin * axes.in[axis], out + begin * axes.out[axis]);
               });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
