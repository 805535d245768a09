// What kernels tell the compiler of functions and loops.
#pragma once

// What must become part of its caller, a lambda or a function. Not optimised, nothing is: such a build is for debuggers and sanitizers, and
// programs full of elementwise kernels compile in a third to two thirds of the time.
#ifdef __OPTIMIZE__
#define VOLUTE_ALWAYS_INLINE __attribute__((always_inline))
#else
#define VOLUTE_ALWAYS_INLINE
#endif
#define VOLUTE_INLINE inline VOLUTE_ALWAYS_INLINE
// What stays a function of its own: a loop over registers, whose code is the same wherever it is called.
#define VOLUTE_NO_INLINE __attribute__((noinline))
#define VOLUTE_RESTRICT __restrict__

// Before a loop of constant length (at most 32) over registers: unrolled completely, so that arrays of vectors live in registers.
// Before a long loop: left alone; clang would unroll a reduction loop and spill its accumulators.
// clang warns where it leaves a loop a loop after all (-Os, sanitizers): headers with such loops stand between VOLUTE_LOOPS_BEGIN and
// VOLUTE_LOOPS_END.
#if defined(__clang__)
#define VOLUTE_LOOPS_BEGIN _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wpass-failed\"")
#define VOLUTE_LOOPS_END _Pragma("clang diagnostic pop")
#else
#define VOLUTE_LOOPS_BEGIN
#define VOLUTE_LOOPS_END
#endif
#if defined(__clang__)
#define VOLUTE_UNROLL _Pragma("clang loop unroll(full)")
#define VOLUTE_NO_UNROLL _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define VOLUTE_UNROLL _Pragma("GCC unroll 32")
#define VOLUTE_NO_UNROLL
#else
#define VOLUTE_UNROLL
#define VOLUTE_NO_UNROLL
#endif
// An unrolled loop over i = 0 ... n - 1.
#define VOLUTE_EACH(i, n) \
  VOLUTE_UNROLL           \
  for (int i = 0; i < (n); ++i)
