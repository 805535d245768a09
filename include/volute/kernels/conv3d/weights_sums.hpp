// Complete sums of the adjoint in the filter, with channels in the lanes, to their places in dw: turned in registers.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/pack.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Where the sums of a task of any residue classes stand, one class after the other: of each element of the kernel, -1 where no class meets
/// it (a stride wider than the input leaves some out).
template <ops::conv_geometry G, conv_side Side>
struct tap_places {
  int64_t of[G.taps()];
  bool all_met = true;
  /// row(class of the width): sums of a pair of taps in depth and height; tap(class): from one tap of the width to the next.
  template <class Row, class Tap>
  constexpr tap_places(Row row, Tap tap) : of{} {
    constexpr const conv_shape& s = conv_shape_of<G, Side>;
    for (int64_t& e : of) e = -1;
    int64_t first = 0;
    for_each_class(s, [&](const conv_class& at) {
      for_each_tap(s, at,
                   [&](int64_t d, int64_t h, int64_t w, int64_t k) { of[k] = first + (d * at.h.taps + h) * row(at.w) + w * tap(at.w); });
      first += at.d.taps * at.h.taps * row(at.w);
    });
    for (int64_t e : of) all_met = all_met && e >= 0;
  }
};

/// Taps of a filter up to which dense() takes it: it holds a table of as many for each of its channels.
inline constexpr int64_t dense_taps = 27;

/// The complete sums of a task, on their way to dw: of `targets` target channels, and of each the source channels [begin, end), `begin` a
/// multiple of the fold. Those of the kernel's element k and source channel c stand at places[k] * lanes + c / fold * channel, target channels
/// (with `fold` source channels each) in lanes behind that; `parts` times, `part` apart.
template <class T>
struct complete_sums {
  const conv_shape& s;
  const T* sums;
  T* dw;
  int64_t targets, begin, end;
  const int64_t* places;
  int64_t lanes, channel, parts, part;

  T* to(int64_t o, int64_t c) const noexcept { return dw + o * s.weight_target + c * s.weight_source; }

  /// L of the kernel's elements, whose sums stand at x + at[i] (of i >= known, any other's), of L / Fold target channels with Fold source
  /// channels each: summed over all parts in order, turned, and the first n of each put to its row of dw, `out` the first one. There are so
  /// many targets and sources.
  template <int L, int Fold>
  VOLUTE_INLINE void turn_elements(const T* x, const int64_t* at, int known, int n, int64_t target_count, int64_t source_count, bool stream,
                                   T* out) const noexcept {
    using V = simd::vec<T, L>;
    V r[L];
    VOLUTE_EACH(i, L) r[i] = simd::load<V>(x + at[i < known ? i : 0]);
    for (const T *more = x + part, *const last = x + parts * part; more != last; more += part) {
      VOLUTE_EACH(i, L) r[i] = r[i] + simd::load<V>(more + at[i < known ? i : 0]);
    }
    simd::transpose(r);
    VOLUTE_EACH(i, L) {
      if (i / Fold >= target_count) break;
      if (i % Fold >= source_count) continue;
      T* const row = out + i % Fold * s.weight_source + i / Fold * s.weight_target;
      if (n < L)
        simd::store_partial(row, r[i], n);
      else if (stream)
        simd::stream(row, r[i]);
      else
        simd::store(row, r[i]);
    }
  }

  /// L taps at a time.
  template <int L, int Fold>
  VOLUTE_NO_INLINE void turn() const noexcept {
    for (int64_t first = 0; first < s.taps(); first += L) {
      const int n = int(smaller(L, s.taps() - first));
      int64_t at[L];
      for (int i = 0; i < L; ++i) at[i] = places[first + (i < n ? i : 0)] * lanes;
      for (int64_t c = begin; c < end; c += Fold)
        for (int64_t o = 0; o < targets; o += L / Fold)
          turn_elements<L, Fold>(sums + c / Fold * channel + o * Fold, at, L, n, targets - o, end - c, false, to(o, c) + first);
    }
  }

  /// Where the taps of neighbouring source channels follow one another in dw (forward side, no fold): vectors of L of these, whatever their
  /// channel, which are whole lines in most cases. `stream`: dw outgrows the caches and is written past them.
  template <int L>
  VOLUTE_NO_INLINE void turn_dense(bool stream) const noexcept {
    constexpr int64_t channels = 16;  // at a time: whole vectors for any number of taps
    const int64_t taps = s.taps();
    int64_t at[channels * dense_taps];
    for (int64_t k = 0; k < channels * taps; ++k) at[k] = k < taps ? places[k] * lanes : at[k - taps] + channel;
    for (int64_t o = 0; o < targets; o += L)
      for (int64_t c = begin; c < end; c += channels) {
        const int64_t length = smaller(channels, end - c) * taps;
        for (int64_t k = 0; k < length; k += L) {
          const int n = int(smaller(L, length - k));
          turn_elements<L, 1>(sums + c * channel + o, at + k, n, n, targets - o, 1, stream, to(o, c) + k);
        }
      }
    if (stream) simd::stream_fence();
  }

  /// Element by element, no fold: filters of one element, and those of which no class meets some.
  VOLUTE_NO_INLINE void scatter() const noexcept {
    for (int64_t k = 0; k < s.taps(); ++k)
      for (int64_t c = begin; c < end; ++c)
        for (int64_t o = 0; o < targets; ++o) {
          T sum = 0;
          if (places[k] >= 0) {
            const T* const x = sums + places[k] * lanes + c * channel + o;
            sum = *x;
            for (int64_t i = 1; i < parts; ++i) sum += x[i * part];
          }
          to(o, c)[k] = sum;
        }
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
