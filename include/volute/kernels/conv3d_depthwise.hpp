// Depthwise convolution where the tensors are: no copy of the source, no tile. These convolutions do 27 products for each element that they
// read, so a copy and a tile take as long as the products. Whole rows are accumulators, of several planes of the destination at once as in
// conv3d_planes.hpp; lanes that would read beyond a row's ends are masked, rows of the padding are read from a row of zeros; a stride of
// the width is taken out by shuffles (forward) or put in when the two residue classes are stored (data).
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d_plan.hpp>
#include <volute/kernels/conv3d_store.hpp>
#include <volute/kernels/conv3d_planes.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What the code of one register block depends on.
struct depthwise_code {
  int depth = 1, rows = 1, vectors = 1;  // planes in flight, rows of each residue class, vectors of a row
  int classes[2]{1, 1};                  // residue classes of height and width
  correlation_axis height[2]{}, width[2]{};
  int64_t source_width = 1, target_width = 1;
  constexpr int64_t lowest() const { return smaller(height[0].offset, height[classes[0] - 1].offset); }
  constexpr int64_t taps() const {
    int64_t h = 0, w = 0;
    for (int k = 0; k < classes[0]; ++k) h += height[k].taps;
    for (int k = 0; k < classes[1]; ++k) w += width[k].taps;
    return depth * h * w;
  }
  constexpr int64_t span() const {  // source rows of one block
    int64_t end = 0;
    for (int k = 0; k < classes[0]; ++k) end = larger(end, height[k].offset + (height[k].taps - 1) * height[k].offset_step + 1);
    return (rows - 1) * height[0].step + end - lowest();
  }
};

struct depthwise_plan {
  depthwise_code code;
  int64_t strips = 1, parts = 1;  // blocks of rows of one channel, and tasks that they are shared out to
  sharing share = sharing::none;
  constexpr int64_t scratch() const { return 0; }
  constexpr int64_t worker_scratch() const { return 0; }
};

template <class T>
constexpr depthwise_plan plan_depthwise(const ops::conv_geometry& g, conv_side side) {
  depthwise_plan p;
  depthwise_code& c = p.code;
  const conv_shape s = shape_of(g, side);
  for (int k = 0; k < 2; ++k) c.classes[k] = static_cast<int>(class_count(g, side, k + 1));
  for (int r = 0; r < 2; ++r) {
    c.height[r] = correlation(g, side, 1, r < c.classes[0] ? r : 0);
    c.width[r] = correlation(g, side, 2, r < c.classes[1] ? r : 0);
    c.height[r].n = c.height[r].dst = c.height[r].k = c.height[r].k_step = 0;  // not what the code depends on
  }
  c.depth = static_cast<int>(g.kernel[0]);
  c.source_width = s.source_size[2];
  c.target_width = s.target_size[2];
  c.vectors = static_cast<int>(ceil_divide(c.width[0].n, simd::width<T>));
  const int64_t sums = int64_t{c.depth} * c.classes[0] * c.classes[1] * c.vectors, rows = correlation(g, side, 1, 0).n;
  c.rows = static_cast<int>(larger(1, smaller(rows, (c.width[0].step == 2 ? 12 : 24) / sums)));
  p.strips = ceil_divide(rows, c.rows);
  const double work = conv_work(g);
  if (work >= worth_sharing) {
    p.parts = smaller(p.strips, ceil_divide(smaller(16, static_cast<int64_t>(work / 10e3)), s.batch * s.groups));
    if (s.batch * s.groups * p.parts > 1) p.share = sharing::pairs;
  }
  return p;
}

/// True where that is possible, and rows fill their vectors.
template <class T>
constexpr bool prefers_depthwise(const ops::conv_geometry& g, conv_side side) {
  if (!simd::masks<T> || g.group_in() != 1 || g.group_out() != 1 || !planes_possible(g, side)) return false;
  if (class_count(g, side, 1) > 2 || class_count(g, side, 2) > 2 || class_count(g, side, 1) * class_count(g, side, 2) == 2) return false;
  const correlation_axis w = correlation(g, side, 2, 0);
  const int64_t vectors = ceil_divide(w.n, simd::width<T>), classes = class_count(g, side, 1) * class_count(g, side, 2);
  return g.kernel[0] * classes * vectors <= 24 && (w.step == 1 || g.kernel[0] * w.taps <= 9) && w.n * 5 >= vectors * simd::width<T> * 4;
}

