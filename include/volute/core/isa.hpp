// The instruction set of a translation unit, as a name. Functions compiled with other -m flags must not share a name (one definition rule):
// what depends on the instruction set lives in the inline namespace VOLUTE_ISA, which names every feature that a compiler may use in code
// that does not ask for it. That keeps results right; what may run where is another matter, for the library's templates are not the only
// inline functions of a program: see docs/platforms.md and volute_add_model.
#pragma once

#include <volute/core/compiler.hpp>

// VOLUTE_ISA_BIT(m) is 1 where the macro m is defined as 1, and 0 elsewhere (the trick of Linux's IS_ENABLED).
#define VOLUTE_ISA_BEFORE_1 0,
#define VOLUTE_ISA_SECOND(first, second, ...) second
#define VOLUTE_ISA_BIT_OF(junk) VOLUTE_ISA_SECOND(junk 1, 0, 0)
#define VOLUTE_ISA_BIT_JOIN(value) VOLUTE_ISA_BIT_OF(VOLUTE_ISA_BEFORE_##value)
#define VOLUTE_ISA_BIT(macro) VOLUTE_ISA_BIT_JOIN(macro)

// Feature i of F(i, macro, name): its macro, and what __builtin_cpu_supports() calls it. Four make a digit of the name, see below.
// clang-format off
#if defined(__x86_64__) || defined(__i386__)
#define VOLUTE_ISA_LIST(F) \
  F(0, __SSE3__, "sse3") F(1, __SSSE3__, "ssse3") F(2, __SSE4_1__, "sse4.1") F(3, __SSE4_2__, "sse4.2") \
  F(4, __POPCNT__, "popcnt") F(5, __AVX__, "avx") F(6, __F16C__, "f16c") F(7, __FMA__, "fma") \
  F(8, __AVX2__, "avx2") F(9, __BMI__, "bmi") F(10, __BMI2__, "bmi2") F(11, __LZCNT__, "lzcnt") \
  F(12, __MOVBE__, "movbe") F(13, __AVX512F__, "avx512f") F(14, __AVX512CD__, "avx512cd") F(15, __AVX512BW__, "avx512bw") \
  F(16, __AVX512DQ__, "avx512dq") F(17, __AVX512VL__, "avx512vl") F(18, __AVX512IFMA__, "avx512ifma") F(19, __AVX512VBMI__, "avx512vbmi") \
  F(20, __AVX512VBMI2__, "avx512vbmi2") F(21, __AVX512VNNI__, "avx512vnni") F(22, __AVX512BITALG__, "avx512bitalg") F(23, __AVX512VPOPCNTDQ__, "avx512vpopcntdq") \
  F(24, __AVX512BF16__, "avx512bf16") F(25, __AVX512FP16__, "avx512fp16") F(26, __AVXVNNI__, "avxvnni") F(27, __GFNI__, "gfni") \
  F(28, __SSE4A__, "sse4a") F(29, __FMA4__, "fma4") F(30, __XOP__, "xop") F(31, __TBM__, "tbm")
#elif defined(__aarch64__)
// In place of the name what says so of AT_HWCAP (`first`) and AT_HWCAP2 (`second`).
#define VOLUTE_ISA_LIST(F) \
  F(0, __ARM_FEATURE_ATOMICS, first & HWCAP_ATOMICS) F(1, __ARM_FEATURE_FP16_VECTOR_ARITHMETIC, first & HWCAP_ASIMDHP) \
  F(2, __ARM_FEATURE_DOTPROD, first & HWCAP_ASIMDDP) F(3, __ARM_FEATURE_COMPLEX, first & HWCAP_FCMA) \
  F(4, __ARM_FEATURE_JCVT, first & HWCAP_JSCVT) F(5, __ARM_FEATURE_RCPC, first & HWCAP_LRCPC) \
  F(6, __ARM_FEATURE_SVE, first & HWCAP_SVE) F(7, __ARM_FEATURE_SVE2, second & HWCAP2_SVE2) \
  F(8, __ARM_FEATURE_BF16_VECTOR_ARITHMETIC, second & HWCAP2_BF16) F(9, __ARM_FEATURE_MATMUL_INT8, second & HWCAP2_I8MM)
