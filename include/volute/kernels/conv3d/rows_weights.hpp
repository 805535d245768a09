// The adjoint in the filter for stride 1, as conv3d/rows.hpp turned round: a block of target rows (their channels in the lanes) stays in
// registers while the sums of one pair of taps in depth and height pass by, and each source pixel is loaded once for all taps of the width.
// What falls on the padding is left out.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/rows.hpp>
#include <volute/kernels/conv3d/rows_plan.hpp>

#include <cstdint>
#include <cstring>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Taps of a filter up to which its gradient is unpacked by several source channels together.
inline constexpr int64_t dense_taps = 27;

/// `target`: the tensor whose channels are lanes (y's gradient g for the forward side, x for the backward side).
struct row_weights_plan {
  rows_code code;  // slab: one pair of taps after the other, or else all of them for each row
  int64_t blocks = 1, block = 1, chunks = 1;
  correlation_axis axis[2]{};
  int64_t count[2]{};
  int64_t source_plane = 0, source_chunk = 0, source_sample = 0;
  int64_t target_block = 0, target_sample = 0;
  int64_t samples = 1;             // whose copies stand together
  int64_t unit = 1;                // planes of the target whose share of both copies stays in the second-level cache
  int64_t sum = 0, sum_count = 1;  // of one chunk and block: [tap d][tap h][source channel / fold][tap w][lane]
  sharing share = sharing::none;
  int64_t parts = 1, part = 1;  // of the planes of a pass, each with sums of its own that are added in order; planes of a part
  bool stream = false;          // dw outgrows the caches
  // More tasks for threads, which change no sum: ranges of pairs of taps, and of source channels when the sums are unpacked.
  int64_t tap_parts = 1, pieces = 1;
  depth_slabs depth;  // more than one: a part has some of them, and copies what it needs of both tensors itself
  constexpr int64_t block_lanes() const { return int64_t{code.lanes} * code.vectors; }
  constexpr int64_t scratch() const { return samples * (source_sample + target_sample) + parts * sum_count * sum; }
  constexpr int64_t worker_scratch() const {  // of each worker but the first, which has scratch()
    if (share == sharing::none) return 0;
    const int64_t n = depth.count > 1           ? source_sample + target_sample
                      : share == sharing::pairs ? scratch()
                                                : (sum_count == 1 && parts * tap_parts == 1 ? sum : 0);
    return ceil_divide(n, 16) * 16;
  }
};

