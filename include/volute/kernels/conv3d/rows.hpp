// Direct convolution of stride 1 with output channels in the lanes and whole rows of pixels as accumulators. Each source pixel is loaded
// once for all taps of the kernel's width, and what a tap would read of the padding is left out while compiling (width) or while looping
// (depth, height): 512 channels at 4x4x4 have 42 % of their nominal products there. Nothing is padded, so the copy of the source and the
// store of the result take the volume as one long row.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/lanes.hpp>

#include <concepts>
#include <cstdint>

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
  constexpr int64_t block_lanes() const { return int64_t{lanes} * vectors; }
  constexpr int64_t target_row() const { return width * block_lanes(); }
  constexpr int64_t tap_row() const { return taps * block_lanes(); }       // of filters or sums: one source channel, or `fold` of them
  constexpr int64_t tap_pair() const { return chunk / fold * tap_row(); }  // one chunk, one tap of depth and height
};

/// Segments of a row are pixels that are accumulated together: where number i begins, and what its taps read.
constexpr int64_t segment_start(const rows_code& c, int64_t i) { return c.width * i / c.segments; }
constexpr axis_segment segment_of(const rows_code& c, int64_t i) {
  const correlation_axis axis{.taps = c.taps, .offset = c.offset, .offset_step = c.dilation};
  return segment_between(axis, segment_start(c, i), segment_start(c, i + 1), c.source_width);
}

/// f(i, where its source pixels begin in a row, and its target pixels) for segment number i of a row; i: a constant.
template <rows_code C, class F>
VOLUTE_INLINE void for_each_segment(F f) noexcept {
  unrolled<int(C.segments)>([&](auto i) VOLUTE_ALWAYS_INLINE {
    f(i, larger(0, segment_start(C, i) + C.offset) * C.chunk, segment_start(C, i) * C.block_lanes());
  });
}

/// f(source pixel's vector, its number in the segment, r, tap k, target pixel q) for all products of segment S of R rows with one source
/// channel (with `fold` of them), each source pixel loaded once for all taps; then x stands at the next channel.
template <class V, rows_code C, axis_segment S, int R, class T, class F>
VOLUTE_INLINE void for_each_product(const T* (&x)[R], F f) noexcept {
  constexpr int dilation = int(C.dilation);
  VOLUTE_UNROLL
  for (int i = S.low; i < S.high; ++i)
    VOLUTE_EACH(r, R) {
      const V xv = simd::broadcast_group<V, C.fold>(x[r] + (i - S.low) * C.chunk);
      VOLUTE_EACH(k, int(C.taps))
        if (const int q = i - k * dilation; q >= 0 && q < S.n) f(xv, i, r, k, q);
    }
  VOLUTE_EACH(r, R) x[r] += C.fold;
}

/// Asks for the next of as many rows' pixels of segment S, which follow one another.
template <rows_code C, axis_segment S, class T>
VOLUTE_INLINE void ask_for_pixels(const T*& next, int rows) noexcept {
  const int step = rows * (S.high - S.low) * C.fold;
  VOLUTE_UNROLL
  for (int i = 0; i < step; i += line_of<T>) simd::prefetch(next + i);
  next += step;
}

