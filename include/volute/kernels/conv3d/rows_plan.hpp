// How conv3d/rows.hpp and conv3d/rows_weights.hpp cut a convolution of stride 1 into rows of pixels, and its packed filters.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/lanes.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What the code of a task depends on. Where few target channels would leave lanes empty, each has `fold` neighbouring lanes, for as many
/// source channels, and these are added up at the end: 8 channels fill 16 lanes.
struct rows_code {
  int lanes = 1, vectors = 1, rows = 1, fold = 1;
  bool slab = false;    // one chunk and pair of taps after the other meets all rows, whose sums wait in memory; else in registers
  bool column = false;  // filter's adjoint, slab: a row meets all taps of the height, one tap of the depth after the other
  bool ahead = false;   // filter's adjoint: the next rows are fetched meanwhile (128 -> 128 at 16^3: 0.92 to 0.99)
  int64_t chunk = 1, width = 1, source_width = 1;  // source channels at a time; pixels of a target row and of a source row
  int64_t taps = 1, offset = 0, dilation = 1, segments = 1;
};

/// Pixels of a row that are accumulated together.
using rows_segment = axis_segment;
constexpr int64_t segment_start(const rows_code& c, int64_t i) { return c.width * i / c.segments; }
constexpr rows_segment segment_of(const rows_code& c, int64_t i) {
  const correlation_axis axis{.taps = c.taps, .offset = c.offset, .offset_step = c.dilation};
  return segment_between(axis, segment_start(c, i), segment_start(c, i + 1), c.source_width);
}

/// f(i, where its source pixels begin in a row, and its target pixels) for segment number i of a row; i: a constant.
template <rows_code C, class F>
VOLUTE_INLINE void for_each_segment(F f) noexcept {
  [&]<std::size_t... I>(std::index_sequence<I...>) VOLUTE_ALWAYS_INLINE {
    (f(std::integral_constant<std::size_t, I>{}, larger(0, segment_start(C, I) + C.offset) * C.chunk,
       segment_start(C, I) * C.lanes * C.vectors),
     ...);
  }
  (std::make_index_sequence<C.segments>{});
}

/// f(source pixel's vector, its number in the segment, r, tap k, target pixel q) for all products of segment S of R rows with one source
/// channel (with `fold` of them), each source pixel loaded once for all taps; then x stands at the next channel.
template <class V, rows_code C, rows_segment S, int R, class T, class F>
VOLUTE_INLINE void for_each_product(const T* (&x)[R], F f) noexcept {
  constexpr int dilation = static_cast<int>(C.dilation);
  VOLUTE_UNROLL
  for (int i = S.low; i < S.high; ++i)
    VOLUTE_EACH(r, R) {
      const V xv = simd::broadcast_group<V, C.fold>(x[r] + (i - S.low) * C.chunk);
      VOLUTE_EACH(k, static_cast<int>(C.taps))
        if (const int q = i - k * dilation; q >= 0 && q < S.n) f(xv, i, r, k, q);
    }
  VOLUTE_EACH(r, R) x[r] += C.fold;
}

/// Asks for the next of as many rows' pixels of segment S, which follow one another.
template <rows_code C, rows_segment S, class T>
VOLUTE_INLINE void ask_for_pixels(const T*& next, int rows) noexcept {
  const int step = rows * (S.high - S.low) * C.fold;
  VOLUTE_UNROLL
  for (int i = 0; i < step; i += line_of<T>) simd::prefetch(next + i);
  next += step;
}

/// What both plans have of the rows.
struct rows_cut {
  rows_code code;
  int64_t block = 1;           // target channels of one
  correlation_axis axis[2]{};  // depth and height
  int64_t count[2]{};          // planes and rows of the source
  constexpr int64_t block_lanes() const { return int64_t{code.lanes} * code.vectors; }
};

struct rows_plan : lanes_plan, rows_cut {
  int64_t together = 1;  // rows, or planes if `slab`, that make a tile
};

/// Pixels of a row that are accumulated together, at most.
inline constexpr int64_t longest_row = 24;

/// Wide rows of several vectors have little rim, and conv3d/channels.hpp reads its weights less often.
template <class T>
constexpr bool rows_possible(const conv_shape& s) {
  const ops::conv_geometry& g = s.geometry;
  return unit_stride(g) && g.kernel[2] > 1 && g.kernel[2] <= row_registers - 6 &&
         (s.target_size[2] <= longest_row || s.target_channels <= simd::width<T>);
}

