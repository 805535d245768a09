// Products of matrices: register blocks over packed panels of B, dot products where both operands run along k, and two forms of
// matrix times vector. Where a is not transposed, a row of c depends on n and k alone in every bit, not on how many rows there are: a batch
// is its samples.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/copy.hpp>
#include <volute/kernels/walk.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Register blocks. 32 registers hold 8 rows x 3 vectors of accumulators, 16 registers 4 x 3: both hide the latency of FMA.
template <class T>
struct matmul_block {
#if defined(__AVX512F__) || defined(__aarch64__)
  static constexpr int rows = 8, dots = 4;
#else
  static constexpr int rows = 4, dots = 2;
#endif
  static constexpr int vectors = 3;
  static constexpr std::int64_t columns = vectors * simd::width<T>;
  static constexpr std::int64_t depth = 48 * 1024 / (columns * static_cast<std::int64_t>(sizeof(T))) < 256
                                            ? 48 * 1024 / (columns * static_cast<std::int64_t>(sizeof(T)))
                                            : 256;  // of a packed panel: at most 48 KiB of stack
};

/// Where the elements of an operand lie.
template <class T>
struct matrix {
  const T* data;
  std::int64_t row, column;  // strides
};

/// c (M rows, N vectors) = or += a (M, k) b (k, N vectors); b is contiguous along its rows and may be read up to whole vectors
/// unless `partial`. The last vector of c has `last` elements.
template <int M, int N, class T>
VOLUTE_INLINE void product_tile(std::int64_t k, matrix<T> a, const T* b, std::int64_t b_row, T* c, std::int64_t c_row, int last,
                                bool partial, bool add) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  V acc[M * N];
  VOLUTE_EACH(i, M * N) acc[i] = V(T(0));
  const T* ap = a.data;
  const auto step = [&](auto load_last) VOLUTE_ALWAYS_INLINE {
    V bv[N];
    VOLUTE_EACH(j, N - 1) bv[j] = simd::load<V>(b + j * width);
    bv[N - 1] = load_last(b + (N - 1) * width);
    VOLUTE_EACH(j, N) simd::keep(bv[j]);
    VOLUTE_EACH(i, M) {
      const V av(ap[i * a.row]);
      VOLUTE_EACH(j, N) acc[i * N + j] = simd::fma(av, bv[j], acc[i * N + j]);
    }
    ap += a.column, b += b_row;
  };
  if (!partial)
    for (std::int64_t p = 0; p < k; ++p) step([](const T* q) VOLUTE_ALWAYS_INLINE { return simd::load<V>(q); });
  else
    for (std::int64_t p = 0; p < k; ++p) step([last](const T* q) VOLUTE_ALWAYS_INLINE { return simd::load_partial<V>(q, last); });
  const auto each = [&](auto f) VOLUTE_ALWAYS_INLINE {
    VOLUTE_EACH(i, M * N) f(acc[i], c + i / N * c_row + i % N * width, i % N < N - 1 || last == width);
  };
  if (add)
    each([last](V& v, const T* from, bool whole)
             VOLUTE_ALWAYS_INLINE { v = v + (whole ? simd::load<V>(from) : simd::load_partial<V>(from, last)); });
  each([last](const V& v, T* to, bool whole) VOLUTE_ALWAYS_INLINE { whole ? simd::store(to, v) : simd::store_partial(to, v, last); });
}
template <int M, int N, class T>
__attribute__((noinline)) void matmul_tile(std::int64_t k, matrix<T> a, const T* b, std::int64_t b_row, T* c, std::int64_t c_row, int last,
                                           bool partial, bool add) noexcept {
  product_tile<M, N>(k, a, b, b_row, c, c_row, last, partial, add);
}

/// All rows of c for one panel of N vectors of columns.
template <int N, class T>
void matmul_panel(std::int64_t m, std::int64_t k, matrix<T> a, const T* b, std::int64_t b_row, T* c, std::int64_t c_row, int last,
                  bool partial, bool add) noexcept {
  constexpr int rows = matmul_block<T>::rows;
  const auto tiles = [&](auto size) VOLUTE_ALWAYS_INLINE {
    for (; m >= size; m -= size, a.data += size * a.row, c += size * c_row)
      matmul_tile<decltype(size)::value, N, T>(k, a, b, b_row, c, c_row, last, partial, add);
  };
  tiles(std::integral_constant<int, rows>{});
  if constexpr (rows > 4) tiles(std::integral_constant<int, 4>{});
  tiles(std::integral_constant<int, 2>{});
  tiles(std::integral_constant<int, 1>{});
}

