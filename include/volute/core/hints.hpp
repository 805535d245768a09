// What changes no result: hints to the processor about memory and waiting, and to the compiler about registers and order.
#pragma once

#include <volute/core/isa.hpp>
#include <volute/core/loops.hpp>

VOLUTE_LOOPS_BEGIN
namespace volute::simd {
inline namespace VOLUTE_ISA {

/// Asks for the cache line at p.
VOLUTE_INLINE void prefetch(const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#endif
}

/// The same, into the second-level cache; and of a line that will be written.
VOLUTE_INLINE void prefetch_far(const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p, 0, 2);
#endif
}
VOLUTE_INLINE void prefetch_write(const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p, 1);
#endif
}

/// Keeps p in a register: clang would rather have a pointer for each address that is made of p and a pitch, and spill them.
template <class T>
VOLUTE_INLINE void keep([[maybe_unused]] const T*& p) {
#if defined(__GNUC__)
  __asm__("" : "+r"(p));
#endif
}

/// clang moves no load across this: it would rather load the next tap's operands early, for which no register is left.
VOLUTE_INLINE void in_order() {
#if defined(__clang__)
  __asm__ volatile("" ::: "memory");
#endif
}

}  // namespace VOLUTE_ISA

/// What a waiting thread does between two looks: leaves the core to its sibling for some ten cycles.
VOLUTE_INLINE void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __asm__ volatile("pause");
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace volute::simd
VOLUTE_LOOPS_END
