// Convolution where the tensors are, for few channels: no copy of the source, no tile. A depthwise convolution does 27 products for each
// element that it reads, so a copy and a tile take as long as the products. Whole rows are accumulators, of several planes of the
// destination at once as in conv3d/planes.hpp; lanes that would read beyond a row's ends are masked, rows of the padding are read from a
// row of zeros; a stride of the width is taken out by shuffles (forward) or put in when the two residue classes are stored (data).
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/planes.hpp>
#include <volute/kernels/conv3d/store.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What the code of one register block depends on.
struct in_place_code {
  int depth = 1, rows = 1, vectors = 1;  // planes in flight, rows of each residue class, vectors of a row
  int classes[2]{1, 1};                  // residue classes of height and width
  correlation_axis height[2]{}, width[2]{};
  int64_t dst = 0, dst_step = 1;  // of the destination's rows
  int64_t before = 0;             // taps of the classes that another pass computes before
  int64_t source_width = 1, target_width = 1;
  bool stream = false;  // the result outgrows the caches
  constexpr int64_t lowest() const { return smaller(height[0].offset, height[classes[0] - 1].offset); }
  constexpr int64_t taps_of(int a, int b) const { return depth * height[a].taps * width[b].taps; }
  constexpr int64_t taps_before(int a, int b) const {
    int64_t n = before;
    for (int k = 0; k < a * classes[1] + b; ++k) n += taps_of(k / classes[1], k % classes[1]);
    return n;
  }
  constexpr int64_t span() const {  // source rows of one block
    int64_t end = 0;
    for (int k = 0; k < classes[0]; ++k) end = larger(end, height[k].offset + (height[k].taps - 1) * height[k].offset_step + 1);
    return (rows - 1) * height[0].step + end - lowest();
  }
};

struct in_place_plan {
  in_place_code code[2];              // of each pass
  int passes = 1;                     // residue classes of the height that are computed one after the other
  int64_t strips = 1;                 // blocks of rows of one channel
  int64_t slab = 1, slabs = 1;        // strips that all channels of the destination pass through together
  int64_t targets = 1, blocks = 1;    // channels of the destination of one task
  int64_t planes = 1;                 // virtual source planes of one chunk
  int64_t weights = 0;                // packed elements of one destination channel
  int64_t carry = 0, carry_size = 0;  // sums that wait for the next chunk: of one strip, in all
  sharing share = sharing::none;
  constexpr int64_t scaled() const { return ceil_divide(weights, 16) * 16; }  // filters of one channel, by the factors of the source
  constexpr int64_t scratch() const { return scaled() + carry_size; }
  constexpr int64_t worker_scratch() const { return share == sharing::none ? 0 : ceil_divide(scratch(), 16) * 16; }
};