/// Terms of a sum that one chain of additions takes: those of a packed panel. Sums of such parts are added up; one chain would lose digits
/// (2 million products of numbers in [0, 1): 6e-4 of the value).
template <class T>
constexpr std::int64_t depth_of(std::int64_t k) {
  static_assert(matmul_block<T>::depth % 8 == 0);
  const std::int64_t parts = (k + matmul_block<T>::depth - 1) / matmul_block<T>::depth;
  return ((k + parts - 1) / parts + 7) / 8 * 8;
}

/// A panel (k, columns) of a transposed b, in rows of whole vectors. One vector of columns after the other: the lines of more drive each
/// other out of the first-level cache where columns are a power of two long (768 <- 512: four times slower).
template <class T>
__attribute__((noinline)) void pack_transposed(std::int64_t k, std::int64_t columns, const T* b, std::int64_t b_column, T* panel,
                                               std::int64_t row) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  for (std::int64_t j = 0; j < columns; j += width)
    for (std::int64_t p = 0; p < k; p += width) {
      const int n = static_cast<int>(k - p < width ? k - p : width);
      const T* const from = b + j * b_column + p;
      V r[width];
      if (columns - j >= width && n == width) {
        VOLUTE_EACH(i, width) r[i] = simd::load<V>(from + i * b_column);
      } else {
        for (int i = 0; i < width; ++i) r[i] = i < columns - j ? simd::load_partial<V>(from + i * b_column, n) : V(T(0));
      }
      simd::transpose(r);
      for (int i = 0; i < n; ++i) simd::store(panel + (p + i) * row + j, r[i]);
    }
}

/// c (m, n) = a (m, k) b, where b(p, j) is at b.data[p * b.row + j * b.column] and one of its strides is 1. Packing costs a pass over b.
template <bool TransposeB, class T>
void matmul_blocked(std::int64_t m, std::int64_t n, std::int64_t k, matrix<T> a, matrix<T> b, T* c, std::int64_t c_row,
                    bool pack) noexcept {
  using block = matmul_block<T>;
  constexpr int width = simd::width<T>;
  alignas(64) T panel[block::depth * block::columns];
  const std::int64_t depth = depth_of<T>(k);
  for (std::int64_t j = 0; j < n; j += block::columns) {
    const std::int64_t columns = n - j < block::columns ? n - j : block::columns;
    const int vectors = static_cast<int>((columns + width - 1) / width);
    const int last = static_cast<int>(columns - (vectors - 1) * width);
    for (std::int64_t p = 0; p < k; p += depth) {
      const std::int64_t d = k - p < depth ? k - p : depth;
      const T* from = b.data + p * b.row + j * b.column;
      std::int64_t from_row = b.row;
      if (pack) {
        const std::int64_t row = vectors * width;
        if constexpr (TransposeB) {
          pack_transposed(d, columns, from, b.column, panel, row);
        } else {
          using V = simd::vec<T>;
          for (std::int64_t q = 0; q < d; ++q) {
            for (int v = 0; v < vectors - 1; ++v) simd::store(panel + q * row + v * width, simd::load<V>(from + q * b.row + v * width));
            simd::store(panel + q * row + row - width, simd::load_partial<V>(from + q * b.row + row - width, last));
          }
        }
        from = panel;
        from_row = row;
      }
      const matrix<T> part{a.data + p * a.column, a.row, a.column};
      const bool partial = !pack && last < width;
      if (vectors == 3)
        matmul_panel<3>(m, d, part, from, from_row, c + j, c_row, last, partial, p > 0);
      else if (vectors == 2)
        matmul_panel<2>(m, d, part, from, from_row, c + j, c_row, last, partial, p > 0);
      else
        matmul_panel<1>(m, d, part, from, from_row, c + j, c_row, last, partial, p > 0);
    }
  }
}

