// The adjoint in the filter where the tensors are, for few channels, as conv3d/in_place.hpp, with several planes of g in flight.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/in_place.hpp>
#include <volute/kernels/conv3d/planes_weights.hpp>
#include <volute/kernels/conv3d/weights_parts.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

struct in_place_weights_plan : weights_parts {  // a task has one channel of g, a step one row
  in_place_code code;
  int taps = 1;  // of the height, whose sums stay in registers together
};

template <class T>
constexpr in_place_weights_plan plan_in_place_weights(const conv_shape& s) {
  in_place_weights_plan p;
  p.code = plan_in_place<T>(s).code[0];
  p.code.stream = false;
  p.code.rows = 1;
  // Vectors of g, one of x, and what takes every second column out need registers too.
  const int64_t most = p.code.width[0].step == 1 ? 27 : 20, sums = s.kernel[0] * s.kernel[2];
  p.taps = int(larger(1, smaller(s.kernel[1], most / sums)));
  p.steps = s.target_size[1];
  p.want_parts(s, s.groups * s.target_channels, lanes_of_pixels_work, int64_t{1} << 18);  // they stay in the second-level cache
  p.limit_parts(s.batch);
  return p;
}

/// True where that is possible, and what several channels read stays in the second-level cache.
template <class T>
constexpr bool prefers_in_place_weights(const conv_shape& s) {
  const int64_t x_bytes = s.source_elements() * bytes_of<T>, g_bytes = s.target_volume() * bytes_of<T>;
  return prefers_in_place<T>(s) && s.kernel[0] * s.kernel[2] <= 20 && (s.target_channels == 1 || x_bytes <= machine.l2 / 2) &&
         (s.source_channels == 1 || g_bytes <= machine.l2 / 4);
}

template <class T>
struct in_place_weights_job : weights_flight<T> {
  int64_t begin, end, height;  // rows of g, and how many x has
};

/// sum[tap of depth][taps of height from h0 on][tap of width] of some rows of one channel.
template <class T, in_place_code C, int H>
VOLUTE_NO_INLINE void in_place_weights_block(const in_place_weights_job<T>& job, int64_t h0, T* sum) noexcept {
  using V = simd::vec<T>;
  constexpr int KD = C.depth, KW = int(C.width[0].taps);
  constexpr int64_t width = C.width[0].n;
  const in_place_weights_job<T> j = job;
  V acc[KD][H * KW];
  set_zero(acc);
  // 16 planes at a time: their rows stay in the first-level cache from one vector to the next, unless they lie in the same few sets of it.
  const int64_t most = j.x_plane * bytes_of<T> % machine.aliasing == 0 ? 8 : 16;
  for (int64_t lo = j.first, hi = lo; lo < j.last; lo = hi) {
    hi = smaller(lo + most, j.last);
    for (int64_t r = j.begin; r < j.end; ++r) {
      const T* row[H];
      int64_t x_step[H];
      VOLUTE_EACH(h, H) {
        const int64_t at = C.height[0].source_of(r, h0 + h);
        const bool inside = at >= 0 && at < j.height;
        row[h] = inside ? j.x + lo * j.x_plane + at * C.source_width : zero_row_of<T, C.source_width>.list;
        x_step[h] = inside ? j.x_plane : 0;
      }
      const T* const g_row = j.g + r * width;
      // The rows that the next turn adds.
      const int64_t below = C.height[0].source_of(r, C.height[0].taps - 1) + 1;
      const T* const next_x = r + 1 < j.end ? j.x + below * C.source_width : j.next_x;
      const T* const next_g = r + 1 < j.end ? g_row + width : j.next_g;
      unrolled<C.vectors>([&](auto v) VOLUTE_ALWAYS_INLINE {
        const T* x[H];
        VOLUTE_EACH(h, H) x[h] = row[h];
        const auto read = [&](int64_t q) VOLUTE_ALWAYS_INLINE {
          return load_inside<V, v * simd::lanes<V>, C.width[0].n, C.width[0].n - v * simd::lanes<V>>(g_row + q * j.g_plane);
        };
        const T* ahead = next_x + lo * j.x_plane + v * simd::lanes<V> * C.width[0].step;
        const T* ahead_g = next_g + lo * j.g_plane + v * simd::lanes<V>;
        j.template for_each_plane<V, KD>(lo, hi, read, [&](int64_t, int first, const V* g) VOLUTE_ALWAYS_INLINE {
          if (first == 0) {
            VOLUTE_EACH(i, C.height[0].step)
              VOLUTE_EACH(k, C.width[0].step) simd::prefetch(ahead + i * C.source_width + k * simd::lanes<V>);
            simd::prefetch(ahead_g);
            ahead += j.x_plane;
            ahead_g += j.g_plane;
          }
          VOLUTE_EACH(h, H) {
            unrolled<KW>([&](auto w) VOLUTE_ALWAYS_INLINE { add_depth(acc, h * KW + w, in_place_read<V, C, 0, w, v>(x[h]), g, first); });
            x[h] += x_step[h];
          }
        });
      });
    }
  }
  reduce_tile(acc, sum);
}

/// A kernel of run_weights().
template <class T, const conv_call& C, const in_place_weights_plan& plan>
struct weights_kernel<T, C, plan> {
  static constexpr const conv_shape& s = shape_for<C>;
  weights_run<T, C> of;

  VOLUTE_NO_INLINE void add(const weights_stint& at, T*) const noexcept {
    constexpr in_place_code code = plan.code;
    constexpr int KH = int(code.height[0].taps);
    constexpr int64_t KW = code.width[0].taps, volume = s.source_volume();
    const correlation_axis& cd = s.axis[0];
    const int64_t pair = at.sample * s.groups + at.task / s.target_channels;
    in_place_weights_job<T> j{{cd, s.source_size[0], s.source_plane(), s.target_plane()}, at.begin, at.end, s.source_size[1]};
    j.x = of.source_at(pair, 0) + cd.offset * j.x_plane;
    j.g = of.target_at(pair, at.task % s.target_channels);
    T* to = of.dw + at.task * s.source_channels * s.taps();
    for (int64_t c = 0; c < s.source_channels; ++c, j.x += volume, to += s.taps()) {
      const auto block = [&](auto rows, int64_t h0) VOLUTE_ALWAYS_INLINE {
        T sum[code.depth * rows * KW];
        const bool last = h0 + rows == KH && pair + 1 < s.pairs();
        j.next_x = last ? j.x + volume : j.x;
        j.next_g = last && c + 1 == s.source_channels ? j.g + s.target_volume() : j.g;
        in_place_weights_block<T, code, rows>(j, h0, sum);
        put_sums(sum, rows * KW, code.depth, rows * KW, to + h0 * KW, KH * KW, !at.first);
      };
      int64_t h0 = 0;
      for (; h0 + plan.taps <= KH; h0 += plan.taps) block(std::integral_constant<int, plan.taps>{}, h0);
      if constexpr (KH % plan.taps != 0) block(std::integral_constant<int, KH % plan.taps>{}, h0);
    }
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
