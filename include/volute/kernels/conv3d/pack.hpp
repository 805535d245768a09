// Filters into the order in which a convolution reads them: transposes in registers, rows of target channels, columns of neighbouring
// filter elements. Gathering one element after the other takes 1 to 2 ns for each.
#pragma once

#include <volute/kernels/conv3d/machine.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Packed filters of more bytes than this are written past the caches: they would drive out what the convolution reads next, and a store
/// of whole lines need not read them first.
inline constexpr std::int64_t pack_streams = machine.cached * 2;

/// One block of `lanes` target channels and up to `chunk` source channels of filters with `taps` elements. Element `tap` of the source
/// channel k goes to to[place[tap] + k * step + target]. Strides of w are target_stride and source_stride; target channels from `valid` on
/// and source channels from `sources` on are zeros. `lanes` is a multiple of the widest vector.
template <class T>
__attribute__((noinline)) void pack_block(const T* w, std::int64_t target_stride, std::int64_t source_stride, std::int64_t taps,
                                          const std::int64_t* place, std::int64_t step, std::int64_t valid, std::int64_t sources,
                                          std::int64_t chunk, std::int64_t lanes, bool streams, T* to) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::width<T>;
  const bool dense = source_stride == taps;  // the source channels of a target channel lie one after the other
  const std::int64_t runs = dense ? 1 : sources, length = dense ? sources * taps : taps;
  const std::int64_t ahead = dense ? 8 * L : source_stride;  // the rows lie far apart: the processor does not see what comes next
  for (std::int64_t run = 0; run < runs; ++run)
    for (std::int64_t part = 0; part < lanes; part += L) {
      const T* const from = w + part * target_stride + run * source_stride;
      std::int64_t tap = 0;
      T* base = to + run * step + part;
      for (std::int64_t m = 0; m < length; m += L) {
        const int n = static_cast<int>(length - m < L ? length - m : L);
        V r[L];
        for (int o = 0; o < L; ++o) simd::prefetch(from + o * target_stride + m + ahead);
        for (int o = 0; o < L; ++o)
          r[o] = part + o >= valid ? V(T(0))
                 : n == L          ? simd::load<V>(from + o * target_stride + m)
                                   : simd::load_partial<V>(from + o * target_stride + m, n);
        simd::transpose(r);
        for (int i = 0; i < n; ++i) {
          if (streams)
            simd::stream(base + place[tap], r[i]);
          else
            simd::store(base + place[tap], r[i]);
          if (++tap == taps) tap = 0, base += step;
        }
      }
    }
  for (std::int64_t k = sources; k < chunk; ++k)
    for (std::int64_t tap = 0; tap < taps; ++tap)
      for (std::int64_t o = 0; o < lanes; ++o) to[place[tap] + k * step + o] = T(0);
  if (streams) simd::stream_fence();
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