template <class T>
constexpr row_weights_plan plan_row_weights(const ops::conv_geometry& g, conv_side side) {
  row_weights_plan p;
  rows_code& c = p.code;
  const conv_shape s = shape_of(g, side);
  constexpr int64_t size = sizeof(T);
  // Each sum is two chains of half as many products as pixels: more than 14 keep more of them waiting than the processor can hold, and
  // fewer mean that sums come and go more often (512 channels, rows of 14 in two halves: 1.06 of the time).
  plan_rows_blocks<T>(p, g, side, s, 14);
  const int64_t pixels = ceil_divide(c.width, c.segments), lanes = p.block_lanes();
  p.sum = s.taps() * (c.chunk / c.fold) * lanes;
  const bool whole = p.sum * size <= machine.l1 / 2 && pixels * c.vectors >= 6;
  if (c.segments == 1 && !whole) {  // sums come and go for 16 products each at least
    const int64_t wanted = smaller(4, ceil_divide(14, c.vectors * pixels)), room = (row_registers / c.vectors - c.taps) / pixels;
    c.rows = static_cast<int>(pixels * c.vectors >= 12 ? 1 : larger(1, smaller(wanted, room)));
  }
  c.slab = !whole;
  // The sums of one column of taps stay in the first-level cache: five taps a row take 0.98 of the time, on two threads 0.96.
  c.column = c.slab && c.rows == 1 && p.axis[1].taps * (c.chunk / c.fold) * c.taps * lanes * size <= machine.l1;
  p.source_plane = p.count[1] * c.source_width * c.chunk;
  p.source_chunk = p.count[0] * p.source_plane;
  p.source_sample = ceil_divide(p.chunks * p.source_chunk, 16) * 16;
  p.target_block = s.target_volume() * lanes;
  p.target_sample = p.blocks * p.target_block;
  p.samples = smaller(s.batch, larger(1, (machine.cached * 2) / ((p.source_sample + p.target_sample) * size)));
  c.ahead = c.slab && p.samples * (p.source_sample + p.target_sample) * size > machine.l2;  // else no gain
  p.unit = smaller(p.samples * p.axis[0].n, larger(1, (machine.l2 / 2) / ((p.source_plane + p.axis[1].n * c.width * lanes) * size)));
  p.share = choose_sharing(conv_work(g), s.groups, (p.samples * (p.source_sample + p.target_sample) + p.sum) * size, true);
  if (p.share == sharing::inside && s.groups >= 4) p.share = sharing::pairs;  // no thread waits for what another copies
  const int64_t tasks = p.blocks * p.chunks, planes = p.samples * p.axis[0].n;
  p.part = planes;
  if (p.share == sharing::inside) p.part = planes_of_part(tasks, planes, p.axis[1].n * c.width, tasks * p.sum * size, machine.l2 / 2);
  p.parts = ceil_divide(planes, p.part);
  if (p.share == sharing::inside && c.slab) {
    const int64_t wanted = ceil_divide(16, tasks * p.parts), columns = p.axis[0].taps;
    p.tap_parts = c.column && wanted > 1 ? ceil_divide(wanted, columns) * columns : wanted;
    p.tap_parts = smaller(p.tap_parts, p.axis[0].taps * p.axis[1].taps);
  }
  if (p.parts * p.tap_parts > 1) p.pieces = smaller(c.chunk / c.fold, ceil_divide(8, tasks));
  p.sum_count = p.samples == s.batch && p.parts * p.tap_parts == 1 ? 1 : tasks;
  p.stream = g.w_size() * size >= machine.cached * 2;
  const int64_t target_plane = p.axis[1].n * c.width * lanes;
  const weights_slabs cut = cut_weights(g, side, p.chunks * p.source_plane * size, p.blocks * target_plane * size, tasks * p.sum * size);
  if (p.share == sharing::inside && cut.parts > 0) {
    p.depth = cut.depth;
    p.source_chunk = p.depth.planes * p.source_plane;
    p.source_sample = ceil_divide(p.chunks * p.source_chunk, 16) * 16;
    p.target_block = p.depth.size * target_plane;
    p.target_sample = ceil_divide(p.blocks * p.target_block, 16) * 16;
    p.samples = 1;
    p.unit = smaller(p.unit, p.depth.size);
    p.parts = cut.parts, p.tap_parts = 1;
    p.sum_count = tasks;
    p.pieces = smaller(c.chunk / c.fold, ceil_divide(8, tasks));
  }
  return p;
}

template <class T, int R>
struct row_weights_job {
  const T* x[R]{};
  const T* g[R]{};
  T* sum = nullptr;
  int64_t d = 1, h = 1;
  int64_t x_d = 0, x_h = 0, sum_d = 0, sum_h = 0;
  bool add = false;
};