template <class T>
struct depthwise_job {
  const T* x = nullptr;
  const T* w = nullptr;
  const int64_t* row = nullptr;  // offsets of the source rows in a plane; -1: a row of zeros
  int64_t planes = 0, first = 0, last = 0;  // virtual source planes, and those of them that exist
  int64_t x_plane = 0, y_plane = 0;
  int64_t rows = 0;  // of the destination that exist
  // Asked for meanwhile: what the next block reads, and what it writes.
  const T* next_x = nullptr;
  const T* next_y = nullptr;
  int64_t x_lines = 0, y_lines = 0;
};

template <class T, int64_t N>
struct zero_row {
  alignas(64) T list[N];
};
template <class T, int64_t N>
inline constexpr zero_row<T, N> zero_row_of{};

/// Lanes [0, n) of a vector whose columns begin at `column`, as far as they exist.
constexpr uint32_t lanes_inside(int64_t column, int64_t width, int64_t n) {
  const int64_t first = larger(0, -column), last = smaller(n, width - column);
  uint32_t mask = 0;
  for (int64_t k = first; k < last; ++k) mask |= 1u << k;
  return mask;
}

template <class V, int64_t Column, int64_t Width, int64_t N, class T>
VOLUTE_INLINE V load_inside(const T* row) {
  constexpr uint32_t mask = lanes_inside(Column, Width, smaller(N, simd::lanes<V>));
  if constexpr (mask == 0) return V(T(0));
  else if constexpr (mask == (1u << simd::lanes<V>) - 1) return simd::load<V>(row + Column);
  else return simd::load_masked<V>(row + Column, mask);
}

/// Vector v of the columns that tap t of class c of the width reads.
template <class V, depthwise_code C, int c, int t, int v, class T>
VOLUTE_INLINE V depthwise_read(const T* row) {
  constexpr int64_t L = simd::lanes<V>, step = C.width[c].step, offset = C.width[c].offset + t * C.width[c].offset_step;
  constexpr int64_t column = v * L * step + offset, left = C.width[c].n - v * L;
  if constexpr (step == 1) {
    return load_inside<V, column, C.source_width, left>(row);
  } else {  // odd and even columns from the same loads
    constexpr int odd = static_cast<int>(offset & 1);
    return simd::unzip<odd>(load_inside<V, column - odd, C.source_width, 2 * L>(row), load_inside<V, column - odd + L, C.source_width, 2 * L>(row));
  }
}

template <int... I, class F>
VOLUTE_INLINE void unrolled(std::integer_sequence<int, I...>, F f) {
  (f(std::integral_constant<int, I>{}), ...);
}
template <int N, class F>
VOLUTE_INLINE void unrolled(F f) {
  unrolled(std::make_integer_sequence<int, N>{}, f);
}

template <class T, depthwise_code C>
using depthwise_sums = simd::vec<T>[C.depth][C.classes[0]][C.classes[1]][C.rows][C.vectors];

/// acc += the products of one tap of the height of the classes (a, b), of all taps of the width; from: its source row for the first row.
template <class T, depthwise_code C, int a, int b, int... I>
VOLUTE_INLINE void depthwise_row(std::integer_sequence<int, I...>, const T* const* from, const T* w, depthwise_sums<T, C>& acc) noexcept {
  using V = simd::vec<T>;
  constexpr int KD = C.depth, TW = static_cast<int>(C.width[b].taps);
  const auto add = [&](auto t, auto i, const V* wv) __attribute__((always_inline)) {
    constexpr int r = i / C.vectors, v = i % C.vectors;
    V xv = depthwise_read<V, C, b, t, v>(from[r * C.height[0].step]);
    simd::keep(xv);
    VOLUTE_UNROLL
    for (int d = 0; d < C.depth; ++d) acc[d][a][b][r][v] = simd::fma(wv[d], xv, acc[d][a][b][r][v]);
  };
  V wv[TW * KD];
  if constexpr (C.width[b].step == 1) {  // a vector for each tap
    unrolled<TW>([&](auto t) __attribute__((always_inline)) {
      VOLUTE_UNROLL
      for (int d = 0; d < C.depth; ++d) wv[t * C.depth + d] = V(w[t * C.depth + d]), simd::keep(wv[t * C.depth + d]);
      (add(t, std::integral_constant<int, I>{}, wv + t * C.depth), ...);
    });
  } else {  // all taps for each vector, which they share
    VOLUTE_UNROLL
    for (int d = 0; d < TW * KD; ++d) wv[d] = V(w[d]), simd::keep(wv[d]);
    const auto all = [&](auto i) __attribute__((always_inline)) {
      unrolled<static_cast<int>(C.width[b].taps)>([&](auto t) __attribute__((always_inline)) { add(t, i, wv + t * C.depth); });
    };
    (all(std::integral_constant<int, I>{}), ...);
  }
}

