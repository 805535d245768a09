// The registers of a micro-kernel: arrays of vectors, of one or more axes, that lie in memory one vector after the other. All loops are of
// constant length and unrolled, so that no array is ever one in memory.
#pragma once

#include <volute/core/simd.hpp>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

template <class V, int N>
VOLUTE_INLINE void set_zero(V (&row)[N]) noexcept {
  VOLUTE_EACH(i, N) row[i] = V(0);
}
template <class V, int M, int N>
VOLUTE_INLINE void set_zero(V (&rows)[M][N]) noexcept {
  VOLUTE_EACH(i, M) set_zero(rows[i]);
}
template <class V, int N>
VOLUTE_INLINE void copy_all(V (&row)[N], const V (&other)[N]) noexcept {
  VOLUTE_EACH(i, N) row[i] = other[i];
}
template <class V, int N, class T>
VOLUTE_INLINE void load_all(V (&row)[N], const T* from) noexcept {
  VOLUTE_EACH(i, N) row[i] = simd::load<V>(from + i * simd::lanes<V>);
}
template <class V, int M, int N, class T>
VOLUTE_INLINE void load_all(V (&rows)[M][N], const T* from) noexcept {
  VOLUTE_EACH(i, M) load_all(rows[i], from + i * N * simd::lanes<V>);
}
/// Stream: past the caches.
template <bool Stream = false, class V, int N, class T>
VOLUTE_INLINE void store_all(const V (&row)[N], T* to) noexcept {
  VOLUTE_EACH(i, N) {
    if constexpr (Stream)
      simd::stream(to + i * simd::lanes<V>, row[i]);
    else
      simd::store(to + i * simd::lanes<V>, row[i]);
  }
}
template <bool Stream = false, class V, int M, int N, class T>
VOLUTE_INLINE void store_all(const V (&rows)[M][N], T* to) noexcept {
  VOLUTE_EACH(i, M) store_all<Stream>(rows[i], to + i * N * simd::lanes<V>);
}
/// sum += factor * x.
template <class V, int N>
VOLUTE_INLINE void add_products(V (&sum)[N], const V& factor, const V (&x)[N]) noexcept {
  VOLUTE_EACH(i, N) sum[i] = simd::fma(factor, x[i], sum[i]);
}
}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
