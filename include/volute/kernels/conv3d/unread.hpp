// The adjoint in the filter where a tensor is not finite. Kernels with pixels in their lanes, and those that copy a border of zeros, add
// products of a zero and of an element that the tap does not meet: nothing, unless that element is an infinity or NaN. Such sums are NaN,
// so they are looked for, and made anew of the products that there are. Without any, this costs a look at dw.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/registers.hpp>
#include <volute/ops/convolution.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// False where one of n elements is an infinity or NaN.
template <class T>
VOLUTE_NO_INLINE bool all_finite(const T* p, int64_t n) noexcept {
  using V = simd::vec<T>;
  constexpr int64_t L = simd::lanes<V>;
  V a[4];
  for (V& v : a) v = V(T(0));
  const int64_t whole = n / (4 * L) * (4 * L);
  for (int64_t i = 0; i < whole; i += 4 * L)
    for (int k = 0; k < 4; ++k) a[k] = simd::fma(simd::load<V>(p + i + k * L), V(T(0)), a[k]);
  for (int64_t i = whole; i < n; i += L) a[0] = simd::fma(load_first<V>(p + i, n - i), V(T(0)), a[0]);
  return simd::reduce_add((a[0] + a[1]) + (a[2] + a[3])) == T(0);
}

/// Sums again, product by product, what is NaN of dw[o][i][tap]: o of `outputs`, i of `inputs` (of a group).
template <class T>
VOLUTE_NO_INLINE void without_unread(const ops::conv_geometry& q, const ops::conv_layouts& layouts, const T* x, const T* g, T* dw,
                                     tap_range outputs, tap_range inputs) noexcept {
  const auto row = [](const ops::volume_layout& l, int64_t channel_count, const int64_t* size, const T* p, int64_t n, int64_t c, int64_t d,
                      int64_t h) {
    if (!l.blocked()) return p + (((n * channel_count + c) * size[0] + d) * size[1] + h) * size[2];
    return p + l.channel_at(n, c) + d * l.plane() + l.first() + h * l.all_columns * l.block;
  };
  const int64_t x_step = layouts.source.blocked() ? layouts.source.block : 1, g_step = layouts.target.blocked() ? layouts.target.block : 1;
  const auto axis = [&](int a) { return correlation_axis{q.out[a], 0, 1, q.stride[a], q.kernel[a], -q.lo[a], q.dilation[a], 0, 1}; };
  const correlation_axis cd = axis(0), ch = axis(1), cw = axis(2);
  const auto sum_of = [&](int64_t o, int64_t i, int64_t kd, int64_t kh, int64_t kw) {
    const int64_t channel = o / q.group_out() * q.group_in() + i, column = cw.source_of(0, kw);
    const tap_range rd = positions_inside(cd, kd, q.in[0]), rh = positions_inside(ch, kh, q.in[1]), rw = positions_inside(cw, kw, q.in[2]);
    T sum = 0;
    for (int64_t n = 0; n < q.batch; ++n)
      for (int64_t d = rd.first; d < rd.last; ++d)
        for (int64_t h = rh.first; h < rh.last; ++h) {
          const T* const from = row(layouts.source, q.in_channels, q.in, x, n, channel, cd.source_of(d, kd), ch.source_of(h, kh));
          const T* const by = row(layouts.target, q.out_channels, q.out, g, n, o, d, h);
          for (int64_t w = rw.first; w < rw.last; ++w) sum += from[(w * cw.step + column) * x_step] * by[w * g_step];
          if (!(sum == sum)) return sum;
        }
    return sum;
  };
  for (int64_t o = outputs.first; o < outputs.last; ++o)
    for (int64_t i = inputs.first; i < inputs.last; ++i) {
      T* e = dw + (o * q.group_in() + i) * q.taps();
      for (int64_t kd = 0; kd < q.kernel[0]; ++kd)
        for (int64_t kh = 0; kh < q.kernel[1]; ++kh)
          for (int64_t kw = 0; kw < q.kernel[2]; ++kw, ++e)
            if (!(*e == *e)) *e = sum_of(o, i, kd, kh, kw);
    }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
