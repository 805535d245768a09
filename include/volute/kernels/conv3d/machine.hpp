// What the plans of convolutions take for granted of the processor: each number once, with its unit and where it is from. A program may
// be built for another machine by defining the macros before the first header of volute, with the same values in all of its files: results
// keep their meaning, though not always their last bits.
#pragma once

#include <volute/core/simd.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

using std::int64_t;

/// One core. The defaults are the smallest caches of the processors that were measured (AMD Zen 4 and 5, Intel Sapphire Rapids, 2024 to
/// 2026), so that what is meant for a cache stays in it on the others too; the instruction set says the rest.
struct core_machine {
  /// Bytes of the first-level cache for data: 32 KiB (Zen 4; Sapphire Rapids 48).
  int64_t l1 = 32 << 10;
  /// Bytes of the second-level cache: 1 MiB (Zen 4; Sapphire Rapids 2).
  int64_t l2 = 1 << 20;
  /// Bytes that one core finds again in any cache: 4 MiB (Zen 4: 1 of its own, and an eighth of 32).
  int64_t cached = 4 << 20;
  /// Bytes from one page of memory to the next that lie in the same sets of the first-level cache, where lines drive each other out: half a
  /// page (4 -> 4 channels of planes so far apart, at 32^3: 1.7 times the time).
  int64_t aliasing = 2048;
  /// The same of the second-level cache, and the lines that find a place there: 512 KiB in 8 ways (Zen 3; Zen 4 and Sapphire Rapids have 1 MiB
  /// in 8 and 2 MiB in 16).
  int64_t l2_aliasing = 64 << 10, ways = 8;
  /// What products cost that read such planes in place: 1.2 times (Zen 4 1.7, Sapphire Rapids 1); with AVX2, whose processors have 8 ways at
  /// both levels, 1.8 (Zen 3, 8 and 16 channels at 32^3: 2.6 and 2.1 times what other families take).
  double crowded = 1.2;
  /// Vector registers (AVX-512 and NEON: 32; AVX2 and SSE2: 16), and those that a micro-kernel needs for values in flight: two, or four
  /// without FMA, where each product needs a register too.
  int64_t registers = 32, temporaries = 2;
  /// Cycles from one multiply-add to the next that needs its result, and multiply-adds and loads that begin in one cycle.
  int64_t latency = 4, products = 2, loads = 2;
  /// Elements that a thread copies in a microsecond, about (NCDHW to channels last, in the caches).
  int64_t copied = 2000;
  /// Microseconds of copying that are worth a hand-over to another thread: that takes 1 if it is awake, and 5 if it sleeps.
  int64_t hand_over = 3;
};

// 64-bit ARM: a Neoverse N1 of Amazon's Graviton2, from public tables and not measured: 64 KiB, 1 MiB, and 32 MiB for 64 cores; Arm's
// optimization guide has the same latency (4) and multiply-adds in a cycle (2) as above.
#if defined(__aarch64__) && !defined(VOLUTE_L1_BYTES)
#define VOLUTE_L1_BYTES (64 << 10)
#endif
#if defined(__aarch64__) && !defined(VOLUTE_CACHED_BYTES)
#define VOLUTE_CACHED_BYTES (3 << 19)
#endif
#ifndef VOLUTE_L1_BYTES
#define VOLUTE_L1_BYTES (32 << 10)
#endif
#ifndef VOLUTE_L2_BYTES
#define VOLUTE_L2_BYTES (1 << 20)
#endif
#ifndef VOLUTE_CACHED_BYTES
#define VOLUTE_CACHED_BYTES (4 << 20)
#endif

inline constexpr core_machine machine {
  .l1 = VOLUTE_L1_BYTES, .l2 = VOLUTE_L2_BYTES, .cached = VOLUTE_CACHED_BYTES,
#if !defined(__AVX512F__) && !defined(__ARM_NEON)
  .crowded = 1.8, .registers = 16,
#endif
#if !defined(__AVX512F__) && !defined(__ARM_NEON) && !defined(__FMA__)
  .temporaries = 4,
#endif
};
/// Registers that a micro-kernel may fill with accumulators where it keeps filters in others: 28, 12 with AVX2, 8 with SSE2.
inline constexpr int accumulators = int(machine.registers - 2 * machine.temporaries);
/// Those for accumulators and filters together.
inline constexpr int64_t row_registers = machine.registers - machine.temporaries;

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