#else
#define VOLUTE_ISA_LIST(F)
#endif
// clang-format on

#define VOLUTE_ISA_ADD(i, macro, name) | (static_cast<unsigned long long>(VOLUTE_ISA_BIT(macro)) << i)
/// The features of this translation unit, bit i for feature i.
#define VOLUTE_ISA_FEATURES (0ull VOLUTE_ISA_LIST(VOLUTE_ISA_ADD))

#define VOLUTE_ISA_HEX_0000 0
#define VOLUTE_ISA_HEX_0001 1
#define VOLUTE_ISA_HEX_0010 2
#define VOLUTE_ISA_HEX_0011 3
#define VOLUTE_ISA_HEX_0100 4
#define VOLUTE_ISA_HEX_0101 5
#define VOLUTE_ISA_HEX_0110 6
#define VOLUTE_ISA_HEX_0111 7
#define VOLUTE_ISA_HEX_1000 8
#define VOLUTE_ISA_HEX_1001 9
#define VOLUTE_ISA_HEX_1010 a
#define VOLUTE_ISA_HEX_1011 b
#define VOLUTE_ISA_HEX_1100 c
#define VOLUTE_ISA_HEX_1101 d
#define VOLUTE_ISA_HEX_1110 e
#define VOLUTE_ISA_HEX_1111 f
#define VOLUTE_ISA_HEX_JOIN(a, b, c, d) VOLUTE_ISA_HEX_##a##b##c##d
#define VOLUTE_ISA_HEX(a, b, c, d) VOLUTE_ISA_HEX_JOIN(a, b, c, d)
// Highest feature first, as digits are read.
#define VOLUTE_ISA_DIGIT(a, b, c, d) VOLUTE_ISA_HEX(VOLUTE_ISA_BIT(a), VOLUTE_ISA_BIT(b), VOLUTE_ISA_BIT(c), VOLUTE_ISA_BIT(d))
#define VOLUTE_ISA_PASTE(a, b) a##b
#define VOLUTE_ISA_JOIN(a, b) VOLUTE_ISA_PASTE(a, b)
#define VOLUTE_ISA_ROW_PASTE(a, b, c, d) a##b##c##d
#define VOLUTE_ISA_ROW(a, b, c, d) VOLUTE_ISA_ROW_PASTE(a, b, c, d)

#if defined(__x86_64__) || defined(__i386__)
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#define VOLUTE_ISA_FAMILY avx512_
#elif defined(__AVX2__) && defined(__FMA__)
#define VOLUTE_ISA_FAMILY avx2_
#elif defined(__AVX__)
#define VOLUTE_ISA_FAMILY avx_
#elif defined(__SSE2__)
#define VOLUTE_ISA_FAMILY sse_
#else
#define VOLUTE_ISA_FAMILY scalar_
#endif
#define VOLUTE_ISA_HIGH                                                                                    \
  VOLUTE_ISA_ROW(VOLUTE_ISA_DIGIT(__TBM__, __XOP__, __FMA4__, __SSE4A__),                                  \
                 VOLUTE_ISA_DIGIT(__GFNI__, __AVXVNNI__, __AVX512FP16__, __AVX512BF16__),                  \
                 VOLUTE_ISA_DIGIT(__AVX512VPOPCNTDQ__, __AVX512BITALG__, __AVX512VNNI__, __AVX512VBMI2__), \
                 VOLUTE_ISA_DIGIT(__AVX512VBMI__, __AVX512IFMA__, __AVX512VL__, __AVX512DQ__))