/// Up to 24 sums of whole rows; the classes of the height are taken apart if there are more. A stride of the width leaves registers for 12.
template <class T>
constexpr in_place_plan plan_in_place(const ops::conv_geometry& g, conv_side side) {
  in_place_plan p;
  const conv_shape s = shape_of(g, side);
  constexpr int64_t size = sizeof(T), width = simd::width<T>;
  const int64_t rows = correlation(g, side, 1, 0).n, vectors = ceil_divide(correlation(g, side, 2, 0).n, width);
  const int64_t sums = g.kernel[0] * s.class_counts[2] * vectors;
  p.passes = sums * s.class_counts[1] <= 24 ? 1 : static_cast<int>(s.class_counts[1]);
  int64_t before = 0;
  for (int pass = 0; pass < p.passes; ++pass) {
    in_place_code& c = p.code[pass];
    c.classes[0] = p.passes == 1 ? static_cast<int>(s.class_counts[1]) : 1;
    c.classes[1] = static_cast<int>(s.class_counts[2]);
    c.depth = static_cast<int>(g.kernel[0]);
    c.vectors = static_cast<int>(vectors);
    for (int r = 0; r < 2; ++r) {
      c.height[r] = correlation(g, side, 1, r < c.classes[0] ? r + pass : pass);
      c.width[r] = correlation(g, side, 2, r < c.classes[1] ? r : 0);
      c.height[r].n = c.height[r].dst = c.height[r].k = c.height[r].k_step = 0;  // not what the code depends on
    }
    c.dst = pass;
    c.dst_step = s.class_counts[1];
    const int64_t most = larger(1, (c.width[0].step == 2 ? 12 : 24) / (sums * c.classes[0]));
    c.rows = static_cast<int>(ceil_divide(rows, ceil_divide(rows, most)));
    c.source_width = s.source_size[2];
    c.target_width = s.target_size[2];
    c.before = before;
    c.stream =
        g.batch * g.groups * s.target_channels * s.target_size[0] * s.target_size[1] * s.target_size[2] * size > machine.cached * 4 &&
        c.target_width * size % 64 == 0;
    for (int b = 0; b < c.classes[1]; ++b) before += c.taps_of(0, b);
  }
  const in_place_code& c = p.code[0];
  for (int64_t a = 0; a < s.class_counts[1]; ++a)
    for (int64_t b = 0; b < s.class_counts[2]; ++b)
      p.weights += s.source_channels * c.depth * correlation(g, side, 1, a).taps * correlation(g, side, 2, b).taps;
  p.strips = ceil_divide(rows, c.rows);
  // Where several channels of the destination read the same source, a slab's stays in the second-level cache for them, and that of one
  // strip in the first (3 -> 64 channels: 11.5 -> 10.5 ms). Planes a multiple of 2 KiB apart lie in the same few sets there, which hold few
  // of them.
  const int64_t all = s.target_size[0] + c.depth - 1, plane = s.source_size[1] * c.source_width * size;
  const bool many = s.target_channels > 1 || s.source_channels > 1;
  const int64_t room = larger(1, (machine.l1 * 3 / 4) / (s.source_channels * c.span() * c.source_width * size));
  p.planes = !many ? all : smaller(plane % machine.aliasing == 0 ? 8 : all, ceil_divide(all, ceil_divide(all, room)));
  p.targets = s.target_channels;
  const auto resize = [&](int64_t slab) {
    p.slab = slab;
    p.slabs = ceil_divide(p.strips, slab);
    p.carry = p.planes < all ? (c.depth - 1) * c.classes[0] * c.classes[1] * c.rows * vectors * width : 0;
    p.carry_size = p.slab * p.targets * p.carry;
  };
  const auto block = [&](int64_t blocks) {
    p.targets = ceil_divide(s.target_channels, blocks);
    p.blocks = ceil_divide(s.target_channels, p.targets);
  };
  resize(p.strips);
  const auto bytes = [&] {
    const int64_t high = (p.slab - 1) * c.rows * c.height[0].step + c.span();
    return s.source_channels * p.planes * high * c.source_width * size + p.carry_size * size;
  };
  if (many)
    while (p.slab > 1 && bytes() > machine.l2 / 2) resize(p.slab - 1);
  const double work = conv_work(g);
  if (work >= worth_sharing) {
    const int64_t pairs = s.batch * s.groups, tasks = smaller(16, static_cast<int64_t>(work / 10e3));
    if (pairs * p.slabs < tasks && p.targets >= 8) block(smaller(ceil_divide(tasks, pairs * p.slabs), p.targets / 4));
    while (p.slab > 1 && pairs * p.slabs * p.blocks < tasks) resize(p.slab - 1);
    resize(p.slab);
    if (pairs * p.slabs * p.blocks > 1) p.share = sharing::pairs;
  }
  return p;
}

/// True where that is possible, rows fill their vectors, and the source has few channels or lies in the second-level cache: a copy
/// keeps many channels closer together.
template <class T>
constexpr bool prefers_in_place(const ops::conv_geometry& g, conv_side side) {
  if (!simd::masks<T> || !planes_possible(g, side)) return false;
  const conv_shape s = shape_of(g, side);
  constexpr int64_t L = simd::width<T>;
  const correlation_axis w = correlation(g, side, 2, 0);
  const int64_t vectors = ceil_divide(w.n, L), classes = s.class_counts[1] * s.class_counts[2];
  if (s.class_counts[1] > 2 || classes == 2 || g.kernel[0] * s.class_counts[2] * vectors > 24) return false;
  if (w.step == 2 && g.kernel[0] * w.taps > 9) return false;
  const int64_t bytes = s.source_channels * s.source_volume() * static_cast<int64_t>(sizeof(T));
  return w.n * 4 >= vectors * L * 3 && (s.source_channels <= 8 || bytes <= machine.l2);
}

