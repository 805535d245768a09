// Minimal filtering of the adjoint in the filter: dw[t] is the sum over j of g[j] x[j + t], again F(m, r) with the roles of m results and
// r taps exchanged. One element of the depth's transform after the other meets all tiles, so that the sums of its products stay in the
// caches; tasks are such elements, and ranges of channels on both sides.
#pragma once

#include <volute/kernels/conv3d/channels_weights.hpp>
#include <volute/kernels/conv3d/minimal_pack.hpp>
#include <volute/kernels/conv3d/minimal_tiles.hpp>
#include <volute/kernels/conv3d/minimal_weights_plan.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What a row of tiles is in the depth's transform: some of its planes, each times a factor.
template <class T>
struct minimal_terms {
  static constexpr int most = 6;
  const T* plane[most];
  T factor[most];
  int count = 0;
};

/// The coefficient of plane k in element e of minimal_data(), and in minimal_values() of N coefficients.
constexpr double minimal_data_factor(const minimal_filter& f, int e, int k) {
  if (f.size() == 1) return 1;
  double c[7]{1};
  int degree = 0;
  const auto times = [&](double root) {  // the polynomial c times (x - root)
    for (int i = ++degree; i >= 0; --i) c[i] = (i > 0 ? c[i - 1] : 0) - root * c[i];
  };
  const bool infinity = e + 1 == f.size();
  for (int i = 0; i + 1 < f.size(); ++i)
    if (infinity || i != e) times(i == 0 ? 0 : (i % 2 == 1 ? 1 : -1) * f.p[(i - 1) / 2].value());
  return c[k];
}
constexpr double minimal_values_factor(const minimal_filter& f, int n, int e, int k) {
  if (f.size() == 1) return 1;
  if (e == 0 || e + 1 == f.size()) return k == (e == 0 ? 0 : n - 1);
  double power = 1;
  for (int i = 0; i < k; ++i) power *= (e % 2 == 1 ? 1 : -1) * f.p[(e - 1) / 2].value();
  return power;
}

/// The sum of all terms, for rows h < H of column `column`.
template <int L, int H, class T>
VOLUTE_INLINE void minimal_terms_column(const minimal_terms<T>& from, int64_t offset, int64_t row, simd::vec<T, L>* x) noexcept {
  using V = simd::vec<T, L>;
  VOLUTE_EACH(h, H) x[h] = V(T(0));
  for (int i = 0; i < from.count; ++i) {
    const V factor(from.factor[i]);
    const T* const p = from.plane[i] + offset;
    VOLUTE_EACH(h, H) x[h] = simd::fma(factor, simd::load<V>(p + h * row), x[h]);
  }
}

/// `tiles` tiles of a row, one vector of channels, to to[element of height and width][tile], elements `step` apart. Values: g's tiles, of
/// m elements; else x's, of m + r - 1, which overlap. row and column: steps of what the planes hold.
template <int L, minimal_filter H, minimal_filter W, bool Values, class T>
VOLUTE_NO_INLINE void transform_terms(const minimal_terms<T>& from, int64_t tiles, int64_t row, int64_t column, T* line, T* to,
                                      int64_t step) noexcept {
  using V = simd::vec<T, L>;
  constexpr int height = Values ? H.outputs : H.size(), width = Values ? W.outputs : W.size();
  constexpr int size = H.size(), shared = width - W.outputs;
  for (int64_t first = 0; first < tiles; first += minimal_line) {
    const int64_t n = smaller(minimal_line, tiles - first);
    for (int64_t q = first == 0 ? 0 : shared; q < n * W.outputs + shared; ++q) {
      V x[height], y[size];
      minimal_terms_column<L, height>(from, (first * W.outputs + q) * column, row, x);
      if constexpr (Values)
        minimal_values<H, height>(x, y);
      else
        minimal_data<H>(x, y);
      VOLUTE_EACH(h, size) simd::store(line + (q * size + h) * L, y[h]);
    }
    for (int64_t t = 0; t < n; ++t) minimal_rows<L, W, Values>(line + t * (W.outputs * size * L), size, to + (first + t) * L, step);
    if constexpr (shared > 0) next_columns<L>(line, n * W.outputs, shared, size * L);
  }
}

