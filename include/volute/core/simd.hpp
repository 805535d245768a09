// The one shim over xsimd: vector types by lane count, loads, stores, tails. Debian 12 ships xsimd 8.1; newer releases renamed
// hadd to reduce_add. What xsimd lacks (masked tails, stores past the caches) stands here, beside a portable fallback, and nowhere else.
#pragma once

#include <volute/core/compiler.hpp>
#include <volute/core/isa.hpp>

// g++ 12's AVX-512 headers write "undefined" registers as `__m512 y = y` and then warn of them wherever they are inlined (GCC PR 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#if defined(__AVX__)
#include <immintrin.h>
#endif
#if defined(__AVX512BW__) && defined(_mm512_mask_blend_epi8)
// Unoptimised, g++'s blends are macros, whose casts refuse the vectors that xsimd 8.1 hands them; as functions they convert them.
#undef _mm512_mask_blend_epi8
#undef _mm512_mask_blend_epi16
inline __m512i _mm512_mask_blend_epi8(__mmask64 which, __m512i otherwise, __m512i then) {
  return reinterpret_cast<__m512i>(
      __builtin_ia32_blendmb_512_mask(reinterpret_cast<__v64qi>(otherwise), reinterpret_cast<__v64qi>(then), which));
}
inline __m512i _mm512_mask_blend_epi16(__mmask32 which, __m512i otherwise, __m512i then) {
  return reinterpret_cast<__m512i>(
      __builtin_ia32_blendmw_512_mask(reinterpret_cast<__v32hi>(otherwise), reinterpret_cast<__v32hi>(then), which));
}
#endif
// Where the compiler is told of no vectors, xsimd 13 has them as arrays: slow, but right.
#if !defined(__SSE2__) && !defined(__ARM_NEON) && !defined(__wasm_simd128__) && !defined(__riscv_vector) && !defined(XSIMD_DEFAULT_ARCH)
#if __has_include(<xsimd/arch/xsimd_emulated.hpp>)
#define XSIMD_WITH_EMULATED 1
#define XSIMD_DEFAULT_ARCH ::xsimd::emulated<128>
#include <xsimd/config/xsimd_config.hpp>
#undef XSIMD_NO_SUPPORTED_ARCHITECTURE
#elif defined(__i386__)
#include "volute needs -msse2, or xsimd 13 or newer for a processor without vectors"
#else
#include "volute needs xsimd 13 or newer for a processor without vectors"
#endif
#endif
#if defined(__wasm_simd128__) && !defined(__EMSCRIPTEN__)
// xsimd 13 has WebAssembly's vectors, and looks for them where Emscripten compiles only.
#include <xsimd/config/xsimd_config.hpp>
#undef XSIMD_WITH_WASM
#define XSIMD_WITH_WASM 1
#undef XSIMD_NO_SUPPORTED_ARCHITECTURE
#endif
#include <xsimd/xsimd.hpp>
#include <volute/core/simd_arm.hpp>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <volute/core/hints.hpp>
#include <volute/core/loops.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

VOLUTE_LOOPS_BEGIN
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

// clang-format off
// One case of a function of vectors V: those of so many bytes with lanes of this type. Another case, or what serves all else, follows.
#define VOLUTE_FOR_VECTORS_OF(bytes, lane, ...)                                                           \
  if constexpr (sizeof(V) == (bytes) && std::is_same_v<typename V::value_type, lane>) return __VA_ARGS__; \
  else

/// a * b + c, with one rounding where the instruction set has FMA. xsimd 8.1 has none for AVX-512: its fma there is a product and a
/// sum, which g++ contracts in most places and clang in none (half the peak).
template <class V>
VOLUTE_INLINE V fma(V a, V b, V c) {
#if defined(__AVX512F__)
  VOLUTE_FOR_VECTORS_OF(64, float, _mm512_fmadd_ps(a, b, c))
  VOLUTE_FOR_VECTORS_OF(64, double, _mm512_fmadd_pd(a, b, c))
#endif
#if defined(__FMA__)
  VOLUTE_FOR_VECTORS_OF(32, float, _mm256_fmadd_ps(a, b, c))
  VOLUTE_FOR_VECTORS_OF(32, double, _mm256_fmadd_pd(a, b, c))
  VOLUTE_FOR_VECTORS_OF(16, float, _mm_fmadd_ps(a, b, c))
  VOLUTE_FOR_VECTORS_OF(16, double, _mm_fmadd_pd(a, b, c))
#endif
    return xsimd::fma(a, b, c);
}