/// sum[tap d][tap h][source channel][tap w][lanes] (+)= the products of R rows' segments. A sum's products make two chains if there
/// are many and registers allow: in one, they wait for its latency (three taps of 12 pixels, 8 -> 16 channels at 12^3: 0.92 of the time).
template <class T, rows_code C, int R, rows_segment S>
__attribute__((noinline)) void row_weights_block(const row_weights_job<T, R>& j, int64_t x_first, int64_t g_first, bool add) noexcept {
  constexpr int L = C.lanes, NV = C.vectors, Q = S.pixels, K = static_cast<int>(C.taps), dilation = static_cast<int>(C.dilation);
  constexpr int chains = R * Q >= 8 && (R * Q + 2 * K) * NV + 2 <= row_registers + 1 ? 2 : 1;
  using V = simd::vec<T, L>;
  V g[R][Q][NV];
  VOLUTE_UNROLL
  for (int r = 0; r < R; ++r) VOLUTE_UNROLL
  for (int q = 0; q < Q; ++q) VOLUTE_UNROLL
  for (int v = 0; v < NV; ++v) {
    g[r][q][v] = simd::load<V>(j.g[r] + g_first + (q * NV + v) * L);
    simd::keep(g[r][q][v]);
  }
  for (int64_t d = 0; d < j.d; ++d)
    for (int64_t h = 0; h < j.h; ++h) {
      T* sum = j.sum + d * j.sum_d + h * j.sum_h;
      const T* x[R];
      VOLUTE_UNROLL
      for (int r = 0; r < R; ++r) x[r] = j.x[r] + x_first + d * j.x_d + h * j.x_h;
      T* const end = sum + C.chunk / C.fold * (K * NV * L);
      [[maybe_unused]] const T* next = x[R - 1] + C.source_width * C.chunk;  // the rows after these
      VOLUTE_NO_UNROLL
      for (; sum != end; sum += K * NV * L) {
        if constexpr (C.ahead) {
          constexpr int step = R * (S.high - S.low) * C.fold, line = 64 / static_cast<int>(sizeof(T));
          VOLUTE_UNROLL
          for (int i = 0; i < step; i += line) simd::prefetch(next + i);
          next += step;
        }
        V acc[chains][K][NV];
        VOLUTE_UNROLL
        for (int k = 0; k < K; ++k) VOLUTE_UNROLL
        for (int v = 0; v < NV; ++v) {
          acc[chains - 1][k][v] = V(T(0));
          acc[0][k][v] = C.column || add ? simd::load<V>(sum + (k * NV + v) * L) : V(T(0));
        }
        VOLUTE_UNROLL
        for (int i = S.low; i < S.high; ++i) VOLUTE_UNROLL
        for (int r = 0; r < R; ++r) {
          const V xv = simd::broadcast_group<V, C.fold>(x[r] + (i - S.low) * C.chunk);
          VOLUTE_UNROLL
          for (int k = 0; k < K; ++k) {
            const int q = i - k * dilation;
            if (q < 0 || q >= Q) continue;
            VOLUTE_UNROLL
            for (int v = 0; v < NV; ++v) {
              V& a = acc[(i * R + r) % chains][k][v];
              a = simd::fma(xv, g[r][q][v], a);
            }
          }
        }
        VOLUTE_UNROLL
        for (int r = 0; r < R; ++r) x[r] += C.fold;
        VOLUTE_UNROLL
        for (int k = 0; k < K; ++k) VOLUTE_UNROLL
        for (int v = 0; v < NV; ++v) {
          if constexpr (chains == 2) acc[0][k][v] = acc[0][k][v] + acc[1][k][v];
          simd::store(sum + (k * NV + v) * L, acc[0][k][v]);
        }
      }
    }
}

template <class T, rows_code C, int R, std::size_t... I>
VOLUTE_INLINE void row_weights_segments(const row_weights_job<T, R>& j, std::index_sequence<I...>) noexcept {
  (row_weights_block<T, C, R, segment_of(C, I)>(j, larger(0, segment_start(C, I) + C.offset) * C.chunk,
                                                segment_start(C, I) * C.lanes * C.vectors, j.add || I > 0),
   ...);
}
template <class T, rows_code C, int R>
VOLUTE_INLINE void row_weights_segments(const row_weights_job<T, R>& j) noexcept {
  row_weights_segments<T, C, R>(j, std::make_index_sequence<C.segments>{});
}