/// M x N dot products of length k between M rows of a and N rows of b, one accumulator for each: the order of a sum is that of k.
template <int M, int N, class T>
__attribute__((noinline)) void dot_tile(std::int64_t k, const T* a, std::int64_t a_row, const T* b, std::int64_t b_row, T* c,
                                        std::int64_t c_row, std::int64_t c_column) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  constexpr std::int64_t most = 2048 * width;  // in one chain: see depth_of
  V acc[M * N];
  const auto step = [&](auto load) VOLUTE_ALWAYS_INLINE {
    V bv[N];
    VOLUTE_EACH(j, N) bv[j] = load(b + j * b_row);
    VOLUTE_EACH(j, N) simd::keep(bv[j]);
    VOLUTE_EACH(i, M) {
      const V av = load(a + i * a_row);
      VOLUTE_EACH(j, N) acc[i * N + j] = simd::fma(av, bv[j], acc[i * N + j]);
    }
  };
  for (bool first = true; first || k > 0; first = false) {
    VOLUTE_EACH(i, M * N) acc[i] = V(T(0));
    const std::int64_t end = k > most ? k - most : 0;
    for (; k - end >= width; k -= width, a += width, b += width) step([](const T* p) VOLUTE_ALWAYS_INLINE { return simd::load<V>(p); });
    if (const int left = static_cast<int>(k - end); left > 0) {
      step([left](const T* p) VOLUTE_ALWAYS_INLINE { return simd::load_partial<V>(p, left); });
      k = 0;
    }
    VOLUTE_EACH(i, M * N) {
      T& to = c[i / N * c_row + i % N * c_column];
      to = first ? simd::reduce_add(acc[i]) : to + simd::reduce_add(acc[i]);
    }
  }
}

/// c(i, j) = dot(row i of a, row j of b): both operands run along k.
template <class T>
void matmul_dots(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, const T* b, T* c, std::int64_t c_row) noexcept {
  constexpr int wide = matmul_block<T>::dots;
  std::int64_t i = 0;
  for (; i + 4 <= m; i += 4) {
    std::int64_t j = 0;
    for (; j + wide <= n; j += wide) dot_tile<4, wide>(k, a + i * k, k, b + j * k, k, c + i * c_row + j, c_row, 1);
    for (; j + 2 <= n; j += 2) dot_tile<4, 2>(k, a + i * k, k, b + j * k, k, c + i * c_row + j, c_row, 1);
    if (j < n) dot_tile<4, 1>(k, a + i * k, k, b + j * k, k, c + i * c_row + j, c_row, 1);
  }
  for (; i < m; ++i) {  // the roles of a and b swapped
    std::int64_t j = 0;
    for (; j + 8 <= n; j += 8) dot_tile<8, 1>(k, b + j * k, k, a + i * k, k, c + i * c_row + j, 1, c_row);
    for (; j < n; ++j) dot_tile<1, 1>(k, a + i * k, k, b + j * k, k, c + i * c_row + j, c_row, 1);
  }
}

/// c (n) = x (k) times n columns of a (k, row) matrix, in one chain: eight rows at a time, so that the matrix is read as eight streams and
/// c seldom.
template <class T>
void vector_matrix_part(std::int64_t n, std::int64_t k, const T* x, const T* matrix, std::int64_t row, T* c) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>, rows = 8;
  if (k < rows) fill(c, n, T(0));
  std::int64_t p = 0;
  for (; p + rows <= k; p += rows) {
    V xv[rows];
    VOLUTE_EACH(r, rows) xv[r] = V(x[p + r]);
    const T* from = matrix + p * row;
    const auto at = [&](V before, std::int64_t j, auto load) VOLUTE_ALWAYS_INLINE {
      V s = before;  // as matmul_tile's: the processor overlaps those of neighbouring columns
      VOLUTE_EACH(r, rows) s = simd::fma(xv[r], load(from + r * row + j), s);
      return s;
    };
    std::int64_t j = 0;
    for (; j + width <= n; j += width) {
      const V before = p == 0 ? V(T(0)) : simd::load<V>(c + j);
      simd::store(c + j, at(before, j, [](const T* q) VOLUTE_ALWAYS_INLINE { return simd::load<V>(q); }));
    }
    const int left = static_cast<int>(n - j);
    if (left > 0) {
      const V before = p == 0 ? V(T(0)) : simd::load_partial<V>(c + j, left);
      simd::store_partial(c + j, at(before, j, [left](const T* q) VOLUTE_ALWAYS_INLINE { return simd::load_partial<V>(q, left); }), left);
    }
  }
  for (; p < k; ++p) {
    const V xv(x[p]);
    std::int64_t j = 0;
    for (; j + width <= n; j += width) simd::store(c + j, simd::fma(xv, simd::load<V>(matrix + p * row + j), simd::load<V>(c + j)));
    const int left = static_cast<int>(n - j);
    if (left > 0)
      simd::store_partial(c + j, simd::fma(xv, simd::load_partial<V>(matrix + p * row + j, left), simd::load_partial<V>(c + j, left)),
                          left);
  }
}