/// a < b ? a : b, lane by lane: b where either is NaN, and where both are zeros. What xsimd's min does there differs from release to release.
template <class V>
VOLUTE_INLINE V min(V a, V b) {
#if defined(__AVX512F__)
  VOLUTE_FOR_VECTORS_OF(64, float, _mm512_min_ps(a, b))
  VOLUTE_FOR_VECTORS_OF(64, double, _mm512_min_pd(a, b))
#endif
#if defined(__AVX__)
  VOLUTE_FOR_VECTORS_OF(32, float, _mm256_min_ps(a, b))
  VOLUTE_FOR_VECTORS_OF(32, double, _mm256_min_pd(a, b))
#endif
#if defined(__SSE2__)
  VOLUTE_FOR_VECTORS_OF(16, float, _mm_min_ps(a, b))
  VOLUTE_FOR_VECTORS_OF(16, double, _mm_min_pd(a, b))
#endif
    return xsimd::select(a < b, a, b);
}

/// a > b ? a : b, as min.
template <class V>
VOLUTE_INLINE V max(V a, V b) {
#if defined(__AVX512F__)
  VOLUTE_FOR_VECTORS_OF(64, float, _mm512_max_ps(a, b))
  VOLUTE_FOR_VECTORS_OF(64, double, _mm512_max_pd(a, b))
#endif
#if defined(__AVX__)
  VOLUTE_FOR_VECTORS_OF(32, float, _mm256_max_ps(a, b))
  VOLUTE_FOR_VECTORS_OF(32, double, _mm256_max_pd(a, b))
#endif
#if defined(__SSE2__)
  VOLUTE_FOR_VECTORS_OF(16, float, _mm_max_ps(a, b))
  VOLUTE_FOR_VECTORS_OF(16, double, _mm_max_pd(a, b))
#endif
    return xsimd::select(a > b, a, b);
}

template <class V>
VOLUTE_INLINE typename V::value_type reduce_add(V v) {
#if XSIMD_VERSION_MAJOR >= 9
  return xsimd::reduce_add(v);
#else
  return xsimd::hadd(v);
#endif
}

/// The bits of a vector as those of a vector of N: its lanes are as many and as wide. Newer releases of xsimd name the lane's type.
template <class N, class V>
VOLUTE_INLINE auto bits_as(V v) {
#if XSIMD_VERSION_MAJOR >= 11
  return xsimd::bitwise_cast<N>(v);
#else
  return xsimd::bitwise_cast<xsimd::batch<N, typename V::arch_type>>(v);
#endif
}

/// True where the widest loads and stores of a part of a vector are single instructions, or (NEON) one for each of few lanes.
template <class T>
#if (defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)) || defined(__aarch64__)
inline constexpr bool masks = true;
#else
inline constexpr bool masks = false;
#endif

/// True where load_masked is a few instructions.
template <class T>
#if defined(__AVX2__)
inline constexpr bool masked_loads = true;
#else
inline constexpr bool masked_loads = masks<T>;
#endif

#if defined(__AVX2__)
/// The mask of AVX2's loads and stores of a part: all bits of the first n lanes.
template <class V>
VOLUTE_INLINE __m256i first_lanes(int n) {
  if constexpr (lanes<V> == 8)
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  else
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
/// All bits of the lanes whose bit is set.
template <class V>
VOLUTE_INLINE __m256i lanes_of_bits(unsigned mask) {
  const __m256i bits = lanes<V> == 8 ? _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128) : _mm256_setr_epi64x(1, 2, 4, 8);
  const __m256i each = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(mask)), bits);
  return lanes<V> == 8 ? _mm256_cmpeq_epi32(each, bits) : _mm256_cmpeq_epi64(each, bits);
}
#endif

/// The first n (0..lanes) elements; the rest are zero. Never touches memory past p + n.
template <class V, class T>
VOLUTE_INLINE V load_partial(const T* p, int n) {
#if defined(__aarch64__)
  return arm_load_partial<V>(p, n);
#else
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  VOLUTE_FOR_VECTORS_OF(64, float, _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p))
  VOLUTE_FOR_VECTORS_OF(64, double, _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1u), p))
#endif
#if defined(__AVX2__)
  VOLUTE_FOR_VECTORS_OF(32, float, _mm256_maskload_ps(p, first_lanes<V>(n)))
  VOLUTE_FOR_VECTORS_OF(32, double, _mm256_maskload_pd(p, first_lanes<V>(n)))
