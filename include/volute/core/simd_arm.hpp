// What core/simd.hpp has of its own on 64-bit ARM: division and square root, parts of vectors. Part of that header.
#pragma once

#if defined(__aarch64__)
#include <volute/core/isa.hpp>

#include <xsimd/xsimd.hpp>

#include <cstdint>
#include <type_traits>

// xsimd refines estimates for float: sqrt(inf) and 1/sqrt(inf) are NaN, and 1 / 1e-39f is -inf. The instructions round correctly.
namespace xsimd {
template <>
inline batch<float, neon64>& batch<float, neon64>::operator/=(const batch<float, neon64>& other) noexcept {
  return *this = batch<float, neon64>(vdivq_f32(*this, other));
}
template <>
inline batch<float, neon64> sqrt<float, neon64>(const batch<float, neon64>& x) noexcept {
  return batch<float, neon64>(vsqrtq_f32(x));
}
}  // namespace xsimd

namespace volute::simd {
inline namespace VOLUTE_ISA {

template <class V>
inline constexpr bool is_neon = std::is_same_v<typename V::arch_type, xsimd::neon64>;

#define VOLUTE_ARM_INLINE __attribute__((always_inline)) inline

// NEON has no masks: lane by lane, because a loop over a buffer would go through memory.
VOLUTE_ARM_INLINE float32x4_t neon_load_masked(const float* p, unsigned mask) {
  if (mask == 0b1111) return vld1q_f32(p);
  float32x4_t v = vdupq_n_f32(0);
  if ((mask & 1) != 0) v = vld1q_lane_f32(p, v, 0);
  if ((mask & 2) != 0) v = vld1q_lane_f32(p + 1, v, 1);
  if ((mask & 4) != 0) v = vld1q_lane_f32(p + 2, v, 2);
  if ((mask & 8) != 0) v = vld1q_lane_f32(p + 3, v, 3);
  return v;
}
VOLUTE_ARM_INLINE float64x2_t neon_load_masked(const double* p, unsigned mask) {
  if (mask == 0b11) return vld1q_f64(p);
  float64x2_t v = vdupq_n_f64(0);
  if ((mask & 1) != 0) v = vld1q_lane_f64(p, v, 0);
  if ((mask & 2) != 0) v = vld1q_lane_f64(p + 1, v, 1);
  return v;
}
VOLUTE_ARM_INLINE void neon_store_partial(float* p, float32x4_t v, int n) {
  if (n >= 4) return vst1q_f32(p, v);
  if (n >= 2) vst1_f32(p, vget_low_f32(v));
  if (n == 1) vst1q_lane_f32(p, v, 0);
  if (n == 3) vst1q_lane_f32(p + 2, v, 2);
}
VOLUTE_ARM_INLINE void neon_store_partial(double* p, float64x2_t v, int n) {
  if (n >= 2) return vst1q_f64(p, v);
  if (n == 1) vst1q_lane_f64(p, v, 0);
}

#if defined(__ARM_FEATURE_SVE_BITS) && __ARM_FEATURE_SVE_BITS > 0
VOLUTE_ARM_INLINE svbool_t sve_first(const float*, int n) { return svwhilelt_b32(0, n); }
VOLUTE_ARM_INLINE svbool_t sve_first(const double*, int n) { return svwhilelt_b64(0, n); }
VOLUTE_ARM_INLINE svbool_t sve_mask(const float*, unsigned mask) {
  const svbool_t all = svptrue_b32();
  return svcmpne(all, svand_x(all, svlsr_x(all, svdup_u32(mask), svindex_u32(0, 1)), 1u), 0u);
}
VOLUTE_ARM_INLINE svbool_t sve_mask(const double*, unsigned mask) {
  const svbool_t all = svptrue_b64();
  return svcmpne(all, svand_x(all, svlsr_x(all, svdup_u64(mask), svindex_u64(0, 1)), std::uint64_t{1}), std::uint64_t{0});
}
#endif

/// The functions of the same names in core/simd.hpp; of xsimd's vectors for ARM.
template <class V, class T>
VOLUTE_ARM_INLINE V arm_load_masked(const T* p, unsigned mask) {
  if constexpr (is_neon<V>) return V(neon_load_masked(p, mask));
#if defined(__ARM_FEATURE_SVE_BITS) && __ARM_FEATURE_SVE_BITS > 0
  else
    return V(svld1(sve_mask(p, mask), p));
#endif
}
template <class V, class T>
VOLUTE_ARM_INLINE V arm_load_partial(const T* p, int n) {
  if constexpr (is_neon<V>) return V(neon_load_masked(p, (1u << n) - 1));
#if defined(__ARM_FEATURE_SVE_BITS) && __ARM_FEATURE_SVE_BITS > 0
  else
    return V(svld1(sve_first(p, n), p));
#endif
}
template <class V, class T>
VOLUTE_ARM_INLINE void arm_store_partial(T* p, V v, int n) {
  if constexpr (is_neon<V>) neon_store_partial(p, v, n);
#if defined(__ARM_FEATURE_SVE_BITS) && __ARM_FEATURE_SVE_BITS > 0
  else
    svst1(sve_first(p, n), p, v);
#endif
}

#undef VOLUTE_ARM_INLINE

}  // namespace VOLUTE_ISA
}  // namespace volute::simd
#endif