/// The sums of one chunk and block over planes [first, last) of the samples in the copies, of the pairs of taps [first_tap, last_tap) if
/// slab: written, or (add) added to. The copies begin with the planes `source_base` and `target_base`.
template <class T, rows_code C>
__attribute__((noinline)) void row_weights_task(const row_weights_plan& p, const T* source, const T* target, T* sums, int64_t first,
                                                int64_t last, int64_t first_tap, int64_t last_tap, bool add, int64_t source_base,
                                                int64_t target_base) noexcept {
  constexpr int64_t lanes = C.lanes * C.vectors, g_row = C.width * lanes, x_row = C.source_width * C.chunk;
  constexpr int64_t tap_sums = C.chunk / C.fold * C.taps * lanes;
  const correlation_axis &cd = p.axis[0], &ch = p.axis[1];
  if constexpr (!C.slab) {
    const int64_t taps = cd.taps * ch.taps;
    if (!add) std::memset(sums, 0, static_cast<std::size_t>(taps * tap_sums) * sizeof(T));
    row_weights_job<T, 1> j;
    j.x_d = cd.offset_step * p.source_plane;
    j.x_h = ch.offset_step * x_row;
    j.sum_h = tap_sums;
    j.sum_d = ch.taps * tap_sums;
    j.add = true;
    for (int64_t u = first; u < last; ++u) {
      const int64_t n = u / cd.n, d = u % cd.n;
      const tap_range td = taps_inside(cd, d, p.count[0]);
      j.d = td.last - td.first;
      j.g[0] = target + n * p.target_sample + (d - target_base) * ch.n * g_row;
      for (int64_t h = 0; h < ch.n; ++h, j.g[0] += g_row) {
        const tap_range th = taps_inside(ch, h, p.count[1]);
        j.h = th.last - th.first;
        j.sum = sums + td.first * j.sum_d + th.first * j.sum_h;
        j.x[0] = source + n * p.source_sample + (d + cd.offset + td.first * cd.offset_step - source_base) * p.source_plane +
                 (h + ch.offset + th.first * ch.offset_step) * x_row;
        row_weights_segments<T, C, 1>(j);
      }
    }
    return;
  }
  for (int64_t begin = first; begin < last; begin += p.unit) {
    const int64_t end = smaller(last, begin + p.unit);
    if constexpr (C.column) {
      for (int64_t tap = first_tap, after = 0; tap < last_tap; tap = after) {
        after = smaller(last_tap, (tap / ch.taps + 1) * ch.taps);
        const int64_t td = tap / ch.taps, low = tap % ch.taps, high = low + after - tap;
        const tap_range rd = positions_inside(cd, td, p.count[0]);
        if (!add && begin == first) std::memset(sums + tap * tap_sums, 0, static_cast<std::size_t>((after - tap) * tap_sums) * sizeof(T));
        row_weights_job<T, 1> j;
        j.x_h = ch.offset_step * x_row;
        j.sum_h = tap_sums;
        for (int64_t u = begin; u < end; ++u) {
          const int64_t n = u / cd.n, d = u % cd.n;
          if (d < rd.first || d >= rd.last) continue;
          const T* const x = source + n * p.source_sample + (d + cd.offset + td * cd.offset_step - source_base) * p.source_plane;
          j.g[0] = target + n * p.target_sample + (d - target_base) * ch.n * g_row;
          for (int64_t h = 0; h < ch.n; ++h, j.g[0] += g_row) {
            const tap_range inside = taps_inside(ch, h, p.count[1]);
            const int64_t th = larger(inside.first, low);
            j.h = smaller(inside.last, high) - th;
            if (j.h <= 0) continue;
            j.sum = sums + (td * ch.taps + th) * tap_sums;
            j.x[0] = x + (h + ch.offset + th * ch.offset_step) * x_row;
            row_weights_segments<T, C, 1>(j);
          }
        }
      }
      continue;
    }
    for (int64_t tap = first_tap; tap < last_tap; ++tap) {
      const int64_t td = tap / ch.taps, th = tap % ch.taps;
      const tap_range rd = positions_inside(cd, td, p.count[0]), rh = positions_inside(ch, th, p.count[1]);
      row_weights_job<T, C.rows> j;
      j.sum = sums + tap * tap_sums;
      j.add = add || begin > first;
      int waiting = 0;
      for (int64_t u = begin; u < end; ++u) {
        const int64_t n = u / cd.n, d = u % cd.n;
        if (d < rd.first || d >= rd.last) continue;
        const T* x = source + n * p.source_sample + (d + cd.offset + td * cd.offset_step - source_base) * p.source_plane +
                     (rh.first + ch.offset + th * ch.offset_step) * x_row;
        const T* g = target + n * p.target_sample + ((d - target_base) * ch.n + rh.first) * g_row;
        for (int64_t h = rh.first; h < rh.last; ++h, x += x_row, g += g_row) {
          j.x[waiting] = x;
          j.g[waiting] = g;
          if (++waiting < C.rows) continue;
          row_weights_segments<T, C, C.rows>(j);
          j.add = true;
          waiting = 0;
        }
      }
      for (int i = 0; i < waiting; ++i) {
        row_weights_job<T, 1> one;
        one.x[0] = j.x[i];
        one.g[0] = j.g[i];
        one.sum = j.sum;
        one.add = j.add;
        row_weights_segments<T, C, 1>(one);
        j.add = true;
      }
      if (!j.add) std::memset(j.sum, 0, static_cast<std::size_t>(tap_sums) * sizeof(T));
    }
  }
}

