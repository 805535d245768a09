// Maximum and average pooling of volumes in blocks of channels: what stands between two convolutions that agree on blocks. Channels are in
// the lanes, so a window is a few loads at any stride, and rows need no second step. Terms are added in the order of pooling.hpp, so a
// window has the same bits in both. Geometries are read at run time.
#pragma once

#include <volute/kernels/blocked_maps.hpp>
#include <volute/kernels/pooling.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// One plane of results of a vector of channels, n of which there are. `put(row, column, value)` takes them.
template <bool Full, class T, int L, ops::reduction R, class F>
VOLUTE_INLINE void pool_plane(const ops::pool_geometry& g, const ops::volume_layout& from, const T* x, std::int64_t od, int n,
                              F&& put) noexcept {
  using V = simd::vec<T, L>;
  using C = combine<R, T>;
  const std::int64_t row = from.all_columns * from.block, plane = from.plane();
  const pool_taps d = taps_of(g, 0, od);
  for (std::int64_t oh = 0; oh < g.out[1]; ++oh) {
    const pool_taps h = taps_of(g, 1, oh);
    for (std::int64_t ow = 0; ow < g.out[2]; ++ow) {
      const pool_taps w = taps_of(g, 2, ow);
      const T* const first = x + d.first * plane + from.first() + h.first * row + w.first * from.block;
      V sum(C::identity);
      for (std::int64_t kw = 0; kw < w.taps; ++kw) {
        V column(C::identity);
        for (std::int64_t kd = 0; kd < d.taps; ++kd) {
          const T* at = first + kd * d.step * plane + kw * w.step * from.block;
          for (std::int64_t kh = 0; kh < h.taps; ++kh, at += h.step * row)
            column = C::apply(column, Full ? simd::load<V>(at) : simd::load_partial<V>(at, n));
        }
        sum = C::apply(sum, column);
      }
      if constexpr (R == ops::reduction::sum) {
        const std::int64_t count = g.divisor > 0 ? g.divisor : d.counted * h.counted * w.counted;
        sum = sum / V(static_cast<T>(count > 0 ? count : 1));
      }
      put(oh, ow, sum);
    }
  }
}

/// out = the average (R: sum) or the maximum of every window of x, which lies in layout `from`; out in layout `to`, with its zeros, or
/// NCDHW.
template <class T, int L, ops::reduction R>
void pool_blocked(const ops::pool_geometry& g, const ops::volume_layout& from, const ops::volume_layout& to, const T* x, T* out,
                  const team<T>& workers = {}) noexcept {
  using V = simd::vec<T, L>;
  const std::int64_t blocks = from.channels / from.block, volume = g.out[0] * g.out[1] * g.out[2];
  const double work = static_cast<double>(g.planes * volume) * static_cast<double>(g.kernel[0] * g.kernel[1] * g.kernel[2]);
  const std::int64_t planes = from.batch * blocks * g.out[0];
  share_ranges(workers, planes, 1, workers.alone() ? 1 : parts_of(work), [&](std::int64_t begin, std::int64_t end, int) noexcept {
    for (std::int64_t k = begin; k < end; ++k) {
      const std::int64_t od = k % g.out[0], block = k / g.out[0];  // counted over samples and blocks
      for (std::int64_t c = 0; c < from.block; c += L) {
        const int n = valid_lanes<L>(from.block - c);
        const T* const source = x + block * from.planes * from.plane() + c;
        const auto pool = [&](auto put) VOLUTE_ALWAYS_INLINE {
          if (n == L)
            pool_plane<true, T, L, R>(g, from, source, od, n, put);
          else
            pool_plane<false, T, L, R>(g, from, source, od, n, put);
        };
        if (to.blocked()) {
          T* const target = out + (block * to.planes + od) * to.plane() + c;
          if (to.padded())
            for (std::int64_t i = 0; i < to.plane(); i += to.block) simd::store_partial(target + i, V(T(0)), n);
          pool([&](std::int64_t row, std::int64_t column, V v) VOLUTE_ALWAYS_INLINE {
            T* const at = target + to.first() + (row * to.all_columns + column) * to.block;
            if (n == L)
              simd::store(at, v);
            else
              simd::store_partial(at, v, n);
          });
        } else {
          T* const target = out + (block * from.block + c) * volume + od * g.out[1] * g.out[2];
          pool([&](std::int64_t row, std::int64_t column, V v) VOLUTE_ALWAYS_INLINE {
            alignas(64) T lane[L];
            simd::store(lane, v);
            for (int i = 0; i < n; ++i) target[i * volume + row * g.out[2] + column] = lane[i];
          });
        }
      }
    }
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
