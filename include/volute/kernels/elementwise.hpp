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
  for (; j + width <= n; j += width) simd::store(out + j, program_at<P, L, V>(r, j));
  if (j < n) {
    const int left = static_cast<int>(n - j);
    simd::store_partial(out + j, program_at_partial<P, L, V>(r, j, left), left);
  }
}

/// out = program(in[0], in[1], ...) at every position of the nest; out is dense and may be an input of the same dense layout.
/// Extents are at least 1. L names the innermost stride of each input: contiguous (1), broadcast (0) or strided (any).
template <class T, ops::scalar_program P, ops::lanes L>
void elementwise(const ops::loop_nest& nest, const T* const* in, T* out) noexcept {
  static_assert(P.inputs >= 1, "volute: a program without inputs is a fill");
  constexpr int inputs = P.inputs;
  const int outer = nest.rank > 0 ? nest.rank - 1 : 0;
  const std::int64_t n = nest.rank > 0 ? nest.extent[outer] : 1;
  row<T, inputs> r;
  for (int i = 0; i < inputs; ++i) r.step[i] = nest.rank > 0 ? nest.stride[i][outer] : 0;
  odometer<inputs> at(nest, 0, outer);

  if (n > short_row<T> || outer == 0) {
    do {
      for (int i = 0; i < inputs; ++i) r.p[i] = in[i] + at.offset[i];
      elementwise_row<P, L>(r, n, out);
      out += n;
    } while (at.next());
    return;
  }

  // Short rows: the output is dense across rows, so whole vectors of it come from gathered inputs.
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  alignas(64) T buffer[inputs][gathered] = {};
  for (int i = 0; i < inputs; ++i) r.p[i] = buffer[i];
  std::int64_t rows = positions(nest, 0, outer);
  const std::int64_t most = gathered / n;
  while (rows > 0) {
    const std::int64_t some = rows < most ? rows : most, size = some * n;
    gather_rows<T, inputs>(in, at, r.step, n, some, buffer);
    for (std::int64_t j = 0; j < size; j += width) {
      const V v = program_at<P, all_contiguous, V>(r, j);
      if (j + width <= size) simd::store(out + j, v);
      else simd::store_partial(out + j, v, static_cast<int>(size - j));
    }
    out += size;
    rows -= some;
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