/// sums[channel of x][lane] += the products of R channels of x and NV vectors of g over all tiles; vectors of g lie g_vector apart.
template <class T, int L, int NV, int R>
VOLUTE_NO_INLINE void minimal_weights_block(const T* x, const T* g, int64_t g_vector, int64_t tiles, T* sums, int64_t sum_row) noexcept {
  using V = simd::vec<T, L>;
  V acc[R][NV];
  VOLUTE_EACH(r, R)
    VOLUTE_EACH(v, NV) acc[r][v] = V(T(0));
  const T* const end = x + tiles * L;
  VOLUTE_NO_UNROLL
  for (; x != end; x += L, g += L) {
    V gv[NV];
    VOLUTE_EACH(v, NV) gv[v] = simd::load<V>(g + v * g_vector);
    VOLUTE_EACH(r, R) {
      const V xv(x[r]);
      VOLUTE_EACH(v, NV) acc[r][v] = simd::fma(xv, gv[v], acc[r][v]);
    }
  }
  VOLUTE_EACH(r, R)
    VOLUTE_EACH(v, NV) {
      T* const at = sums + r * sum_row + v * L;
      simd::store(at, simd::load<V>(at) + acc[r][v]);
    }
}

/// A task: one element of the depth's transform, for some vectors of channels on both sides, over some rows of a piece's tiles.
template <class T, int L, minimal_tile F, int NV, int R>
struct minimal_weights_task {
  static constexpr int planes = F.axis[1].size() * F.axis[2].size();
  const conv_shape& s;
  const minimal_weights_plan& p;
  const conv_piece& piece;
  const T *x, *g;            // their copies
  int64_t x_first, g_first;  // vectors of channels
  T* sums;
  T* memory;
  const T *depth_data, *depth_values;  // this element's coefficients of the planes of both
  T* const xt = memory;                // transformed tiles
  T* const gt = xt + p.x_range * p.vector;
  T* const line = gt + p.g_range * p.vector;
  const int64_t step = p.axis[2].step, xs = smaller(p.x_range, p.x.chunks - x_first);

  /// Blocks [begin, end) of tiles, counted through all samples.
  VOLUTE_NO_INLINE void run(int64_t begin, int64_t end) const noexcept {
    const int64_t depth = p.axis[0].tiles(piece.slab.last - piece.slab.first), (&n)[3] = p.block.counts;
    for (int64_t b = begin; b < end; ++b) {
      const int64_t sample = b / (depth * n[1] * n[2]), d = p.axis[0].first(b / (n[1] * n[2]) % depth);
      const int64_t row = b / n[2] % n[1] * p.block.spans[1] * p.axis[1].span(), column = b % n[2] * p.block.spans[2] * p.axis[2].span();
      const int64_t height = p.axis[1].tiles(smaller(p.block.spans[1] * p.axis[1].span(), s.target_size[1] - row));
      const int64_t spans = smaller(p.block.spans[2], ceil_divide(s.target_size[2] - column, p.axis[2].span()));
      for (int64_t r = 0; r < height; ++r)
        transform_row(sample, piece.slab.first + d, row + p.axis[1].first(r), column, spans, r * spans * step);
      multiply(height * spans * step);
    }
  }

  /// The planes of a row of tiles that exist, with the factors of this task's element.
  VOLUTE_INLINE minimal_terms<T> terms(const T* from, int64_t source_plane, int64_t first, int64_t begin, int64_t last,
                                       bool values) const noexcept {
    constexpr minimal_filter D = F.axis[0];
    minimal_terms<T> t;
    for (int k = 0; k < (values ? D.outputs : D.size()); ++k) {
      const int64_t plane = first + k * p.axis[0].step;
      const T factor = values ? depth_values[k] : depth_data[k];
      if (factor == 0 || plane < begin || plane >= last) continue;
      t.plane[t.count] = from + (plane - begin) * source_plane;
      t.factor[t.count++] = factor;
    }
    return t;
  }

  VOLUTE_INLINE void transform_row(int64_t n, int64_t d, int64_t h, int64_t column, int64_t spans, int64_t tile) const noexcept {
    const correlation_axis &cd = s.classes[0][0], &ch = s.classes[1][0], &cw = s.classes[2][0];
    for (int64_t phase = 0; phase < step; ++phase) {
      const int64_t w = column + phase, at = (tile + phase * spans) * L;
      const T* const x_row = x + n * p.x.source_sample + (p.x.source[1].pad + h + ch.offset) * p.x.source_row +
                             (p.x.source[2].pad + w + cw.offset) * p.x.chunk;
      const T* const g_row = g + n * p.g.source_sample + h * p.g.source_row + w * p.g.chunk;
      for (int64_t i = 0; i < xs; ++i)
        transform_terms<L, F.axis[1], F.axis[2], false>(
            terms(x_row + (x_first + i) * p.x.source_chunk, p.x.source_plane, d + cd.offset, piece.slab.begin, piece.slab.end, false),
            spans, p.axis[1].step * p.x.source_row, step * p.x.chunk, line, xt + i * p.vector + at, p.element);
      for (int64_t i = 0; i < p.g_range && g_first + i < p.g.chunks; ++i)
        transform_terms<L, F.axis[1], F.axis[2], true>(
            terms(g_row + (g_first + i) * p.g.source_chunk, p.g.source_plane, d, piece.slab.first, piece.slab.last, true), spans,
            p.axis[1].step * p.g.source_row, step * p.g.chunk, line, gt + i * p.vector + at, p.element);
    }
  }