template <class T>
struct in_place_job {
  const T* x = nullptr;
  const T* w = nullptr;
  T* carry = nullptr;
  const int64_t* row = nullptr;             // offsets of the source rows in a plane; -1: a row of zeros
  int64_t planes = 0, first = 0, last = 0;  // virtual source planes, and those of them that exist
  int64_t done = 0;                         // the first one that completes a destination plane
  int64_t channels = 1, x_channel = 0, x_plane = 0, y_plane = 0;
  int64_t rows = 0;                   // of the destination that exist
  bool resume = false, keep = false;  // sums come from the carry, go to the carry
  // Asked for meanwhile: what the next block reads, and what it writes.
  const T* next_x = nullptr;
  const T* next_y = nullptr;
  bool ask_x = false, ask_y = false;
};

/// Cache lines of n elements at steps of n: rows seldom begin with one. (Lines too few or too many cost a quarter of the time.)
template <class T>
constexpr int64_t lines_of(int64_t n) {
  constexpr int64_t line = 64 / sizeof(T);
  return n % line == 0 ? n / line : ceil_divide(n - 1, line) + 1;
}

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
  if constexpr (mask == 0)
    return V(T(0));
  else if constexpr (mask == (1u << simd::lanes<V>)-1)
    return simd::load<V>(row + Column);
  else
    return simd::load_masked<V>(row + Column, mask);
}

