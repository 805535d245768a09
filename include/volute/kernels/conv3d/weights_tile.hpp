// The register blocks of the adjoint in the filter: sums stay in registers, and go to memory as tiles.
#pragma once

#include <volute/core/simd.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

using std::int64_t;

/// f(sum, its number) for all of a register block's sums.
template <class V, int R, int C, class F>
VOLUTE_INLINE void for_each_sum(V (&tile)[R][C], F f) noexcept {
  VOLUTE_UNROLL
  for (int r = 0; r < R; ++r) VOLUTE_UNROLL
  for (int c = 0; c < C; ++c) f(tile[r][c], r * C + c);
}
/// Zeros, from memory (or zeros), to memory, and the sum of each one's lanes.
template <class V, int R, int C>
VOLUTE_INLINE void clear_tile(V (&tile)[R][C]) noexcept {
  for_each_sum(
      tile, [](V & v, int) __attribute__((always_inline)) { v = V(typename V::value_type(0)); });
}
template <class V, int R, int C, class T>
VOLUTE_INLINE void load_tile(V (&tile)[R][C], const T* from, bool there = true) noexcept {
  if (!there) return clear_tile(tile);
  for_each_sum(
      tile, [&](V & v, int i) __attribute__((always_inline)) { v = simd::load<V>(from + i * simd::lanes<V>); });
}
template <class V, int R, int C, class T>
VOLUTE_INLINE void store_tile(V (&tile)[R][C], T* to) noexcept {
  for_each_sum(
      tile, [&](const V& v, int i) __attribute__((always_inline)) { simd::store(to + i * simd::lanes<V>, v); });
}
template <class V, int R, int C, class T>
VOLUTE_INLINE void reduce_tile(V (&tile)[R][C], T* to) noexcept {
  for_each_sum(
      tile, [&](const V& v, int i) __attribute__((always_inline)) { to[i] = simd::reduce_add(v); });
}

/// A row of registers: vectors of memory one after the other; sum += factor * x.
template <class V, int N, class T>
VOLUTE_INLINE void load_row(V (&row)[N], const T* from) noexcept {
  VOLUTE_UNROLL
  for (int i = 0; i < N; ++i) row[i] = simd::load<V>(from + i * simd::lanes<V>);
}
template <class V, int N>
VOLUTE_INLINE void multiply_add(V (&sum)[N], const V& factor, const V (&x)[N]) noexcept {
  VOLUTE_UNROLL
  for (int i = 0; i < N; ++i) sum[i] = simd::fma(factor, x[i], sum[i]);
}

/// to[t][k] = sums[t][k], or (add) their sum: t < rows, k < count.
template <class T>
VOLUTE_INLINE void put_sums(const T* sums, int64_t row, int64_t rows, int64_t count, T* to, int64_t to_row, bool add) noexcept {
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t k = 0; k < count; ++k) {
      T& e = to[t * to_row + k];
      e = add ? e + sums[t * row + k] : sums[t * row + k];
    }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
