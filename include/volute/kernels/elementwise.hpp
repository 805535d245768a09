// Elementwise kernels: a fused scalar program over a loop nest, written once, without intermediates.
#pragma once

#include <volute/kernels/walk.hpp>

#include <cstdint>
#include <cstring>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// One row of n elements. `out` may be the buffer of a contiguous input: each vector is read before it is written.
template <ops::scalar_program P, ops::lanes L, class T>
VOLUTE_INLINE void elementwise_row(const row<T, P.inputs>& r, std::int64_t n, T* out) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  std::int64_t j = 0;
  if constexpr (short_program(P)) {
    for (; j + width <= n; j += width) simd::store(out + j, program_at<P, L, V>(r, j));
    if (j < n) {
      const int left = static_cast<int>(n - j);
      simd::store_partial(out + j, program_at_partial<P, L, V>(r, j, left), left);
    }
  } else {
    for (; j < n; j += width) {
      const V v = program_at_most<P, L, V>(r, j, n - j);
      if (n - j >= width)
        simd::store(out + j, v);
      else
        simd::store_partial(out + j, v, static_cast<int>(n - j));
    }
  }
}

/// Columns [begin, end) of the rows [first, last) of a nest.
template <class T, ops::scalar_program P, ops::lanes L>
void elementwise_part(const ops::loop_nest& nest, const T* const* in, T* out, std::int64_t first, std::int64_t last, std::int64_t begin,
                      std::int64_t end) noexcept {
  constexpr int inputs = P.inputs;
  const int outer = nest.rank > 0 ? nest.rank - 1 : 0;
  const std::int64_t n = nest.rank > 0 ? nest.extent[outer] : 1;
  row<T, inputs> r;
  for (int i = 0; i < inputs; ++i) r.step[i] = nest.rank > 0 ? nest.stride[i][outer] : 0;
  odometer<inputs> at(nest, 0, outer, first);
  out += first * n + begin;

  if (n > short_row<T> || outer == 0) {
    for (std::int64_t k = first; k < last; ++k, out += n, at.next()) {
      for (int i = 0; i < inputs; ++i) r.p[i] = in[i] + at.offset[i] + begin * r.step[i];
      elementwise_row<P, L>(r, end - begin, out);
    }
    return;
  }

  // Short rows: the output is dense across rows, so whole vectors of it come from gathered inputs.
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  alignas(64) T buffer[inputs][gathered] = {};
  for (int i = 0; i < inputs; ++i) r.p[i] = buffer[i];
  const std::int64_t most = gathered / n;
  for (std::int64_t rows = last - first; rows > 0;) {
    const std::int64_t some = rows < most ? rows : most, size = some * n;
    gather_rows<T, inputs>(in, at, r.step, n, some, buffer);
    for (std::int64_t j = 0; j < size; j += width) {
      const V v = program_at<P, all_contiguous, V>(r, j);
      if (j + width <= size)
        simd::store(out + j, v);
      else
        simd::store_partial(out + j, v, static_cast<int>(size - j));
    }
    out += size;
    rows -= some;
  }
}

/// out = program(in[0], in[1], ...) at every position of the nest; out is dense and may be an input of the same dense layout.
/// Extents are at least 1. L names the innermost stride of each input: contiguous (1), broadcast (0) or strided (any).
/// Threads share whole vectors of a row or whole buffers of gathered rows: a vector holds the same elements whoever makes it (xsimd's sin
/// takes another path for a whole vector if one of its lanes is large).
template <class T, ops::scalar_program P, ops::lanes L>
void elementwise(const ops::loop_nest& nest, const T* const* in, T* out, const team<T>& workers = {}) noexcept {
  static_assert(P.inputs >= 1, "volute: a program without inputs is a fill");
  const int outer = nest.rank > 0 ? nest.rank - 1 : 0;
  const std::int64_t n = nest.rank > 0 ? nest.extent[outer] : 1, rows = positions(nest, 0, outer);
  const std::int64_t parts = workers.alone() ? 1 : parts_of(static_cast<double>(rows * n) * program_cost<T>(P));
  if (parts == 1) {
    elementwise_part<T, P, L>(nest, in, out, 0, rows, 0, n);
  } else if (rows >= parts) {
    share_ranges(workers, rows, n > short_row<T> ? 1 : gathered / n, parts,
                 [&](std::int64_t first, std::int64_t last, int) noexcept { elementwise_part<T, P, L>(nest, in, out, first, last, 0, n); });
  } else {
    for (std::int64_t k = 0; k < rows; ++k)
      share_ranges(workers, n, 1024, parts, [&](std::int64_t begin, std::int64_t end, int) noexcept {
        elementwise_part<T, P, L>(nest, in, out, k, k + 1, begin, end);
      });
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