/// Vector v of row r of class a of the height, finished, to its place.
template <class T, depthwise_code C, ops::epilogue E, int a, int r, int v>
VOLUTE_INLINE void depthwise_store(depthwise_sums<T, C>& acc, int64_t rows, T* y, const T* const* extra, conv_place at) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>, B = C.classes[1];
  constexpr int64_t column = v * L * B, left = C.target_width - column;
  if (r * C.classes[0] + a >= rows) return;
  at.offset += (r * C.classes[0] + a) * C.target_width + column;
  const V(&sum)[B][C.rows][C.vectors] = acc[C.depth - 1][a];
  if constexpr (B == 1) {
    finish<E>(sum[0][r][v], y, extra, at, static_cast<int>(smaller(L, left)));
  } else {
    finish<E>(simd::zip_low(sum[0][r][v], sum[1][r][v]), y, extra, at, static_cast<int>(smaller(L, left)));
    at.offset += L;
    if constexpr (left > L)
      finish<E>(simd::zip_high(sum[0][r][v], sum[1][r][v]), y, extra, at, static_cast<int>(smaller(L, left - L)));
  }
}
template <class T, depthwise_code C, ops::epilogue E, int... I>
VOLUTE_INLINE void depthwise_store(std::integer_sequence<int, I...>, depthwise_sums<T, C>& acc, int64_t rows, T* y, const T* const* extra,
                                   const conv_place& at) noexcept {
  constexpr int A = C.classes[0], NV = C.vectors;
  (depthwise_store<T, C, E, I / NV % A, I / NV / A, I % NV>(acc, rows, y, extra, at), ...);
}

/// One block of rows through the planes.
template <class T, depthwise_code C, ops::epilogue E>
__attribute__((noinline)) void depthwise_block(const depthwise_job<T>& j, T* y, const T* const* extra, conv_place at) noexcept {
  using V = simd::vec<T>;
  constexpr int KD = C.depth, A = C.classes[0], B = C.classes[1];
  constexpr int64_t line = 64 / sizeof(T), span = C.span();
  depthwise_sums<T, C> acc;
  const auto clear = [&](int t) __attribute__((always_inline)) {
    VOLUTE_UNROLL
    for (int i = 0; i < A * B * C.rows * C.vectors; ++i) (&acc[t][0][0][0][0])[i] = V(T(0));
  };
  VOLUTE_UNROLL
  for (int t = 1; t < KD; ++t) clear(t);
  for (int64_t q = 0; q < j.planes; ++q) {
    clear(0);
    if (q >= j.first && q < j.last) {
      const T* const x = j.x + q * j.x_plane;
      const T* row[span];
      VOLUTE_UNROLL
      for (int64_t i = 0; i < span; ++i) row[i] = j.row[i] < 0 ? zero_row_of<T, C.source_width>.list : x + j.row[i];
      for (int64_t i = 0; i < j.x_lines; ++i) simd::prefetch(j.next_x + q * j.x_plane + i * line);
      const T* w = j.w;
      unrolled<A>([&](auto a) __attribute__((always_inline)) {
        unrolled<C.classes[1]>([&](auto b) __attribute__((always_inline)) {
          VOLUTE_NO_UNROLL
          for (int64_t h = 0; h < C.height[a].taps; ++h, w += C.width[b].taps * C.depth)
            depthwise_row<T, C, a, b>(std::make_integer_sequence<int, C.rows * C.vectors>{},
                                      row + (C.height[a].offset + h * C.height[a].offset_step - C.lowest()), w, acc);
        });
      });
    }
    if (q >= KD - 1) {
      for (int64_t i = 0; i < j.y_lines; ++i) simd::prefetch_write(j.next_y + (q - KD + 1) * j.y_plane + i * line);
      conv_place here = at;
      here.offset += (q - KD + 1) * j.y_plane;
      depthwise_store<T, C, E>(std::make_integer_sequence<int, C.rows * A * C.vectors>{}, acc, j.rows, y, extra, here);
    }
    VOLUTE_UNROLL
    for (int t = KD - 1; t > 0; --t) VOLUTE_UNROLL
    for (int i = 0; i < A * B * C.rows * C.vectors; ++i) (&acc[t][0][0][0][0])[i] = (&acc[t - 1][0][0][0][0])[i];
  }
}