  VOLUTE_INLINE void multiply(int64_t tiles) const noexcept {
    const int64_t sum_row = p.g_range * L;
    for (int e = 0; e < planes; ++e)
      for (int64_t i = 0; i < xs; ++i)
        for (int64_t c = 0; c < p.x.chunk; c += R)
          for (int64_t o = 0; o < p.g_range && g_first + o < p.g.chunks; o += NV)
            minimal_weights_block<T, L, NV, R>(xt + i * p.vector + e * p.element + c, gt + o * p.vector + e * p.element, p.vector, tiles,
                                               sums + e * p.sum_element + (i * p.x_rows() + c) * sum_row + o * L, sum_row);
  }
};

/// The sums of one channel of x and one vector of g's channels, sums[element of depth], back to the filter, and to dw.
template <class T, int L, minimal_tile F>
VOLUTE_NO_INLINE void complete_minimal_weights(const conv_shape& s, const minimal_weights_plan& p, const T* sums, int64_t depth_step,
                                               int64_t part_step, int64_t targets, T* dw) noexcept {
  using V = simd::vec<T, L>;
  constexpr minimal_filter D = F.axis[0], H = F.axis[1], W = F.axis[2];
  constexpr int taps = D.taps * H.taps * W.taps;
  V planes[D.size()][H.taps * W.taps], w[ceil_divide(taps, L) * L];
  for (int d = 0; d < D.size(); ++d) {
    V columns[H.size()][W.taps];
    for (int h = 0; h < H.size(); ++h) {
      V m[W.size()];
      for (int k = 0; k < W.size(); ++k) {
        const T* const at = sums + d * depth_step + (h * W.size() + k) * p.sum_element;
        V total = simd::load<V>(at);
        for (int64_t i = 1; i < p.parts; ++i) total = total + simd::load<V>(at + i * part_step);
        m[k] = total * V(scales_of<F, T>.of[(d * H.size() + h) * W.size() + k]);
      }
      minimal_results<W, W.taps>(m, columns[h]);
    }
    for (int k = 0; k < W.taps; ++k) {
      V m[H.size()], out[H.taps];
      for (int h = 0; h < H.size(); ++h) m[h] = columns[h][k];
      minimal_results<H, H.taps>(m, out);
      for (int h = 0; h < H.taps; ++h) planes[d][h * W.taps + k] = out[h];
    }
  }
  for (int i = 0; i < H.taps * W.taps; ++i) {
    V m[D.size()], out[D.taps];
    for (int d = 0; d < D.size(); ++d) m[d] = planes[d][i];
    minimal_results<D, D.taps>(m, out);
    for (int d = 0; d < D.taps; ++d) w[d * H.taps * W.taps + i] = out[d];
  }
  for (int i = taps; i < ceil_divide(taps, L) * L; ++i) w[i] = V(T(0));
  for (int first = 0; first < taps; first += L) {
    V r[L];
    for (int i = 0; i < L; ++i) r[i] = w[first + i];
    simd::transpose(r);
    const int n = int(smaller(L, taps - first));
    for (int64_t o = 0; o < targets; ++o) store_first(dw + o * s.weight_target + first, r[o], n);
  }
}

/// Of each element of the depth: the coefficients of the planes in minimal_data() and minimal_values().
template <minimal_filter F, class T>
struct minimal_factors {
  T data[F.size()][F.size()], values[F.size()][F.size()];
  constexpr minimal_factors() : data{}, values{} {
    for (int e = 0; e < F.size(); ++e)
      for (int k = 0; k < F.size(); ++k) {
        data[e][k] = static_cast<T>(minimal_data_factor(F, e, k));
        values[e][k] = static_cast<T>(k < F.outputs ? minimal_values_factor(F, F.outputs, e, k) : 0);
      }
  }
};
template <minimal_filter F, class T>
inline constexpr minimal_factors<F, T> factors_of{};

