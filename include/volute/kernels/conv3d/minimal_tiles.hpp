// The transforms of tiles in minimal filtering, channels in the lanes. Two axes at a time stay in registers: a column of a row of tiles
// goes through depth and height, and is shared by the tiles beside each other; the width follows.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/minimal_plan.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// A row of source tiles: its planes (where the volume has none, `row` and `column` of it are 0 and it points at zeros).
template <class T, int Planes>
struct minimal_source {
  const T* plane[Planes];
  int64_t row[Planes], column[Planes];  // steps
};

/// Depth and height of one column: to[element of depth][element of height].
template <int L, minimal_filter D, minimal_filter H, class T>
VOLUTE_INLINE void minimal_column(const minimal_source<T, D.size()>& from, int64_t column, T* to) noexcept {
  using V = simd::vec<T, L>;
  constexpr int depth = D.size(), height = H.size();
  const T* plane[depth];
  VOLUTE_EACH(d, depth) plane[d] = from.plane[d] + column * from.column[d];
  V x[depth][height];
  VOLUTE_EACH(h, height) {
    V in[depth], out[depth];
    VOLUTE_EACH(d, depth) in[d] = simd::load<V>(plane[d] + h * from.row[d]);
    minimal_data<D>(in, out);
    VOLUTE_EACH(d, depth) x[d][h] = out[d];
  }
  VOLUTE_EACH(d, depth) {
    V out[height];
    minimal_data<H>(x[d], out);
    VOLUTE_EACH(h, height) simd::store(to + (d * height + h) * L, out[h]);
  }
}

/// The last `shared` columns of a line, `size` elements each, become the first ones of the next.
template <int L, class T>
VOLUTE_INLINE void next_columns(T* line, int64_t columns, int64_t shared, int64_t size) noexcept {
  using V = simd::vec<T, L>;
  for (int64_t i = 0; i < shared * size; i += L) simd::store(line + i, simd::load<V>(line + columns * size + i));
}

/// The width of one tile, the last axis: line[column][row] of so many rows to to[row][element], `step` apart. Values: of g's tiles.
template <int L, minimal_filter W, bool Values, class T>
VOLUTE_INLINE void minimal_rows(const T* line, int rows, T* to, int64_t step) noexcept {
  using V = simd::vec<T, L>;
  constexpr int columns = Values ? W.outputs : W.size(), elements = W.size();
  VOLUTE_NO_UNROLL
  for (int i = 0; i < rows; ++i, line += L, to += elements * step) {
    V x[columns], y[elements];
    VOLUTE_EACH(k, columns) x[k] = simd::load<V>(line + k * (rows * L));
    if constexpr (Values)
      minimal_values<W, columns>(x, y);
    else
      minimal_data<W>(x, y);
    VOLUTE_EACH(k, elements) simd::store(to + k * step, y[k]);
  }
}

/// `tiles` tiles of a row, one vector of channels, to to[element][tile]; elements lie `step` apart. line: memory for some of its columns.
template <int L, minimal_tile F, class T>
VOLUTE_NO_INLINE void transform_data(const minimal_source<T, F.axis[0].size()>& from, int64_t tiles, T* line, T* to,
                                     int64_t step) noexcept {
  constexpr minimal_filter W = F.axis[2];
  constexpr int planes = F.axis[0].size() * F.axis[1].size(), shared = W.taps - 1;
  for (int64_t first = 0; first < tiles; first += minimal_line) {
    const int64_t n = smaller(minimal_line, tiles - first);
    for (int64_t q = first == 0 ? 0 : shared; q < n * W.outputs + shared; ++q)
      minimal_column<L, F.axis[0], F.axis[1]>(from, first * W.outputs + q, line + q * (planes * L));
    for (int64_t t = 0; t < n; ++t) minimal_rows<L, W, false>(line + t * (W.outputs * planes * L), planes, to + (first + t) * L, step);
    next_columns<L>(line, n * W.outputs, shared, planes * L);
  }
}

/// One tile's products, one vector of channels, from[element] `step` apart, to its results: to[depth][height][width] with the steps plane,
/// row and pixel. line: memory for the results of depth and height.
template <int L, minimal_tile F, class T>
VOLUTE_NO_INLINE void transform_products(const T* from, int64_t step, T* line, T* to, int64_t plane, int64_t row, int64_t pixel) noexcept {
  using V = simd::vec<T, L>;
  constexpr minimal_filter D = F.axis[0], H = F.axis[1], W = F.axis[2];
  constexpr int depth = D.size(), height = H.size(), width = W.size();
  constexpr int planes = D.outputs, rows = H.outputs, pixels = W.outputs, results = planes * rows;
  VOLUTE_NO_UNROLL
  for (int w = 0; w < width; ++w) {
    const T* in = from + w * step;
    V y[rows][depth];
    VOLUTE_EACH(d, depth) {
      V x[height], out[rows];
      VOLUTE_UNROLL
      for (int h = 0; h < height; ++h, in += width * step) x[h] = simd::load<V>(in);
      minimal_results<H, rows>(x, out);
      VOLUTE_EACH(h, rows) y[h][d] = out[h];
    }
    VOLUTE_EACH(h, rows) {
      V out[planes];
      minimal_results<D, planes>(y[h], out);
      VOLUTE_EACH(d, planes) simd::store(line + ((d * rows + h) * width + w) * L, out[d]);
    }
  }
  VOLUTE_NO_UNROLL
  for (int i = 0; i < results; ++i) {
    V x[width], y[pixels];
    VOLUTE_EACH(k, width) x[k] = simd::load<V>(line + (i * width + k) * L);
    minimal_results<W, pixels>(x, y);
    T* const out = to + i / rows * plane + i % rows * row;
    VOLUTE_EACH(k, pixels) simd::store(out + k * pixel, y[k]);
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