/// Sums of one chunk and one block (`valid` target channels), those of all parts together, to their places in dw: of the source channels
/// [begin, end), `begin` a multiple of the fold.
template <class T, rows_code C>
__attribute__((noinline)) void unpack_row_weights(const conv_shape& s, const row_weights_plan& p, int64_t valid, int64_t begin, int64_t end,
                                                  const T* sums, T* dw) noexcept {
  constexpr int L = C.lanes, F = C.fold;
  constexpr int64_t lanes = C.lanes * C.vectors;
  using V = simd::vec<T, L>;
  const correlation_axis &cd = s.classes[0][0], &ch = s.classes[1][0], &cw = s.classes[2][0];
  const int64_t part = p.sum_count * p.sum;
  for (int64_t v = 0; v < lanes; v += L) {
    int64_t d = 0, h = 0, w = 0;
    for (int64_t first = 0; first < s.taps(); first += L) {
      const int n = static_cast<int>(smaller(L, s.taps() - first));
      int64_t at[L];
      for (int i = 0; i < L; ++i) {
        if (i >= n) {
          at[i] = at[0];
          continue;
        }
        const int64_t row = (d - cd.k) * cd.k_step * ch.taps + (h - ch.k) * ch.k_step;  // steps are 1 or -1
        at[i] = (row * (C.chunk / F) * cw.taps + (w - cw.k) * cw.k_step) * lanes + v;
        if (++w == s.kernel[2]) w = 0, ++h;
        if (h == s.kernel[1]) h = 0, ++d;
      }
      for (int64_t c = begin; c < end; c += F) {
        V r[L];
        VOLUTE_UNROLL
        for (int i = 0; i < L; ++i) r[i] = simd::load<V>(sums + at[i] + c / F * cw.taps * lanes);
        for (const T *more = sums + part, *const all = sums + p.parts * part; more != all; more += part) {
          VOLUTE_UNROLL
          for (int i = 0; i < L; ++i) r[i] = r[i] + simd::load<V>(more + at[i] + c / F * cw.taps * lanes);
        }
        simd::transpose(r);
        VOLUTE_UNROLL
        for (int i = 0; i < L; ++i) {
          const int64_t o = (v + i) / F, f = c + i % F;
          if (o >= valid) break;
          if (f >= end) continue;
          T* const to = dw + f * s.weight_source + o * s.weight_target + first;
          if (n == L)
            simd::store(to, r[i]);
          else
            simd::store_partial(to, r[i], n);
        }
      }
    }
  }
}

/// The same where the taps of neighbouring source channels follow one another in dw (forward side, no fold): vectors of L of these,
/// whatever their channel, which are whole lines in most cases. `stream`: dw outgrows the caches and is written past them.
template <class T, rows_code C>
__attribute__((noinline)) void unpack_dense_weights(const conv_shape& s, const row_weights_plan& p, int64_t valid, int64_t begin,
                                                    int64_t end, const T* sums, T* dw) noexcept {
  constexpr int L = C.lanes;
  constexpr int64_t lanes = C.lanes * C.vectors, channels = 16;
  using V = simd::vec<T, L>;
  const correlation_axis &cd = s.classes[0][0], &ch = s.classes[1][0], &cw = s.classes[2][0];
  const int64_t taps = s.taps(), part = p.sum_count * p.sum;
  int64_t at[channels * dense_taps];
  for (int64_t d = 0, k = 0; d < s.kernel[0]; ++d)
    for (int64_t h = 0; h < s.kernel[1]; ++h)
      for (int64_t w = 0; w < s.kernel[2]; ++w, ++k)
        at[k] = (((d - cd.k) * cd.k_step * ch.taps + (h - ch.k) * ch.k_step) * C.chunk * cw.taps + (w - cw.k) * cw.k_step) * lanes;
  for (int64_t k = taps; k < channels * taps; ++k) at[k] = at[k - taps] + cw.taps * lanes;
  for (int64_t v = 0; v < smaller(lanes, valid); v += L)
    for (int64_t c = begin; c < end; c += channels) {
      const T* const from = sums + c * cw.taps * lanes + v;
      const int64_t length = smaller(channels, end - c) * taps, rows = valid - v;
      for (int64_t k = 0; k < length; k += L) {
        const int n = static_cast<int>(smaller(L, length - k));
        V r[L];
        VOLUTE_UNROLL
        for (int i = 0; i < L; ++i) r[i] = simd::load<V>(from + at[i < n ? k + i : k]);
        for (int64_t more = 1; more < p.parts; ++more) {
          VOLUTE_UNROLL
          for (int i = 0; i < L; ++i) r[i] = r[i] + simd::load<V>(from + more * part + at[i < n ? k + i : k]);
        }
        simd::transpose(r);
        T* const to = dw + v * s.weight_target + c * taps + k;
        VOLUTE_UNROLL
        for (int i = 0; i < L; ++i) {
          if (i >= rows) break;
          if (n < L)
            simd::store_partial(to + i * s.weight_target, r[i], n);
          else if (p.stream)
            simd::stream(to + i * s.weight_target, r[i]);
          else
            simd::store(to + i * s.weight_target, r[i]);
        }
      }
    }
  if (p.stream) simd::stream_fence();
}

