// Several planes of g in flight: a vector of x, loaded once for each tap of height and width, meets the vectors of all planes of g that see
// its plane (3x3x3: 10 loads for 27 multiply-adds, whose 27 sums stay in registers). conv3d/planes_weights.hpp reads x from a padded copy,
// conv3d/in_place_weights.hpp where it is.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>

#include <cstdint>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// sum[t][k] += x * g[t] for all taps t of the depth from `first` on.
template <class V, int KD, int TB>
VOLUTE_INLINE void add_depth(V (&sum)[KD][TB], int k, V x, const V* g, int first) noexcept {
  simd::keep(x);
  VOLUTE_EACH(t, KD)
    if (t >= first) sum[t][k] = simd::fma(x, g[t], sum[t][k]);
}

/// One channel of x and one of g. Virtual plane q of x is the one that plane q of g reads with its first tap; of these, [first, last) exist
/// and are read.
template <class T>
struct weights_flight {
  int64_t planes, first, last;  // planes: of g
  int64_t x_plane, g_plane;
  const T* x = nullptr;  // virtual plane 0
  const T* g = nullptr;
  const T* next_x = nullptr;  // what comes next, asked for meanwhile
  const T* next_g = nullptr;

  /// `c`: the depth, without stride and dilation, whose source has `count` planes.
  constexpr weights_flight(const correlation_axis& c, int64_t count, int64_t source_plane, int64_t target_plane)
      : planes(c.n),
        first(larger(0, -c.offset)),
        last(larger(first, smaller(c.n + c.taps - 1, count - c.offset))),
        x_plane(source_plane),
        g_plane(target_plane) {}

  /// add(q, e, g) for the planes q of x in [lo, hi): g[t] is the vector of g's plane that reads q with tap t, t >= e; read(q) loads one.
  template <class V, int KD, class Read, class Add>
  VOLUTE_INLINE void for_each_plane(int64_t lo, int64_t hi, Read read, Add add) const noexcept {
    const int64_t both = smaller(hi, planes), start = smaller(lo, planes) - 1;
    V v[KD];
    VOLUTE_EACH(t, KD) v[t] = start >= t ? read(start - t) : V(T(0));
    // No loop: clang would make it a memmove before it unrolls it, and keep the vectors in memory for that (1.35 times as long).
    const auto shift = [&]<int... I>(std::integer_sequence<int, I...>) VOLUTE_ALWAYS_INLINE { ((v[KD - 1 - I] = v[KD - 2 - I]), ...); };
    VOLUTE_NO_UNROLL
    for (int64_t q = lo; q < both; ++q) {
      shift(std::make_integer_sequence<int, KD - 1>{});
      v[0] = read(q);
      simd::keep(v[0]);
      add(q, 0, v);
    }
    VOLUTE_UNROLL
    for (int e = 1; e < KD; ++e) {  // planes of x behind the last one of g
      const int64_t q = planes - 1 + e;
      if (q >= hi) continue;
      shift(std::make_integer_sequence<int, KD - 1>{});
      if (q >= lo) add(q, e, v);
    }
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