/// That of any length, in the parts of matmul_blocked.
template <class T>
void vector_matrix(std::int64_t n, std::int64_t k, const T* x, const T* matrix, std::int64_t row, T* c) noexcept {
  using V = simd::vec<T>;
  constexpr std::int64_t columns = 16 * 1024 / sizeof(T), width = simd::width<T>;
  alignas(64) T sums[columns];
  const std::int64_t depth = depth_of<T>(k);
  for (std::int64_t j = 0; j < n; j += columns) {
    const std::int64_t there = n - j < columns ? n - j : columns;
    vector_matrix_part(there, k < depth ? k : depth, x, matrix + j, row, c + j);
    for (std::int64_t p = depth; p < k; p += depth) {
      vector_matrix_part(there, k - p < depth ? k - p : depth, x + p, matrix + p * row + j, row, sums);
      std::int64_t i = 0;
      for (; i + width <= there; i += width) simd::store(c + j + i, simd::load<V>(c + j + i) + simd::load<V>(sums + i));
      for (; i < there; ++i) c[j + i] += sums[i];
    }
  }
}

/// c (batch, m, n), dense = op(a) op(b). a is (m, k), or (k, m) when transposed; b is (k, n), or (n, k) when transposed; both dense, and
/// a batch stride of 0 gives every product the same operand. c overlaps neither. Threads share products, then columns, then rows, cut where
/// the tiles of one thread end, so that every sum has its one order.
template <class T, bool TransposeA, bool TransposeB>
void matmul(std::int64_t batch, std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t a_batch_stride, const T* b,
            std::int64_t b_batch_stride, T* c, const team<T>& workers = {}) noexcept {
  constexpr std::int64_t width = simd::width<T>, panel = matmul_block<T>::columns;
  const bool a_runs_along_k = !TransposeA || m == 1, b_runs_along_k = TransposeB || n == 1;
  const bool dots = a_runs_along_k && b_runs_along_k && (n == 1 || (2 * n <= width && k >= 4 * width));
  if (k <= 0) return fill(c, batch * m * n, T(0));
  const bool pack = TransposeB || m > 2 * matmul_block<T>::rows;  // several tiles read a panel, or it must be turned
  // 50 multiply-adds a nanosecond, or 12 where each element of a matrix is used once.
  const double work = static_cast<double>(batch * m * n * k) / (m == 1 || n == 1 ? 12 : 50);
  const std::int64_t parts = workers.alone() ? 1 : parts_of(work);
  // A part of the rows packs its panels again, so it has 64 of them at least.
  const std::int64_t row_unit = dots ? 4 : n == 1 ? 4 * width : 64, column_unit = dots ? 16 : m == 1 ? 4 * width : panel;
  const auto units = [](std::int64_t count, std::int64_t unit) { return (count + unit - 1) / unit; };
  const auto least = [](std::int64_t p, std::int64_t q) { return p < q ? p : q; };
  const std::int64_t column_units = units(n, column_unit), column_parts = least(units(parts, batch), column_units);
  const std::int64_t row_units = units(m, row_unit), row_parts = least(units(units(parts, batch), column_parts), row_units);
  share(parts == 1 ? team<T>{} : workers, batch * column_parts * row_parts, [&](std::int64_t t, int) noexcept {
    const std::int64_t product = t / (column_parts * row_parts), p = t / row_parts % column_parts, q = t % row_parts;
    const std::int64_t j = column_units * p / column_parts * column_unit, i = row_units * q / row_parts * row_unit;
    const std::int64_t columns = least(n, column_units * (p + 1) / column_parts * column_unit) - j;
    const std::int64_t rows = least(m, row_units * (q + 1) / row_parts * row_unit) - i;
    const T* from_a = a + product * a_batch_stride + i * (TransposeA ? 1 : k);
    const T* from_b = b + product * b_batch_stride + j * (TransposeB ? k : 1);
    T* const to = c + product * m * n + i * n + j;
    if (dots)
      matmul_dots(rows, columns, k, from_a, from_b, to, n);
    else if (m == 1 && !TransposeB)
      vector_matrix(columns, k, from_a, from_b, n, to);
    else if (n == 1)
      vector_matrix(rows, k, from_b, from_a, m, to);
    else
      matmul_blocked<TransposeB, T>(rows, columns, k, matrix<T>{from_a, TransposeA ? 1 : k, TransposeA ? m : 1},
                                    matrix<T>{from_b, TransposeB ? 1 : n, TransposeB ? k : 1}, to, n, pack);
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
