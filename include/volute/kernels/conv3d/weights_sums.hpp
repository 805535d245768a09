// Complete sums of the adjoint in the filter, with channels in the lanes, to their places in dw: turned in registers.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Where the sums of a task of a single residue class stand: those of the kernel's element k and source channel c at first + k * step +
/// c / fold * channel, target channels (with `fold` source channels each) in lanes behind that; `parts` times, `part` apart.
struct sums_layout {
  int64_t first = 0, step[3]{}, channel = 1, parts = 1, part = 0;
  /// `steps` from one tap to the next, in the order of the class: the kernel's, or against it.
  constexpr sums_layout(const conv_shape& s, const int64_t (&steps)[3], int64_t channel_step, int64_t part_count, int64_t part_sums)
      : channel(channel_step), parts(part_count), part(part_sums) {
    for (int a = 0; a < 3; ++a) {
      const correlation_axis& c = s.classes[a][0];
      step[a] = steps[a] * c.k_step;
      first -= c.k * step[a];
    }
  }
};

/// The kernel's elements, one after the other.
struct tap_walk {
  const conv_shape& s;
  const sums_layout& sums;
  int64_t k[3]{};
  int64_t next() {
    const int64_t at = sums.first + k[0] * sums.step[0] + k[1] * sums.step[1] + k[2] * sums.step[2];
    if (++k[2] == s.kernel[2]) k[2] = 0, ++k[1];
    if (k[1] == s.kernel[1]) k[1] = 0, ++k[0];
    return at;
  }
};

/// L of the kernel's elements, whose sums stand at from + at[i] (of i >= known, any other's), of L / Fold target channels with Fold source
/// channels each: summed over all parts in order, turned, and the first n of each put to its row of dw. There are so many targets and
/// sources.
template <int L, int Fold, class T>
VOLUTE_INLINE void turn_elements(const conv_shape& s, const sums_layout& layout, const T* from, const int64_t* at, int known, int n,
                                 int64_t targets, int64_t sources, bool stream, T* to) noexcept {
  using V = simd::vec<T, L>;
  V r[L];
  VOLUTE_EACH(i, L) r[i] = simd::load<V>(from + at[i < known ? i : 0]);
  for (const T *more = from + layout.part, *const end = from + layout.parts * layout.part; more != end; more += layout.part) {
    VOLUTE_EACH(i, L) r[i] = r[i] + simd::load<V>(more + at[i < known ? i : 0]);
  }
  simd::transpose(r);
  VOLUTE_EACH(i, L) {
    if (i / Fold >= targets) break;
    if (i % Fold >= sources) continue;
    T* const row = to + i % Fold * s.weight_source + i / Fold * s.weight_target;
    if (n < L)
      simd::store_partial(row, r[i], n);
    else if (stream)
      simd::stream(row, r[i]);
    else
      simd::store(row, r[i]);
  }
}

/// The sums of `targets` target channels and of the source channels [begin, end), `begin` a multiple of the fold, to their places in dw:
/// L taps at a time.
template <class T, int L, int Fold>
__attribute__((noinline)) void turn_sums(const conv_shape& s, const sums_layout& layout, int64_t targets, int64_t begin, int64_t end,
                                         const T* sums, T* dw) noexcept {
  tap_walk walk{s, layout};
  for (int64_t first = 0; first < s.taps(); first += L) {
    const int n = static_cast<int>(smaller(L, s.taps() - first));
    int64_t at[L];
    for (int i = 0; i < L; ++i) at[i] = i < n ? walk.next() : at[0];
    for (int64_t c = begin; c < end; c += Fold)
      for (int64_t o = 0; o < targets; o += L / Fold)
        turn_elements<L, Fold>(s, layout, sums + c / Fold * layout.channel + o * Fold, at, L, n, targets - o, end - c, false,
                               dw + c * s.weight_source + o * s.weight_target + first);
  }
}

/// Taps of a filter up to which dense_sums() takes it: it holds a table of as many for each of its channels.
inline constexpr int64_t dense_taps = 27;

/// The same where the taps of neighbouring source channels follow one another in dw (forward side, no fold): vectors of L of these,
/// whatever their channel, which are whole lines in most cases. `stream`: dw outgrows the caches and is written past them.
template <class T, int L>
__attribute__((noinline)) void dense_sums(const conv_shape& s, const sums_layout& layout, int64_t targets, int64_t begin, int64_t end,
                                          bool stream, const T* sums, T* dw) noexcept {
  constexpr int64_t channels = 16;  // at a time: whole vectors for any number of taps
  const int64_t taps = s.taps();
  int64_t at[channels * dense_taps];
  tap_walk walk{s, layout};
  for (int64_t k = 0; k < taps; ++k) at[k] = walk.next();
  for (int64_t k = taps; k < channels * taps; ++k) at[k] = at[k - taps] + layout.channel;
  for (int64_t o = 0; o < targets; o += L)
    for (int64_t c = begin; c < end; c += channels) {
      const int64_t length = smaller(channels, end - c) * taps;
      for (int64_t k = 0; k < length; k += L) {
        const int n = static_cast<int>(smaller(L, length - k));
        turn_elements<L, 1>(s, layout, sums + c * layout.channel + o, at + k, n, n, targets - o, 1, stream,
                            dw + c * taps + o * s.weight_target + k);
      }
    }
  if (stream) simd::stream_fence();
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