#endif
  {
    alignas(64) T buffer[lanes<V>] = {};
    std::copy_n(p, n, buffer);
    return V::load_aligned(buffer);
  }
#endif
}

/// The lanes whose bits are set in `mask`; the rest are zero, and their memory is left alone.
template <class V, class T>
VOLUTE_INLINE V load_masked(const T* p, unsigned mask) {
#if defined(__aarch64__)
  return arm_load_masked<V>(p, mask);
#else
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  VOLUTE_FOR_VECTORS_OF(64, float, _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p))
  VOLUTE_FOR_VECTORS_OF(64, double, _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p))
#endif
#if defined(__AVX2__)
  VOLUTE_FOR_VECTORS_OF(32, float, _mm256_maskload_ps(p, lanes_of_bits<V>(mask)))
  VOLUTE_FOR_VECTORS_OF(32, double, _mm256_maskload_pd(p, lanes_of_bits<V>(mask)))
#endif
  {
    alignas(64) T buffer[lanes<V>] = {};
    for (int i = 0; i < lanes<V>; ++i)
      if ((mask >> i & 1) != 0) buffer[i] = p[i];
    return V::load_aligned(buffer);
  }
#endif
}

/// Stores the first n (0..lanes) elements and leaves the memory behind them alone.
template <class V, class T>
VOLUTE_INLINE void store_partial(T* p, V v, int n) {
#if defined(__aarch64__)
  return arm_store_partial(p, v, n);
#else
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  VOLUTE_FOR_VECTORS_OF(64, float, _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), v))
  VOLUTE_FOR_VECTORS_OF(64, double, _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1u), v))
#endif
#if defined(__AVX2__)
  VOLUTE_FOR_VECTORS_OF(32, float, _mm256_maskstore_ps(p, first_lanes<V>(n), v))
  VOLUTE_FOR_VECTORS_OF(32, double, _mm256_maskstore_pd(p, first_lanes<V>(n), v))
#endif
  {
    alignas(64) T buffer[lanes<V>];
    v.store_aligned(buffer);
    std::copy_n(buffer, n, p);
  }
#endif
}

/// The lower and the upper half of a vector of floats in double precision, where the instruction set has vectors of doubles.
template <class V, class D>
VOLUTE_INLINE void widen(V v, D& low, D& high) {
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  if constexpr (lanes<V> == 16) low = D(_mm512_cvtps_pd(_mm512_castps512_ps256(v))), high = D(_mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)));
  else
#endif
#if defined(__AVX__)
  if constexpr (lanes<V> == 8) low = D(_mm256_cvtps_pd(_mm256_castps256_ps128(v))), high = D(_mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
  else
#endif
  {
    alignas(64) float from[lanes<V>];
    alignas(64) double to[lanes<V>];
    v.store_aligned(from);
    for (int i = 0; i < lanes<V>; ++i) to[i] = static_cast<double>(from[i]);
    low = D::load_aligned(to), high = D::load_aligned(to + lanes<D>);
  }
}

/// The inverse, rounded.
template <class V, class D>
VOLUTE_INLINE V narrow(D low, D high) {
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  if constexpr (lanes<V> == 16)
    return V(_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1));
  else
#endif
#if defined(__AVX__)
  if constexpr (lanes<V> == 8) return V(_mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low)), _mm256_cvtpd_ps(high), 1));
  else
#endif
  {
    alignas(64) double from[lanes<V>];
    alignas(64) float to[lanes<V>];
    low.store_aligned(from), high.store_aligned(from + lanes<D>);
    for (int i = 0; i < lanes<V>; ++i) to[i] = static_cast<float>(from[i]);
    return V::load_aligned(to);
  }
}

/// The lower halves of a and b, lane by lane in turn: a0 b0 a1 b1 ... (xsimd 8.1 does this within 128 bits only on AVX and AVX-512.)
template <class V>
VOLUTE_INLINE V zip_low(V a, V b) {
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  VOLUTE_FOR_VECTORS_OF(64, float, _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b))
  VOLUTE_FOR_VECTORS_OF(64, double, _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b))
#endif
#if defined(__AVX__)
  VOLUTE_FOR_VECTORS_OF(32, float, _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20))
  VOLUTE_FOR_VECTORS_OF(32, double, _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x20))