/// Blocks [first, last) of the rows of one channel of one sample.
template <class T, depthwise_code C, ops::epilogue E, bool Scale>
__attribute__((noinline)) void depthwise_task(const conv_shape& s, const depthwise_plan& p, const T* x, const T* packed, const T* scale,
                                              int64_t pair, int64_t first, int64_t last, T* y, const T* const* extra) noexcept {
  constexpr int64_t line = 64 / sizeof(T), span = C.span(), step = C.height[0].step, A = C.classes[0];
  const correlation_axis& cd = s.classes[0][0];
  const int64_t plane = s.source_size[1] * C.source_width, y_plane = s.target_size[1] * C.target_width, group = pair % s.groups;
  depthwise_job<T> j;
  int64_t row[span];
  [[maybe_unused]] T weights[C.taps()];
  j.row = row;
  j.planes = cd.n + C.depth - 1;
  j.first = larger(0, -cd.offset);
  j.last = larger(j.first, smaller(j.planes, s.source_size[0] - cd.offset));
  j.x_plane = plane;
  j.y_plane = y_plane;
  j.x_lines = ceil_divide(C.rows * step * C.source_width, line);
  j.y_lines = ceil_divide(C.rows * A * C.target_width, line);
  j.w = packed + group * C.taps();
  if constexpr (Scale) {
    for (int64_t k = 0; k < C.taps(); ++k) weights[k] = j.w[k] * scale[pair];
    j.w = weights;
  }
  const T* const from = x + pair * s.source_volume() + cd.offset * plane;
  conv_place at{pair / s.groups, group, s.groups, 0};
  for (int64_t strip = first; strip < last; ++strip) {
    const int64_t h0 = strip * C.rows;
    for (int64_t i = 0; i < span; ++i) {
      const int64_t h = h0 * step + C.lowest() + i;
      row[i] = h >= 0 && h < s.source_size[1] ? h * C.source_width : -1;
    }
    j.x = from;
    at.offset = pair * s.target_volume() + h0 * A * C.target_width;
    j.rows = s.target_size[1] - h0 * A;
    // The rows below this block, or the beginning of the next channel.
    const bool more = strip + 1 < p.strips;
    const bool any = more || pair + 1 < s.batch * s.groups;
    if (!any) j.x_lines = j.y_lines = 0;
    j.next_x = from + (more ? ((h0 + C.rows) * step + C.lowest() + span - C.rows * step) * C.source_width : s.source_volume());
    j.next_y = y + at.offset + (more ? C.rows * A * C.target_width : s.target_volume() - h0 * A * C.target_width);
    depthwise_block<T, C, E>(j, y, extra, at);
  }
}

template <class T, ops::conv_geometry G, conv_side Side, ops::epilogue E, bool Scale>
void run_depthwise(const T* x, const T* packed, T* y, const T* const* extra, const T* scale, const team<T>& workers) noexcept {
  constexpr const conv_shape& s = conv_shape_of<G, Side>;
  static constexpr depthwise_plan p = plan_depthwise<T>(G, Side);
  share_if<p.share != sharing::none>(workers, s.batch * s.groups * p.parts, [&](int64_t i, int) __attribute__((always_inline)) {
    const int64_t part = i % p.parts;
    depthwise_task<T, p.code, E, Scale>(s, p, x, packed, scale, i / p.parts, p.strips * part / p.parts, p.strips * (part + 1) / p.parts, y,
                                        extra);
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