#define VOLUTE_ISA_LOW                                                                                                               \
  VOLUTE_ISA_ROW(VOLUTE_ISA_DIGIT(__AVX512BW__, __AVX512CD__, __AVX512F__, __MOVBE__),                                               \
                 VOLUTE_ISA_DIGIT(__LZCNT__, __BMI2__, __BMI__, __AVX2__), VOLUTE_ISA_DIGIT(__FMA__, __F16C__, __AVX__, __POPCNT__), \
                 VOLUTE_ISA_DIGIT(__SSE4_2__, __SSE4_1__, __SSSE3__, __SSE3__))
#define VOLUTE_ISA_DIGITS VOLUTE_ISA_JOIN(VOLUTE_ISA_HIGH, VOLUTE_ISA_LOW)
#elif defined(__aarch64__)
#if defined(__ARM_FEATURE_SVE_BITS) && __ARM_FEATURE_SVE_BITS > 0  // vectors of SVE want -msve-vector-bits=...
#define VOLUTE_ISA_FAMILY VOLUTE_ISA_JOIN(VOLUTE_ISA_JOIN(sve, __ARM_FEATURE_SVE_BITS), _)
#else
#define VOLUTE_ISA_FAMILY neon_
#endif
#define VOLUTE_ISA_DIGITS                                                                                                    \
  VOLUTE_ISA_ROW(                                                                                                            \
      VOLUTE_ISA_HEX(0, 0, 0, 0),                                                                                            \
      VOLUTE_ISA_HEX(0, 0, VOLUTE_ISA_BIT(__ARM_FEATURE_MATMUL_INT8), VOLUTE_ISA_BIT(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)), \
      VOLUTE_ISA_DIGIT(__ARM_FEATURE_SVE2, __ARM_FEATURE_SVE, __ARM_FEATURE_RCPC, __ARM_FEATURE_JCVT),                       \
      VOLUTE_ISA_DIGIT(__ARM_FEATURE_COMPLEX, __ARM_FEATURE_DOTPROD, __ARM_FEATURE_FP16_VECTOR_ARITHMETIC, __ARM_FEATURE_ATOMICS))
#elif defined(__ARM_NEON)
#define VOLUTE_ISA_FAMILY neon32_
#define VOLUTE_ISA_DIGITS 0
#elif defined(__wasm_simd128__)
#define VOLUTE_ISA_FAMILY wasm_
#define VOLUTE_ISA_DIGITS VOLUTE_ISA_BIT(__wasm_relaxed_simd__)
#else
#define VOLUTE_ISA_FAMILY generic_
#define VOLUTE_ISA_DIGITS 0
#endif

/// What kernels are written for, and the features in hexadecimal: -march=x86-64-v3 is avx2_00001fff, no option is sse_00000000.
#define VOLUTE_ISA_NAME VOLUTE_ISA_JOIN(VOLUTE_ISA_FAMILY, VOLUTE_ISA_DIGITS)

#if defined(__cpp_exceptions)
#define VOLUTE_ISA VOLUTE_ISA_NAME
#else  // programs call fail(), whose body is another then: see core/exceptions.hpp
#define VOLUTE_ISA VOLUTE_ISA_JOIN(VOLUTE_ISA_NAME, _no_exceptions)
#endif

#define VOLUTE_ISA_QUOTE(name) #name
#define VOLUTE_ISA_TEXT(name) VOLUTE_ISA_QUOTE(name)

namespace volute {
inline namespace VOLUTE_ISA {

/// The name of the instruction set that this translation unit was compiled for.
inline constexpr const char* isa_name = VOLUTE_ISA_TEXT(VOLUTE_ISA_NAME);

static_assert(VOLUTE_ISA_FEATURES == VOLUTE_ISA_JOIN(VOLUTE_ISA_JOIN(0x, VOLUTE_ISA_DIGITS), ull), "the list and the digits agree");

}  // namespace VOLUTE_ISA
}  // namespace volute