#endif
    return xsimd::zip_lo(a, b);
}

/// The same of the upper halves.
template <class V>
VOLUTE_INLINE V zip_high(V a, V b) {
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  VOLUTE_FOR_VECTORS_OF(64, float, _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b))
  VOLUTE_FOR_VECTORS_OF(64, double, _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b))
#endif
#if defined(__AVX__)
  VOLUTE_FOR_VECTORS_OF(32, float, _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31))
  VOLUTE_FOR_VECTORS_OF(32, double, _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x31))
#endif
    return xsimd::zip_hi(a, b);
}

/// Every second lane of a and b together, from lane 0 or from lane 1 on: what zip_low and zip_high undo.
template <int First, class V>
VOLUTE_INLINE V unzip(V a, V b) {
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  VOLUTE_FOR_VECTORS_OF(64, float, _mm512_permutex2var_ps(a, _mm512_setr_epi32(First, First + 2, First + 4, First + 6, First + 8, First + 10, First + 12, First + 14, First + 16, First + 18, First + 20, First + 22, First + 24, First + 26, First + 28, First + 30), b))
  VOLUTE_FOR_VECTORS_OF(64, double, _mm512_permutex2var_pd(a, _mm512_setr_epi64(First, First + 2, First + 4, First + 6, First + 8, First + 10, First + 12, First + 14), b))
#endif
#if defined(__AVX2__)
  // a0 a2 b0 b2 a4 a6 b4 b6, then the quarters in their order
  VOLUTE_FOR_VECTORS_OF(32, float, _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, First == 0 ? 0x88 : 0xdd)), 0xd8)))
  VOLUTE_FOR_VECTORS_OF(32, double, _mm256_permute4x64_pd(_mm256_shuffle_pd(a, b, First == 0 ? 0x0 : 0xf), 0xd8))
#endif
#if defined(__AVX__)
  VOLUTE_FOR_VECTORS_OF(16, float, _mm_shuffle_ps(a, b, First == 0 ? 0x88 : 0xdd))
#endif
  {
    using T = typename V::value_type;
    alignas(64) T both[2 * lanes<V>], one[lanes<V>];
    a.store_aligned(both);
    b.store_aligned(both + lanes<V>);
    for (int i = 0; i < lanes<V>; ++i) one[i] = both[2 * i + First];
    return V::load_aligned(one);
  }
}
// clang-format on

/// `rounds` perfect shuffles of the elements of r[0], r[1], ... in a row: log2(n) of them leave the elements of the n vectors in turn
/// (r[0][0], r[1][0], ...), log2(lanes) of them undo that.
template <int rounds, class V, int n>
VOLUTE_INLINE void shuffle(V (&r)[n]) {
  VOLUTE_UNROLL
  for (int round = 0; round < rounds; ++round) {
    V t[n];
    VOLUTE_UNROLL
    for (int i = 0; i < n / 2; ++i) {
      t[2 * i] = zip_low(r[i], r[i + n / 2]);
      t[2 * i + 1] = zip_high(r[i], r[i + n / 2]);
    }
    VOLUTE_UNROLL
    for (int i = 0; i < n; ++i) r[i] = t[i];
  }
}

constexpr int log2_of(int n) { return n > 1 ? 1 + log2_of(n / 2) : 0; }

/// Transposes the square matrix whose rows are r. AVX2 moves the lanes of its halves apart, then the halves: 24 moves of 8 floats, not 48.
template <class V>
VOLUTE_INLINE void transpose(V (&r)[lanes<V>]) {
#if defined(__AVX2__)
  if constexpr (sizeof(V) == 32 && lanes<V> == 8) {
    V s[8];
    VOLUTE_EACH(i, 4) s[2 * i] = V(_mm256_unpacklo_ps(r[2 * i], r[2 * i + 1])), s[2 * i + 1] = V(_mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]));
    VOLUTE_EACH(i, 8) {  // column i % 4 of four rows, and column i % 4 + 4
      const __m256d a = _mm256_castps_pd(s[i / 4 * 4 + i % 4 / 2]), b = _mm256_castps_pd(s[i / 4 * 4 + i % 4 / 2 + 2]);
      r[i] = V(_mm256_castpd_ps(i % 2 == 0 ? _mm256_unpacklo_pd(a, b) : _mm256_unpackhi_pd(a, b)));
    }
    VOLUTE_EACH(i, 8) s[i] = V(i < 4 ? _mm256_permute2f128_ps(r[i], r[i + 4], 0x20) : _mm256_permute2f128_ps(r[i - 4], r[i], 0x31));
    VOLUTE_EACH(i, 8) r[i] = s[i];
  } else