/// What both plans have of the rows.
struct rows_cut {
  rows_code code;
  correlation_axis axis[2]{};  // depth and height
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

/// What the rows' plans have in common: taps, rows, how target channels and `longest` pixels of a row at most become accumulators.
template <class T, class Plan>
constexpr void plan_rows_blocks(Plan& p, const conv_shape& s, int64_t longest) {
  auto& c = p.code;
  for (int a : {0, 1}) p.axis[a] = s.axis[a];
  for (int a : volume_axes) p.source[a].count = p.source[a].extent = s.source_size[a];
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
  // Source channels at a time: near-equal chunks of at most 64.
  c.chunk = ceil_divide(near_equal(s.source_channels, 64), c.fold) * c.fold;
  p.cut_channels(s.source_channels, c.chunk);
}

/// Rows of `pixels` pixels that meet the filters of a pair of taps together: 14 accumulators hide their latency, if registers allow.
constexpr int rows_at_once(const rows_code& c, int64_t pixels) {
  const int64_t wanted = smaller(4, ceil_divide(14, c.vectors * pixels)), room = (row_registers / c.vectors - c.taps) / pixels;
  return int(larger(1, smaller(wanted, room)));
}

template <class T>
constexpr rows_plan plan_rows(const conv_shape& s, const ops::volume_layout& from = {}) {
  rows_plan p;
  rows_code& c = p.code;
  constexpr int64_t size = sizeof(T), hides = row_registers >= 28 ? 10 : machine.latency * machine.products;  // accumulators: the latency
  plan_rows_blocks<T>(p, s, longest_row);
  const int64_t pixels = ceil_divide(c.width, c.segments), lanes = c.block_lanes(), row = c.target_row(), height = p.axis[1].n;
  p.order = {p.blocks, lanes, lanes, c.fold, c.chunk, p.chunks, true};
  c.slab = pixels * c.vectors < hides || s.taps() * (c.chunk / c.fold) * p.chunks * lanes * size > machine.l2 * 3 / 16;
  p.source_units = s.source_plane(), p.grain = 64;
  plan_copy(p, s, size);
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
  plan_blocked_source(p, from);
  return p;
}

template <class T, int R>
struct rows_job : lanes_loops {
  const T* x[R]{};
  T* tile[R]{};
  const T* w = nullptr;
  const T* next = nullptr;   // x of the row after this one, unless slab
  const T* ahead = nullptr;  // the filters that come next, and how much of them to fetch for each source channel
  int64_t ahead_step = 0;
};

/// tile[r][pixel][lanes] = (slab: +=) the products of R rows' segments over the job's taps and channels.
template <class T, rows_code C, int R, axis_segment S>
VOLUTE_NO_INLINE void rows_block(const rows_job<T, R>& j, int64_t x_first, int64_t tile_first) noexcept {
  constexpr int L = C.lanes, NV = C.vectors, Q = S.n, K = int(C.taps);
  using V = simd::vec<T, L>;
  V acc[R][Q][NV];
  if constexpr (C.slab) {
    VOLUTE_EACH(r, R) load_all(acc[r], j.tile[r] + tile_first);
  } else {
    set_zero(acc);
  }
  const T* ahead = j.ahead;
  for (int64_t c = 0; c < j.chunks; ++c)
    for (int64_t d = 0; d < j.d; ++d)
      for (int64_t h = 0; h < j.h; ++h) {
        const T* w = j.w + j.filters_at(c, d, h);
        const T* x[R];
        VOLUTE_EACH(r, R) x[r] = j.x[r] + x_first + j.source_at(c, d, h);
        // The next row's pixels are fetched now, as in channels_block: 0.74 to 0.97 of the time at 64^3, as fast where caches hold the
        // source.
        [[maybe_unused]] const T* next = nullptr;
        if constexpr (!C.slab) next = j.after(j.x[0] + x_first, x[0], c, d, h, j.next + x_first);
        const T* const end = w + C.tap_pair();
        VOLUTE_NO_UNROLL
        for (; w != end; w += K * NV * L) {
          V wv[K][NV];
          VOLUTE_EACH(k, K)
            VOLUTE_EACH(v, NV) {
              wv[k][v] = simd::load<V>(w + (k * NV + v) * L);
              simd::keep(wv[k][v]);
            }
          if constexpr (C.slab) {
            simd::prefetch(ahead);
            simd::prefetch(ahead + j.ahead_step);
            ahead += 2 * j.ahead_step;
          } else {
            ask_for_pixels<C, S>(next, 1);
          }
          for_each_product<V, C, S>(x, [&](const V& xv, int, int r, int k, int q) VOLUTE_ALWAYS_INLINE { add_products(acc[r][q], xv, wv[k]); });
        }
      }
  VOLUTE_EACH(r, R) store_all(acc[r], j.tile[r] + tile_first);
}

/// All segments of R rows.
template <class T, rows_code C, int R>
VOLUTE_INLINE void rows_segments(const rows_job<T, R>& j) noexcept {
  for_each_segment<C>([&](auto i, int64_t x, int64_t tile) VOLUTE_ALWAYS_INLINE { rows_block<T, C, R, segment_of(C, i)>(j, x, tile); });
}

/// A task of run_lanes().
template <class T, rows_code C, ops::epilogue E, ops::volume_layout To>
struct rows_task {
  static constexpr int64_t lanes = C.block_lanes(), tile_row = C.target_row(), tap_weights = C.tap_pair();
  const conv_shape& s;
  const rows_plan& p;
  const lanes_task<T>& t;
  const correlation_axis &cd = p.axis[0], &ch = p.axis[1];
  const int64_t first = t.piece.slab.first, depth = t.piece.slab.last - first;  // planes of each sample

  VOLUTE_NO_INLINE void run() const noexcept {
    const int64_t rows = depth * ch.n, each = C.slab ? depth : ceil_divide(rows, p.together);
    const auto [begin, end] = nth_range(t.piece.samples * each, t.slice, t.slices);
    for (int64_t i = begin; i < end;) {
      if constexpr (C.slab) {  // planes of all samples
        const int64_t last = smaller(end, i + p.together);
        pair_by_pair(i, last);
        for (T* from = t.tile; i < last;) {  // sample by sample
          const int64_t planes = smaller(last, (i / depth + 1) * depth) - i;
          store(from, i / depth, i % depth * ch.n, planes * ch.n);
          from += planes * ch.n * tile_row;
          i += planes;
        }
      } else {
        const int64_t row = i % each * p.together, count = smaller(p.together, rows - row);
        all_filters(i / each, row, row + count);
        store(t.tile, i / each, row, count);
        ++i;
      }
    }
  }

