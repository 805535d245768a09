// The one shim over xsimd: vector types by lane count, loads, stores, tails. Debian 12 ships xsimd 8.1; newer releases renamed
// hadd to reduce_add. What xsimd lacks (masked tails, prefetch) stands here, beside a portable fallback, and nowhere else.
#pragma once

#include <xsimd/xsimd.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

// Functions compiled with other -m flags must not share a name (one definition rule): every kernel lives in this namespace.
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#include <immintrin.h>
#define VOLUTE_ISA avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define VOLUTE_ISA avx2
#elif defined(__AVX__)
#define VOLUTE_ISA avx
#elif defined(__ARM_NEON)
#define VOLUTE_ISA neon
#else
#define VOLUTE_ISA baseline
#endif

#define VOLUTE_INLINE inline __attribute__((always_inline))
#define VOLUTE_RESTRICT __restrict__

namespace volute::simd {
inline namespace VOLUTE_ISA {

/// Lanes of the widest vector of T on the instruction set of this translation unit.
template <class T>
inline constexpr int width = static_cast<int>(xsimd::batch<T>::size);

/// True where the instruction set has a vector of exactly N lanes of T.
template <class T, int N>
inline constexpr bool has_width = !std::is_void_v<xsimd::make_sized_batch_t<T, static_cast<std::size_t>(N)>>;

/// A vector of N lanes of T (default: the widest).
template <class T, int N = width<T>>
using vec = std::conditional_t<N == width<T>, xsimd::batch<T>, xsimd::make_sized_batch_t<T, static_cast<std::size_t>(N)>>;

template <class V>
inline constexpr int lanes = static_cast<int>(V::size);

template <class V, class T>
VOLUTE_INLINE V load(const T* p) {
  return V::load_unaligned(p);
}

template <class V, class T>
VOLUTE_INLINE void store(T* p, V v) {
  v.store_unaligned(p);
}

template <class V, class T>
VOLUTE_INLINE V broadcast(T value) {
  return V(value);
}

/// a * b + c, with one rounding where the instruction set has FMA.
template <class V>
VOLUTE_INLINE V fma(V a, V b, V c) {
  return xsimd::fma(a, b, c);
}

template <class V>
VOLUTE_INLINE typename V::value_type reduce_add(V v) {
#if XSIMD_VERSION_MAJOR >= 9
  return xsimd::reduce_add(v);
#else
  return xsimd::hadd(v);
#endif
}

/// The first n (0..lanes) elements; the rest are zero. Never touches memory past p + n.
template <class V, class T>
VOLUTE_INLINE V load_partial(const T* p, int n) {
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  if constexpr (std::is_same_v<T, float> && lanes<V> == 16)
    return V(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p));
  else if constexpr (std::is_same_v<T, double> && lanes<V> == 8)
    return V(_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1u), p));
  else
#endif
  {
    alignas(64) T buffer[lanes<V>] = {};
    std::memcpy(buffer, p, static_cast<std::size_t>(n) * sizeof(T));
    return V::load_aligned(buffer);
  }
}

/// Stores the first n (0..lanes) elements and leaves the memory behind them alone.
template <class V, class T>
VOLUTE_INLINE void store_partial(T* p, V v, int n) {
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  if constexpr (std::is_same_v<T, float> && lanes<V> == 16)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), v);
  else if constexpr (std::is_same_v<T, double> && lanes<V> == 8)
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1u), v);
  else
#endif
  {
    alignas(64) T buffer[lanes<V>];
    v.store_aligned(buffer);
    std::memcpy(p, buffer, static_cast<std::size_t>(n) * sizeof(T));
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::simd