/// Vector v of the columns that tap t of class c of the width reads.
template <class V, in_place_code C, int c, int t, int v, class T>
VOLUTE_INLINE V in_place_read(const T* row) {
  constexpr int64_t L = simd::lanes<V>, step = C.width[c].step, offset = C.width[c].offset + t * C.width[c].offset_step;
  constexpr int64_t column = v * L * step + offset, left = C.width[c].n - v * L;
  if constexpr (step == 1) {
    return load_inside<V, column, C.source_width, left>(row);
  } else {  // odd and even columns from the same loads
    constexpr int odd = static_cast<int>(offset & 1);
    return simd::unzip<odd>(load_inside<V, column - odd, C.source_width, 2 * L>(row),
                            load_inside<V, column - odd + L, C.source_width, 2 * L>(row));
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

template <class T, in_place_code C>
using in_place_sums = simd::vec<T>[C.depth][C.classes[0]][C.classes[1]][C.rows][C.vectors];

/// acc += the products of one tap of the height of the classes (a, b), of all taps of the width; from: its source row for the first row.
template <class T, in_place_code C, int a, int b, int... I>
VOLUTE_INLINE void in_place_row(std::integer_sequence<int, I...>, const T* const* from, const T* w, in_place_sums<T, C>& acc) noexcept {
  using V = simd::vec<T>;
  constexpr int KD = C.depth, TW = static_cast<int>(C.width[b].taps);
  const auto add = [&](auto t, auto i, const V* wv) __attribute__((always_inline)) {
    constexpr int r = i / C.vectors, v = i % C.vectors;
    V xv = in_place_read<V, C, b, t, v>(from[r * C.height[0].step]);
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
      simd::in_order();
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
template <class T, in_place_code C, ops::epilogue E, int a, int r, int v>
VOLUTE_INLINE void in_place_store(in_place_sums<T, C>& acc, int64_t rows, T* y, const T* const* extra, conv_place at) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>, B = C.classes[1];
  constexpr int64_t column = v * L * B, left = C.target_width - column;
  if (r * C.dst_step + a >= rows) return;
  at.offset += (r * C.dst_step + a) * C.target_width + column;
  const V(&sum)[B][C.rows][C.vectors] = acc[C.depth - 1][a];
  if constexpr (B == 1) {
    finish<E, C.stream>(sum[0][r][v], y, extra, at, static_cast<int>(smaller(L, left)));
  } else {
    finish<E, C.stream>(simd::zip_low(sum[0][r][v], sum[1][r][v]), y, extra, at, static_cast<int>(smaller(L, left)));
    at.offset += L;
    if constexpr (left > L)
      finish<E, C.stream>(simd::zip_high(sum[0][r][v], sum[1][r][v]), y, extra, at, static_cast<int>(smaller(L, left - L)));
  }
}
template <class T, in_place_code C, ops::epilogue E, int... I>
VOLUTE_INLINE void in_place_store(std::integer_sequence<int, I...>, in_place_sums<T, C>& acc, int64_t rows, T* y, const T* const* extra,
                                  const conv_place& at) noexcept {
  constexpr int A = C.classes[0], NV = C.vectors;
  (in_place_store<T, C, E, I / NV % A, I / NV / A, I % NV>(acc, rows, y, extra, at), ...);
}

/// One block of rows through the planes.
template <class T, in_place_code C, ops::epilogue E>
__attribute__((noinline)) void in_place_block(const in_place_job<T>& j, T* y, const T* const* extra, conv_place at) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>, KD = C.depth, A = C.classes[0], sums = A * C.classes[1] * C.rows * C.vectors;
  constexpr int64_t line = 64 / sizeof(T), span = C.span();
  constexpr int64_t x_lines = lines_of<T>(C.rows * C.height[0].step * C.source_width);
  constexpr int64_t y_lines = lines_of<T>(C.rows * C.dst_step * C.target_width);
  in_place_sums<T, C> acc;
  const auto sum = [&](int t, int i) __attribute__((always_inline))->V& { return (&acc[t][0][0][0][0])[i]; };
  VOLUTE_UNROLL
  for (int t = 1; t < KD; ++t) VOLUTE_UNROLL
  for (int i = 0; i < sums; ++i) sum(t, i) = V(T(0));
  if (j.resume) {
    VOLUTE_UNROLL
    for (int t = 1; t < KD; ++t) VOLUTE_UNROLL
    for (int i = 0; i < sums; ++i) sum(t, i) = simd::load<V>(j.carry + ((t - 1) * sums + i) * L);
  }
  for (int64_t q = 0; q < j.planes; ++q) {
    VOLUTE_UNROLL
    for (int i = 0; i < sums; ++i) sum(0, i) = V(T(0));
    if (q >= j.first && q < j.last) {
      const T* x = j.x + q * j.x_plane;
      const T* next = j.next_x + q * j.x_plane;
      for (int64_t c = 0; c < j.channels; ++c, x += j.x_channel, next += j.x_channel) {
        const T* row[span];
        VOLUTE_UNROLL
        for (int64_t i = 0; i < span; ++i) row[i] = j.row[i] < 0 ? zero_row_of<T, C.source_width>.list : x + j.row[i];
        if (j.ask_x) {  // no loop of a length that clang does not know: 1.5 times as long
          VOLUTE_UNROLL
          for (int64_t i = 0; i < x_lines; ++i) simd::prefetch(next + i * line);
        }
        unrolled<A>([&](auto a) __attribute__((always_inline)) {
          unrolled<C.classes[1]>([&](auto b) __attribute__((always_inline)) {
            const T* w = j.w + C.taps_before(a, b) * j.channels + c * C.taps_of(a, b);
            const auto add = [&](int64_t h) __attribute__((always_inline)) {
              in_place_row<T, C, a, b>(std::make_integer_sequence<int, C.rows * C.vectors>{},
                                       row + (C.height[a].offset + h * C.height[a].offset_step - C.lowest()),
                                       w + h * C.width[b].taps * C.depth, acc);
            };
            if constexpr (C.height[a].taps <= 2) {
              unrolled<static_cast<int>(C.height[a].taps)>(add);
            } else {
              VOLUTE_NO_UNROLL
              for (int64_t h = 0; h < C.height[a].taps; ++h) add(h);
            }
          });
        });
      }
    }
    if (q >= j.done) {
      if (!C.stream && j.ask_y) {
        VOLUTE_UNROLL
        for (int64_t i = 0; i < y_lines; ++i) simd::prefetch_write(j.next_y + (q - KD + 1) * j.y_plane + i * line);
      }
      conv_place here = at;
      here.offset += (q - KD + 1) * j.y_plane;
      in_place_store<T, C, E>(std::make_integer_sequence<int, C.rows * A * C.vectors>{}, acc, j.rows, y, extra, here);
    }
    VOLUTE_UNROLL
    for (int t = KD - 1; t > 0; --t) VOLUTE_UNROLL
    for (int i = 0; i < sums; ++i) sum(t, i) = sum(t - 1, i);
  }
  if (j.keep) {
    VOLUTE_UNROLL
    for (int t = 1; t < KD; ++t) VOLUTE_UNROLL
    for (int i = 0; i < sums; ++i) simd::store(j.carry + ((t - 1) * sums + i) * L, sum(t, i));
  }
}

/// Slab `slab` of block `b` of the destination channels of one group of one sample.
template <class T, in_place_code C, ops::epilogue E, bool Scale>
__attribute__((noinline)) void in_place_task(const conv_shape& s, const in_place_plan& p, const T* x, const T* packed,
                                             [[maybe_unused]] const T* scale, T* memory, int64_t pair, int64_t b, int64_t slab, T* y,
                                             const T* const* extra) noexcept {
  constexpr int64_t span = C.span(), step = C.height[0].step;
  const correlation_axis& cd = s.classes[0][0];
  const int64_t volume = s.source_volume(), y_row = C.rows * C.dst_step * C.target_width, group = pair % s.groups;
  const int64_t all = cd.n + C.depth - 1, begin = slab * p.slab, end = smaller(p.strips, begin + p.slab);
  const int64_t o_first = b * p.targets, o_end = smaller(s.target_channels, o_first + p.targets);
  in_place_job<T> j;
  int64_t row[span];
  j.row = row;
  j.channels = s.source_channels;
  j.x_channel = volume;
  j.x_plane = s.source_size[1] * C.source_width;
  j.y_plane = s.target_size[1] * C.target_width;
  conv_place at{pair / s.groups, 0, s.groups * s.target_channels, 0};
  for (int64_t q0 = 0; q0 < all; q0 += p.planes) {
    j.planes = smaller(p.planes, all - q0);
    const int64_t d0 = q0 + cd.offset;  // virtual plane q is source plane q + offset
    j.first = smaller(j.planes, larger(0, -d0));
    j.last = larger(j.first, smaller(j.planes, s.source_size[0] - d0));
    j.done = smaller(j.planes, larger(0, C.depth - 1 - q0));
    j.resume = q0 > 0;
    j.keep = q0 + j.planes < all;
    j.x = x + pair * s.source_channels * volume + d0 * j.x_plane;
    j.carry = memory + p.scaled();
    for (int64_t o = o_first; o < o_end; ++o) {
      at.channel = group * s.target_channels + o;
      j.w = packed + at.channel * p.weights;
      if constexpr (Scale) {
        for (int k = 0; k < C.classes[0] * C.classes[1]; ++k) {
          const int64_t taps = C.taps_of(k / C.classes[1], k % C.classes[1]), before = C.taps_before(k / C.classes[1], k % C.classes[1]);
          for (int64_t i = 0; i < taps * j.channels; ++i)
            memory[before * j.channels + i] = j.w[before * j.channels + i] * scale[pair * j.channels + i / taps];
        }
        j.w = memory;
      }
      for (int64_t strip = begin; strip < end; ++strip, j.carry += p.carry) {
        const int64_t h0 = strip * C.rows;
        for (int64_t i = 0; i < span; ++i) {
          const int64_t h = h0 * step + C.lowest() + i;
          row[i] = h >= 0 && h < s.source_size[1] ? h * C.source_width : -1;
        }
        j.rows = s.target_size[1] - h0 * C.dst_step - C.dst;
        at.offset = ((at.sample * at.channels + at.channel) * cd.n + q0) * j.y_plane + (h0 * C.dst_step + C.dst) * C.target_width;
        // The rows below this block, or else the first ones of the next channels.
        const bool below = strip + 1 < p.strips, other = o + 1 == o_end && pair + 1 < s.batch * s.groups;
        const bool more = below || o + 1 < o_end || other;
        j.next_x = j.x + (below ? (h0 * step + C.lowest() + span) * C.source_width : other ? s.source_channels * volume : 0);
        j.next_y = y + at.offset + (strip + 1 < end ? y_row : s.target_volume() - (strip - begin) * y_row);
        j.ask_x = more && (o == o_first || o + 1 == o_end);
        j.ask_y = more;
        in_place_block<T, C, E>(j, y, extra, at);
      }
    }
  }
  if constexpr (C.stream) simd::stream_fence();
}

template <class T, ops::conv_geometry G, conv_side Side, ops::epilogue E, bool Scale>
void run_in_place(const T* x, const T* packed, T* y, const T* const* extra, const T* scale, T* scratch, const team<T>& workers) noexcept {
  constexpr const conv_shape& s = conv_shape_of<G, Side>;
  static constexpr in_place_plan p = plan_in_place<T>(G, Side);
  share_if<p.share != sharing::none>(
      workers, s.batch * s.groups * p.blocks * p.slabs, [&](int64_t i, int worker) __attribute__((always_inline)) {
        const int64_t slab = i % p.slabs, b = i / p.slabs % p.blocks, pair = i / (p.slabs * p.blocks);
        T* const memory = workers.memory(worker, scratch);
        in_place_task<T, p.code[0], E, Scale>(s, p, x, packed, scale, memory, pair, b, slab, y, extra);
        if constexpr (p.passes == 2) in_place_task<T, p.code[1], E, Scale>(s, p, x, packed, scale, memory, pair, b, slab, y, extra);
      });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