  /// `count` rows of sample n of the piece from its row number `row` on.
  VOLUTE_INLINE void store(const T* tile, int64_t n, int64_t row, int64_t count) const noexcept {
    t.template store<C.lanes, C.fold, E, To>(s, n, {tile, lanes, (first * ch.n + row) * C.width, count * C.width, t.channels});
  }

  /// Rows [begin, end) of sample n: the sums stay in registers until all filters have been met.
  VOLUTE_INLINE void all_filters(int64_t n, int64_t begin, int64_t end) const noexcept {
    rows_job<T, 1> j;
    j.chunks = p.chunks;
    j.steps(p, cd, ch, tap_weights);
    j.tile[0] = t.tile;
    for (int64_t row = first * ch.n + begin; row < first * ch.n + end; ++row, j.tile[0] += tile_row) {
      const int64_t d = row / ch.n, h = row % ch.n;
      const tap_range td = taps_inside(cd, d, p.source[0].count), th = taps_inside(ch, h, p.source[1].count);
      j.w = t.filters + j.take(td, th);
      j.x[0] = t.row(p, cd, ch, n, d, td.first, h, th.first);
      j.next = j.x[0] + p.source_row;
      rows_segments<T, C, 1>(j);
    }
  }

  /// Planes [begin, end), counted through all samples: the filters of one chunk and pair of taps after the other meet all of them.
  VOLUTE_INLINE void pair_by_pair(int64_t begin, int64_t end) const noexcept {
    fill_zeros(t.tile, (end - begin) * ch.n * tile_row);
    const T* w = t.filters;
    for (int64_t chunk = 0; chunk < p.chunks; ++chunk)
      for (int64_t td = 0; td < cd.taps; ++td)
        for (int64_t th = 0; th < ch.taps; ++th, w += tap_weights) pair_of_taps(w, chunk, td, th, begin, end);
  }

  /// Those of one chunk and taps td of the depth and th of the height, w.
  VOLUTE_INLINE void pair_of_taps(const T* w, int64_t chunk, int64_t td, int64_t th, int64_t begin, int64_t end) const noexcept {
    const tap_range inside = positions_inside(cd, td, p.source[0].count), rh = positions_inside(ch, th, p.source[1].count);
    const tap_range rd{larger(0, inside.first - first), smaller(depth, inside.last - first)};  // from `first` on
    const auto planes_before = [&](int64_t i) {
      return i / depth * rd.count() + larger(0, smaller(i % depth, rd.last) - rd.first);
    };
    const int64_t rows = (planes_before(end) - planes_before(begin)) * rh.count();
    rows_job<T, C.rows> j;
    j.w = w;
    j.ahead = w + tap_weights;
    j.ahead_step = C.tap_row() * C.rows / larger(1, 2 * rows) + 1;
    int waiting = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / depth, d = i % depth;
      if (d < rd.first || d >= rd.last) continue;
      const T* x = t.row(p, cd, ch, n, first + d, td, rh.first, th) + chunk * p.source_chunk;
      T* to = t.tile + ((i - begin) * ch.n + rh.first) * tile_row;
      for (int64_t h = rh.first; h < rh.last; ++h, x += p.source_row, to += tile_row) {
        j.x[waiting] = x;
        j.tile[waiting] = to;
        if (++waiting < C.rows) continue;
        rows_segments<T, C, C.rows>(j);
        j.ahead += 2 * j.ahead_step * (C.chunk / C.fold) * C.segments;
        waiting = 0;
      }
    }
    for (int i = 0; i < waiting; ++i) rows_segments<T, C, 1>({{}, {j.x[i]}, {j.tile[i]}, w, nullptr, j.ahead, j.ahead_step});
  }
};

/// A range of the copy of x's channels in chunks, the volume as one long row. A unit: a pixel.
template <class T, bool Scale, ops::volume_layout From, std::derived_from<rows_cut> Plan>
void copy_source(const conv_shape& s, const Plan& p, const T* x, const T* scale, const copy_range& range, T* to) noexcept {
  for (int64_t c = 0; c < p.chunks; ++c, to += p.source_chunk)
    copy_channels<T, 1, Scale, From>({x, s.groups, s.source_channels, s.source_volume()}, scale, c * p.code.chunk, p.code.chunk, range, to);
}

template <class T, const conv_call& C, const rows_plan& p>
void run_family(const conv_run<T>& run) noexcept {
  constexpr const conv_shape& s = shape_for<C>;
  run_lanes<T, C, p, p.code.lanes>(
      run, [](int64_t, const lanes_task<T>& task) noexcept { rows_task<T, p.code, C.epilogue, C.layouts.target>{s, p, task}.run(); });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