/// Lanes of each target channel, so that the fewest stay empty.
template <class T>
constexpr int lanes_fold(const conv_shape& s) {
  int best = 1;
  for (int fold = 2; fold * s.target_channels <= simd::width<T>; fold *= 2) {
    const int64_t twice = ceil_divide(s.source_channels, fold / 2) * (fold / 2) * 2;
    if (ceil_divide(s.source_channels, fold) * fold < twice && best == fold / 2) best = fold;
  }
  return best;
}

/// Source channels at a time: near-equal chunks of at most 64.
constexpr int64_t rows_chunk(int64_t channels, int fold) { return ceil_divide(near_equal(channels, 64), fold) * fold; }

/// What the rows' plans have in common: taps, rows, how target channels and `longest` pixels of a row at most become accumulators.
template <class T, class Plan>
constexpr void plan_rows_blocks(Plan& p, const conv_shape& s, int64_t longest) {
  auto& c = p.code;
  for (int a = 0; a < 2; ++a) p.axis[a] = s.axis[a], p.count[a] = s.source_size[a];
  const correlation_axis w = s.axis[2];
  c.width = s.target_size[2];
  c.source_width = s.source_size[2];
  c.taps = w.taps;
  c.offset = w.offset;
  c.dilation = w.offset_step;
  c.lanes = simd::width<T>;
  c.fold = lanes_fold<T>(s);
  const int64_t vectors = ceil_divide(s.target_channels * c.fold, c.lanes);
  c.vectors = vectors % 2 == 0 && 2 * (c.width + c.taps) <= row_registers ? 2 : 1;
  c.segments = ceil_divide(c.width, smaller(longest, row_registers / c.vectors - c.taps));
  p.blocks = vectors / c.vectors;
  p.block = p.block_lanes() / c.fold;
  c.chunk = rows_chunk(s.source_channels, c.fold);
  p.chunks = ceil_divide(s.source_channels, c.chunk);
}

/// Rows of `pixels` pixels that meet the filters of a pair of taps together: 14 accumulators hide their latency, if registers allow.
constexpr int rows_at_once(const rows_code& c, int64_t pixels) {
  const int64_t wanted = smaller(4, ceil_divide(14, c.vectors * pixels)), room = (row_registers / c.vectors - c.taps) / pixels;
  return static_cast<int>(larger(1, smaller(wanted, room)));
}

template <class T>
constexpr rows_plan plan_rows(const conv_shape& s, const ops::volume_layout& from = {}) {
  rows_plan p;
  rows_code& c = p.code;
  constexpr int64_t size = sizeof(T), hides = row_registers >= 28 ? 10 : machine.latency * machine.products;  // accumulators: the latency
  plan_rows_blocks<T>(p, s, longest_row);
  const int64_t pixels = ceil_divide(c.width, c.segments), lanes = p.block_lanes(), row = c.width * lanes, height = p.axis[1].n;
  p.order = {p.blocks, lanes, lanes, c.fold, c.chunk, p.chunks, true};
  c.slab = pixels * c.vectors < hides || s.taps() * c.chunk / c.fold * p.chunks * lanes * size > machine.l2 * 3 / 16;
  p.source_units = s.source_plane(), p.grain = 64;
  p.source_row = c.source_width * c.chunk;
  p.source_plane = p.count[1] * p.source_row;
  plan_copy(p, s, p.count[0], size);
  int64_t tiles = 1;
  if (c.slab) {
    if (c.segments == 1) c.rows = rows_at_once(c, pixels);
    plan_samples(p, s, size);
    tiles = p.samples * p.slabs.size;
    p.together = smaller(tiles, larger(1, (machine.l2 / 2) / ((p.source_plane + height * row) * size)));
    p.tile = p.together * height * row;
  } else {
    int64_t whole = 1;  // rows that are whole vectors of pixels
    while (whole * c.width % simd::width<T> != 0) ++whole;
    p.together = larger(1, (machine.l1 / 4) / (row * size));
    if (p.together > whole) p.together -= p.together % whole;
    p.together = smaller(p.together, p.slabs.size * height);
    p.tile = p.together * row;
    tiles = ceil_divide(p.slabs.size * height, p.together);
  }
  plan_threads(p, s, size, tasks_of_piece(c.slab), tiles);
  plan_blocked_source(p, from, p.count[0]);
  return p;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