template <class T, ops::conv_geometry G, conv_side Side, ops::conv_layouts Layouts>
void run_row_weights(const conv_shape& s, const T* source, const T* target, T* dw, T* scratch, const team<T>& workers) noexcept {
  static constexpr row_weights_plan p = plan_row_weights<T>(G, Side);
  const int64_t x_volume = s.source_volume(), g_volume = s.target_volume(), lanes = p.block_lanes(), depth = p.axis[0].n;

  /// Pixels [begin, end) of one sample's source channels into a copy that begins with pixel `base`, and the same of the target.
  const auto copy_source = [&](int64_t sample, T* to, int64_t begin, int64_t end, int64_t base) noexcept {
    for (int64_t c = 0, k = 0; c < p.chunks && begin < end; ++c, k += p.code.chunk)
      if constexpr (Layouts.source.blocked())
        copy_blocked<T>(Layouts.source, source, sample, k, smaller(p.code.chunk, s.source_channels - k), begin, end,
                        to + c * p.source_chunk + (begin - base) * p.code.chunk, p.code.chunk);
      else
        copy_pixels<T, 1, false>(source + (sample * s.source_channels + k) * x_volume + begin,
                                 to + c * p.source_chunk + (begin - base) * p.code.chunk, smaller(p.code.chunk, s.source_channels - k),
                                 p.code.chunk, x_volume, end - begin, nullptr);
  };
  const auto copy_target = [&](int64_t sample, T* to, int64_t begin, int64_t end, int64_t base) noexcept {
    for (int64_t b = 0, k = 0; b < p.blocks; ++b, k += p.block)
      if constexpr (Layouts.target.blocked())
        copy_blocked<T>(Layouts.target, target, sample, k, smaller(p.block, s.target_channels - k), begin, end,
                        to + b * p.target_block + (begin - base) * lanes, lanes);
      else
        copy_pixels<T, p.code.fold, false>(target + (sample * s.target_channels + k) * g_volume + begin,
                                           to + b * p.target_block + (begin - base) * lanes, smaller(p.block, s.target_channels - k),
                                           p.block, g_volume, end - begin, nullptr);
  };
  const auto complete = [&](int64_t group, int64_t task, int64_t piece, int64_t all, const T* sum) noexcept {
    const int64_t channel = task / p.chunks * p.block, first = task % p.chunks * p.code.chunk;
    const int64_t sources = smaller(p.code.chunk, s.source_channels - first), steps = ceil_divide(sources, p.code.fold);
    const int64_t valid = smaller(p.block, s.target_channels - channel), begin = steps * piece / all * p.code.fold;
    const int64_t end = smaller(sources, steps * (piece + 1) / all * p.code.fold);
    T* const to = dw + group * s.target_channels * s.source_channels * s.taps() + channel * s.weight_target + first * s.weight_source;
    if constexpr (Side == conv_side::forward && p.code.fold == 1 && G.taps() <= dense_taps)
      unpack_dense_weights<T, p.code>(s, p, valid, begin, end, sum, to);
    else
      unpack_row_weights<T, p.code>(s, p, valid, begin, end, sum, to);
  };
  const int64_t tasks = p.blocks * p.chunks, taps = p.axis[0].taps * p.axis[1].taps;

  const auto run_slabs = [&](int64_t group) noexcept {
    T* const sums = scratch + p.source_sample + p.target_sample;
    const int64_t all = s.batch * p.depth.count, x_plane = s.source_size[1] * s.source_size[2],
                  g_plane = s.target_size[1] * s.target_size[2];
    share(workers, p.parts, [&](int64_t part, int worker) noexcept {
      T* const source_copy = workers.memory(worker, scratch);
      T* const target_copy = source_copy + p.source_sample;
      const int64_t begin = all * part / p.parts;
      for (int64_t i = begin; i < all * (part + 1) / p.parts; ++i) {
        const int64_t sample = i / p.depth.count * s.groups + group;
        const depth_slab slab = p.depth.slab(i % p.depth.count);
        copy_source(sample, source_copy, slab.begin * x_plane, slab.end * x_plane, slab.begin * x_plane);
        copy_target(sample, target_copy, slab.first * g_plane, slab.last * g_plane, slab.first * g_plane);
        for (int64_t task = 0; task < tasks; ++task)
          row_weights_task<T, p.code>(p, source_copy + task % p.chunks * p.source_chunk, target_copy + task / p.chunks * p.target_block,
                                      sums + (part * tasks + task) * p.sum, slab.first, slab.last, 0, taps, i > begin, slab.begin,
                                      slab.first);
      }
    });
    share(workers, tasks * p.pieces,
          [&](int64_t i, int) noexcept { complete(group, i / p.pieces, i % p.pieces, p.pieces, sums + i / p.pieces * p.sum); });
  };
  const auto run_group = [&](int64_t group, T* memory, const team<T>& helpers) noexcept {
    T* const source_copy = memory;
    T* const target_copy = source_copy + p.samples * p.source_sample;
    T* const sums = target_copy + p.samples * p.target_sample;
    const int64_t part_sums = p.sum_count * p.sum;
    const int64_t tap_parts = helpers.alone() ? 1 : p.tap_parts, pieces = helpers.alone() ? 1 : p.pieces;
    const bool whole = p.parts * tap_parts == 1;  // a task completes its sums at once
    for (int64_t n0 = 0; n0 < s.batch; n0 += p.samples) {
      // 16 pixels of all channels of both tensors at a time, in the order of the parts: a thread finds most of what it needs in its own
      // cache. The copies run at about 2 elements a nanosecond.
      const int64_t samples = smaller(p.samples, s.batch - n0), steps = ceil_divide(g_volume, 16), x_steps = ceil_divide(x_volume, 16);
      share_ranges(helpers, samples * steps, 1, copy_parts(samples * (p.source_sample + p.target_sample)),
                   [&](int64_t begin, int64_t end, int) noexcept {
                     for (int64_t i = begin; i < end;) {  // runs of one sample
                       const int64_t n = i / steps, first = i % steps, last = smaller(steps, first + end - i),
                                     sample = (n0 + n) * s.groups + group;
                       copy_source(sample, source_copy + n * p.source_sample, x_steps * first / steps * 16,
                                   smaller(x_volume, x_steps * last / steps * 16), 0);
                       copy_target(sample, target_copy + n * p.target_sample, first * 16, smaller(g_volume, last * 16), 0);
                       i += last - first;
                     }
                   });
      const bool last = n0 + samples == s.batch;
      share(helpers, p.parts * tap_parts * tasks, [&](int64_t i, int worker) noexcept {
        // Threads do all that there is to do with some pixels; one thread does all pixels of one chunk and block (1 to 2 % faster).
        const int64_t task = helpers.alone() ? i / p.parts : i % tasks, k = helpers.alone() ? i % p.parts : i / tasks;
        const int64_t part = k / tap_parts, range = k % tap_parts;
        T* const sum = p.sum_count == 1 && whole ? helpers.memory(worker, sums) : sums + part * part_sums + task * p.sum;
        row_weights_task<T, p.code>(p, source_copy + task % p.chunks * p.source_chunk, target_copy + task / p.chunks * p.target_block, sum,
                                    part * p.part, smaller(samples * depth, (part + 1) * p.part), taps * range / tap_parts,
                                    taps * (range + 1) / tap_parts, n0 > 0, 0, 0);
        if (last && whole) complete(group, task, 0, 1, sum);
      });
      if (last && !whole)
        share(helpers, tasks * pieces,
              [&](int64_t i, int) noexcept { complete(group, i / pieces, i % pieces, pieces, sums + i / pieces * p.sum); });
    }
  };
  if constexpr (p.depth.count > 1)
    for (int64_t group = 0; group < s.groups; ++group) run_slabs(group);
  else if constexpr (p.share == sharing::pairs)
    share(workers, s.groups, [&](int64_t group, int worker) noexcept { run_group(group, workers.memory(worker, scratch), {}); });
  else
    for (int64_t group = 0; group < s.groups; ++group) run_group(group, scratch, p.share == sharing::inside ? workers : team<T>{});
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