/// Planes [begin, end) of all chunks and samples of a piece into one of the copies, which begins with plane `base`.
template <class T, ops::volume_layout Layout>
void copy_minimal(const conv_shape& s, const chunked_copy& c, const T* from, const conv_piece& at, int64_t begin, int64_t end, int64_t base,
                  T* to) noexcept {
  for (int64_t n = 0; n < at.samples; ++n, to += c.source_sample)
    copy_source<T, false, Layout>(s, c, from, nullptr, copy_range{at.sample + n, at.group, begin, end, base}.in(c.chunks), to);
}

template <class T, const conv_call& C, const minimal_weights_plan& p>
void run_weights(const weights_run<T, C>& of) noexcept {
  static constexpr minimal_tile F = p.tile_kind;
  static constexpr const conv_shape& s = shape_for<C>;
  constexpr int depth = F.axis[0].size();
  T *const x_copy = of.scratch, *const g_copy = x_copy + p.samples * p.x.source_sample, *const sums = x_copy + p.copies(),
           *const memory = sums + p.tasks() * p.sum();
  const team<T> helpers = p.share == sharing::inside ? of.workers : team<T>{};
  const int64_t pieces = ceil_divide(s.batch, p.samples) * p.slabs.count, lanes = p.g_range * p.lanes;
  for (int64_t group = 0; group < s.groups; ++group) {
    for (int64_t i = 0; i < pieces; ++i) {
      const int64_t sample = i / p.slabs.count * p.samples;
      const conv_piece at{sample, smaller(p.samples, s.batch - sample), group, p.slabs.slab(i % p.slabs.count)};
      const int64_t planes = at.slab.end - at.slab.begin, all = planes + at.slab.last - at.slab.first;
      share_ranges(
          helpers, all, 1, copy_parts(at.samples * (p.x.source_sample + p.g.source_sample)), [&](int64_t begin, int64_t end, int) noexcept {
            const int64_t x_end = smaller(end, planes), g_begin = larger(begin, planes);
            if (begin < x_end)
              copy_minimal<T, C.layouts.source>(s, p.x, of.source, at, at.slab.begin + begin, at.slab.begin + x_end, at.slab.begin, x_copy);
            if (g_begin < end)
              copy_minimal<T, C.layouts.target>(conv_shape_of<C.geometry, conv_side::backward>, p.g, of.target, at,
                                                at.slab.first + g_begin - planes, at.slab.first + end - planes, at.slab.first, g_copy);
          });
      const int64_t blocks = at.samples * p.axis[0].tiles(at.slab.last - at.slab.first) * p.block.counts[1] * p.block.counts[2];
      share(helpers, p.tasks(), [&](int64_t k, int worker) noexcept {
        const int64_t d = k % depth, xr = k / depth % p.x_ranges, gr = k / (depth * p.x_ranges) % p.g_ranges,
                      part = k / (p.tasks() / p.parts);
        T* const sum = sums + k * p.sum();
        if (i == 0) fill_zeros(sum, p.sum());
        minimal_weights_task<T, p.lanes, F, p.vectors, p.rows>{s,
                                                               p,
                                                               at,
                                                               x_copy,
                                                               g_copy,
                                                               xr * p.x_range,
                                                               gr * p.g_range,
                                                               sum,
                                                               of.workers.memory(worker, memory),
                                                               factors_of<F.axis[0], T>.data[d],
                                                               factors_of<F.axis[0], T>.values[d]}
            .run(blocks * part / p.parts, blocks * (part + 1) / p.parts);
      });
    }
    T* const to = of.dw + filter_offset(s, group, 0, 0);
    share_ranges(helpers, p.g.chunks * s.source_channels, 1, copy_parts(s.source_channels * p.g.chunks * p.lanes * s.taps()),
                 [&](int64_t begin, int64_t end, int) noexcept {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t c = i % s.source_channels, o = i / s.source_channels, v = c / p.x.chunk;
                     const int64_t task = (o / p.g_range * p.x_ranges + v / p.x_range) * depth;
                     const T* const from =
                         sums + task * p.sum() + (v % p.x_range * p.x_rows() + c % p.x.chunk) * lanes + o % p.g_range * p.lanes;
                     complete_minimal_weights<T, p.lanes, F>(s, p, from, p.sum(), p.tasks() / p.parts * p.sum(),
                                                             smaller(p.g.chunk, s.target_channels - o * p.g.chunk),
                                                             to + o * p.g.chunk * s.weight_target + c * s.weight_source);
                   }
                 });
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