#endif
    shuffle<log2_of(lanes<V>)>(r);
}

/// Lane i of the result is r[i] combined across its lanes by f: a tree over all rows at once, three instructions a row.
template <class V, class F>
VOLUTE_INLINE V fold(V (&r)[lanes<V>], F f) {
  VOLUTE_UNROLL
  for (int n = lanes<V> / 2; n > 0; n /= 2) {
    VOLUTE_UNROLL
    for (int i = 0; i < n; ++i) r[i] = f(zip_low(r[i], r[i + n]), zip_high(r[i], r[i + n]));
  }
  return r[0];
}

// clang-format off
/// p[0] ... p[N - 1] p[0] ... p[N - 1] ... for a power of two N.
template <class V, int N, class T>
VOLUTE_INLINE V broadcast_group(const T* p) {
  [[maybe_unused]] constexpr int bytes = N * static_cast<int>(sizeof(T));
  if constexpr (N == 1) return V(*p);
  else if constexpr (N == lanes<V>) return load<V>(p);
  else
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  if constexpr (sizeof(V) == 64 && bytes == 8) {
    double pair;
    std::memcpy(&pair, p, sizeof pair);
    return V(_mm512_castpd_ps(_mm512_set1_pd(pair)));
  } else if constexpr (sizeof(V) == 64 && sizeof(T) == 4) {
    if constexpr (bytes == 16) return V(_mm512_broadcast_f32x4(_mm_loadu_ps(p)));
    else return V(_mm512_broadcast_f32x8(_mm256_loadu_ps(p)));
  } else if constexpr (sizeof(V) == 64 && sizeof(T) == 8) {
    if constexpr (bytes == 16) return V(_mm512_broadcast_f64x2(_mm_loadu_pd(p)));
    else return V(_mm512_broadcast_f64x4(_mm256_loadu_pd(p)));
  } else
#endif
#if defined(__AVX__)
  if constexpr (sizeof(V) == 32 && bytes == 8) {
    double pair;
    std::memcpy(&pair, p, sizeof pair);
    return V(_mm256_castpd_ps(_mm256_set1_pd(pair)));
  } else if constexpr (sizeof(V) == 32 && bytes == 16) {
    if constexpr (sizeof(T) == 4) return V(_mm256_broadcast_ps(reinterpret_cast<const __m128*>(p)));
    else return V(_mm256_broadcast_pd(reinterpret_cast<const __m128d*>(p)));
  } else
#endif
  {
    alignas(64) T buffer[lanes<V>];
    for (int i = 0; i < lanes<V>; ++i) buffer[i] = p[i % N];
    return V::load_aligned(buffer);
  }
}
// clang-format on

/// Keeps v in a register: g++ would rather read it from memory again at each use, where loads are what is short.
template <class V>
VOLUTE_INLINE void keep([[maybe_unused]] V& v) {
#if defined(__AVX512F__)
  auto r = static_cast<typename V::register_type>(v);
  __asm__("" : "+v"(r));
  v = V(r);
#elif defined(__SSE2__)
  auto r = static_cast<typename V::register_type>(v);
  __asm__("" : "+x"(r));
  v = V(r);
#endif
}

/// Stores past the caches, where a vector is a whole line: for results so large that they would only drive other things out. (Half a line
/// waits for the other half: 32 <- 3 channels of 1x1x1 at 64^3 took 26 ms with AVX2 that way.) stream_fence() must follow before another
/// thread reads them.
template <class V, class T>
VOLUTE_INLINE void stream(T* p, V v) {
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  if (reinterpret_cast<std::uintptr_t>(p) % 64 == 0) {
    VOLUTE_FOR_VECTORS_OF(64, float, _mm512_stream_ps(p, v))
    VOLUTE_FOR_VECTORS_OF(64, double, _mm512_stream_pd(p, v))
    {}
  }
#endif
  v.store_unaligned(p);
}

VOLUTE_INLINE void stream_fence() {
#if defined(__AVX512F__)
  _mm_sfence();
#endif
}

}  // namespace VOLUTE_ISA
}  // namespace volute::simd
#undef VOLUTE_FOR_VECTORS_OF
VOLUTE_LOOPS_END
