// Direct convolution with target channels in the vector. The source is copied once, channels last in chunks of at most 16 channels and
// with zero borders; R x Q pixels times NV vectors of target channels stay in registers through the whole reduction over taps and channels.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/lanes.hpp>

#include <cstdint>
#include <type_traits>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// R rows of Q pixels times `vectors` vectors: the accumulators of one micro-kernel.
struct pixel_block {
  int vectors = 1, rows = 1, pixels = 1;
  friend constexpr bool operator==(const pixel_block&, const pixel_block&) = default;
};

/// Near-equal blocks of a row of `width` pixels; short rows are taken several at a time, but at most seven.
constexpr pixel_block block_for(int vectors, int64_t height, int64_t width) {
  const int64_t most = accumulators / vectors;
  if (width > most / 2 || height == 1) return {vectors, 1, int(near_equal(width, most))};
  const int64_t rows = near_equal(height, smaller(most / width, 7));
  return {vectors, int(rows), int(width)};
}

/// A tile holds `main.rows` rows of one residue class of height and depth, `tile_width` pixels of each class of the width.
struct channels_plan : lanes_plan {
  int lanes = 1;
  pixel_block main, last;                   // the last block of target channels may have three vectors
  int64_t tile_width = 1, tile_pixels = 1;  // of a tile's row: in one class, and in all
  int64_t tiles = 1;                        // that wait in memory while some of the chunks meet their pixels
  int64_t together = 1;                     // these chunks
};

template <class T>
constexpr int channel_lanes(int64_t channels) {
  constexpr int full = simd::width<T>;
  if constexpr (full >= 8 && simd::has_width<T, full / 2>) {
    if (channels <= full / 2) return full / 2;
  }
  return full;
}

/// Elements that vectors of the copy, or those of a window that reads it, may pass its end by.
inline constexpr int64_t copy_surplus = 64;

template <class T>
constexpr channels_plan plan_channels(const conv_shape& s, const ops::volume_layout& from = {}) {
  channels_plan p;
  constexpr int64_t size = sizeof(T);
  p.lanes = channel_lanes<T>(s.target_channels);
  const int64_t vectors = ceil_divide(s.target_channels, p.lanes), height = s.axis[1].n, width = s.axis[2].n;
  p.main = p.last = block_for(vectors == 1 ? 1 : vectors == 3 ? 3 : 2, height, width);
  if (vectors > 3 && vectors % 2 == 1) p.last = block_for(3, height, width);
  p.blocks = vectors <= 3 ? 1 : vectors / 2;
  p.cut_channels(s.source_channels, near_equal(s.source_channels, 16));
  p.source_units = p.chunks;
  p.order = {p.blocks, p.lanes * (p.blocks > 1 ? p.main : p.last).vectors, p.lanes * p.last.vectors, 1, p.chunk, p.chunks, false};
  const int64_t rows = larger(p.main.rows, p.last.rows), pixels = larger(p.main.pixels, p.last.pixels);
  const int64_t whole = larger(ceil_divide(height, p.main.rows) * p.main.rows, ceil_divide(height, p.last.rows) * p.last.rows);
  p.source[0] = s.source(0, 1, false);
  p.source[1] = s.source(1, whole, rows > 1);
  p.source[2] = s.source(2, pixels, true);
  plan_copy(p, s, size);
  p.source_first = p.source[1].pad * p.source_row + p.source[2].pad * p.chunk;
  p.source_sample += copy_surplus;
  // 128 pixels of a row at a time at most, or the tile of a long row would leave the first-level cache.
  const int64_t lanes = p.lanes * larger(p.main.vectors, p.last.vectors), classes = s.class_counts[2];
  p.tile_width = smaller(width, larger(1, 128 / (p.main.pixels * classes)) * p.main.pixels);
  p.tile_pixels = smaller(s.target_size[2], p.tile_width * classes);
  const int64_t tile_size = rows * p.tile_pixels * lanes;  // for the widest block
  // Filters of one block beyond 512 KiB do not stay in the second-level cache: 128 KiB of them at a time meet all pixels.
  const int64_t chunk_bytes = s.taps() * p.chunk * lanes * size;
  p.together = p.chunks;
  if (p.chunks * chunk_bytes > machine.l2 / 2) {
    p.together = smaller(p.chunks, larger(1, (machine.l2 / 8) / chunk_bytes));
    plan_samples(p, s, size);
    const int64_t down = ceil_divide(height, smaller(p.main.rows, p.last.rows)), across = ceil_divide(width, p.tile_width);
    p.tiles = smaller(p.samples * p.slabs.size * down * across, larger(1, (machine.l2 / 4) / (tile_size * size)));
  }
  p.tile = p.tiles * tile_size;
  plan_threads(p, s, size, tasks_of_piece(p.together < p.chunks), many_tasks);
  plan_blocked_source(p, from);
  return p;
}

/// One register block: where it reads, how far its loops go and which of its pixels are wanted.
template <class T>
struct channels_job : lanes_loops {
  const T* x = nullptr;
  const T* w = nullptr;
  T* tile = nullptr;
  int64_t runs = 0, length = 0, x_run = 0, x_row = 0;  // a run: neighbouring taps and their channels, contiguous in x and w
  int64_t tile_row = 0, tile_pixel = 0;
  int64_t row_first = 0, row_last = 0, pixel_first = 0, pixel_last = 0;
  const T* next = nullptr;  // x of the next block
  int64_t ahead = 0;        // elements to fetch for the next row with each product
  bool add = false;
};

/// Step: elements from one pixel's source to the next one's. Each row of pixels is used for a few hundred cycles only, in which the next
/// one is fetched: the processor alone does not foresee a dozen new lines at once, and waits 10 to 25 % of the time if they come from the
/// third-level cache or the other core's.
template <class T, int L, int NV, int R, int Q, int Step>
VOLUTE_NO_INLINE void channels_block(const channels_job<T>& j) noexcept {
  using V = simd::vec<T, L>;
  V acc[R][Q][NV];
  T* const tile = j.tile;
  if (j.add) {
    VOLUTE_EACH(r, R)
      VOLUTE_EACH(q, Q) {  // of pixels that are not wanted, any other's
        const int64_t row = r < j.row_last ? r : 0, pixel = q >= j.pixel_first && q < j.pixel_last ? q : j.pixel_first;
        load_all(acc[r][q], tile + row * j.tile_row + pixel * j.tile_pixel);
      }
  } else {
    set_zero(acc);
  }
  // (Not by a function: with these loops in one, g++ takes 1.01 to 1.03 times as long for few channels.)
  for (int64_t c = 0; c < j.chunks; ++c)
    for (int64_t d = 0; d < j.d; ++d)
      for (int64_t h = 0; h < j.h; ++h) {
        const T* w = j.w + j.filters_at(c, d, h);
        const T* xs = j.x + j.source_at(c, d, h);
        const T* ahead = j.after(j.x, xs, c, d, h, j.next);
        for (int64_t s = 0; s < j.runs; ++s, xs += j.x_run) {
          const T* row[R];
          VOLUTE_EACH(r, R) row[r] = xs + r * j.x_row;
          const T* const end = w + j.length * (NV * L);
          VOLUTE_NO_UNROLL
          for (; w != end; w += NV * L) {
            V wv[NV];
            load_operands<R * Q>(wv, w);
            simd::prefetch(ahead);
            ahead += j.ahead;
            VOLUTE_EACH(r, R) {
              VOLUTE_EACH(q, Q) add_products(acc[r][q], V(row[r][q * Step]), wv);
              ++row[r];
            }
          }
        }
      }
  VOLUTE_EACH(r, R)
    if (r >= j.row_first && r < j.row_last) {
      VOLUTE_EACH(q, Q)
        if (q >= j.pixel_first && q < j.pixel_last) store_all(acc[r][q], tile + r * j.tile_row + q * j.tile_pixel);
    }
}

/// Taps of an axis that any of the positions [j, j + n) needs.
constexpr tap_range taps_of_any(const correlation_axis& c, int64_t j, int64_t n, int64_t count) {
  tap_range r = taps_inside(c, j, count);
  for (int64_t i = 1; i < n; ++i) {
    const tap_range other = taps_inside(c, j + i, count);
    if (r.first == r.last)
      r = other;
    else if (other.first < other.last)
      r = {smaller(r.first, other.first), larger(r.last, other.last)};
  }
  return r;
}

/// Where a tile lies: sample of the piece, plane, first row and how many there are, first pixel of a row. Positions in a residue class.
struct tile_place {
  int64_t sample = 0, d = 0, h = 0, rows = 0, w = 0;
};

/// All tiles of a piece in one class of depth and height.
struct class_tiles {
  int64_t first = 0, planes = 0, height = 0, rows = 1, width = 1, across = 1;  // rows, width: of one tile
  int64_t down = ceil_divide(height, rows);
  constexpr int64_t count(int64_t samples) const { return samples * planes * down * across; }
  constexpr tile_place operator[](int64_t i) const {
    const int64_t plane = i / (across * down), h = i / across % down * rows;
    return {plane / planes, first + plane % planes, h, smaller(rows, height - h), i % across * width};
  }
};

/// A task of run_lanes(): class after class, tile after tile.
template <class T, int L, int Step, pixel_block B, ops::epilogue E, ops::volume_layout To>
struct channels_task {
  static constexpr int64_t lanes = B.vectors * L;
  const conv_shape& s;
  const channels_plan& p;
  const lanes_task<T>& t;
  const int64_t classes = s.class_counts[2], tile_row = p.tile_pixels * lanes;

  VOLUTE_NO_INLINE void run() const noexcept {
    const depth_slab& slab = t.piece.slab;
    for_each_plane_class(s, [&](const plane_class& plane) VOLUTE_ALWAYS_INLINE {
      const class_tiles tiles{slab.first,   larger(0, smaller(slab.last, plane.d.n) - slab.first),
                              plane.h.n,    B.rows,
                              p.tile_width, ceil_divide(s.axis[2].n, p.tile_width)};
      const auto [begin, end] = nth_range(tiles.count(t.piece.samples), t.slice, t.slices);
      for (int64_t first = begin; first < end; first += p.tiles) {
        const int64_t count = smaller(p.tiles, end - first);
        for (int64_t chunk = 0; chunk < p.chunks; chunk += p.together)
          for (int64_t i = 0; i < count; ++i) compute(plane, chunk, tiles[first + i], i, count);
        for (int64_t i = 0; i < count; ++i) store(plane, tiles[first + i], i);
      }
    });
  }

  /// The products of some chunks from `chunk` on, for tile i of the `count` that wait.
  VOLUTE_INLINE void compute(const plane_class& plane, int64_t chunk, const tile_place& at, int64_t i, int64_t count) const noexcept {
    const int64_t tap_weights = p.chunk * lanes;
    const correlation_axis &cd = plane.d, &ch = plane.h;
    const tap_range td = taps_inside(cd, at.d, p.source[0].count), th = taps_of_any(ch, at.h, at.rows, p.source[1].count);
    channels_job<T> j;
    j.chunks = smaller(p.together, p.chunks - chunk);
    j.x_row = ch.step * p.source_row;
    j.tile_row = tile_row;
    j.row_last = at.rows;
    j.add = chunk > 0;
    T* const tile = t.tile + i * B.rows * tile_row;
    const T* const from = t.row(p, cd, ch, at.sample, at.d, td.first, at.h, th.first) + chunk * p.source_chunk;
    int64_t left = classes;
    for_each_width_class(s, plane, [&](const conv_class& of_class) VOLUTE_ALWAYS_INLINE {
      const correlation_axis& cw = of_class.w;
      const bool joined = cw.taps <= 1 || cw.offset_step == 1;
      j.runs = cw.taps == 0 ? 0 : joined ? 1 : cw.taps;
      j.length = (joined ? cw.taps : 1) * p.chunk;
      j.x_run = cw.offset_step * p.chunk;
      j.steps(p, cd, ch, cw.taps * tap_weights);
      const T* const filters = t.filters + of_class.before * p.chunks * tap_weights + chunk * j.w_chunk;
      j.w = filters + j.take(td, th);
      j.tile_pixel = cw.dst_step * lanes;
      const int64_t span = (B.pixels - 1) * cw.step + (cw.taps - 1) * cw.offset_step + 1;  // pixels of a row of the source
      j.ahead = ceil_divide((B.rows - 1) * j.x_row + span * p.chunk, larger(1, cw.taps * p.chunk));
      if (p.together < p.chunks) {  // this tile's share of what the next chunks read
        const int64_t size = j.chunks * j.w_chunk, share = size / count + 1;
        const T* const next = filters + size + i * share;
        for (int64_t k = 0; k < share; k += line_of<T>) simd::prefetch(next + k);
      }
      const auto column = [&](int64_t pixel) { return (pixel * cw.step + cw.offset) * p.chunk; };
      const T* const next_row = from + (--left > 0 ? 0 : B.rows * j.x_row) + column(at.w);
      const int64_t last = smaller(cw.n, at.w + p.tile_width);
      for (int64_t q = at.w; q < last; q += B.pixels) {
        const int64_t first = larger(0, smaller(q, cw.n - B.pixels));
        j.pixel_first = q - first;
        j.pixel_last = smaller(B.pixels, last - first);
        j.x = from + column(first);
        j.next = q + B.pixels < last ? from + column(q + B.pixels) : next_row;
        j.tile = tile + (cw.dst + (first - at.w) * cw.dst_step) * lanes;
        channels_block<T, L, B.vectors, B.rows, B.pixels, Step>(j);
      }
    });
  }

  VOLUTE_INLINE void store(const plane_class& plane, const tile_place& at, int64_t i) const noexcept {
    const int64_t row = s.target_size[2], first = at.w * classes, width = smaller(p.tile_width * classes, row - first);
    for (int64_t r = 0; r < at.rows; ++r) {
      const int64_t line = plane.target_row(s, at.d, at.h + r);
      t.template store<L, 1, E, To>(s, at.sample, {t.tile + (i * B.rows + r) * tile_row, lanes, line * row + first, width, t.channels});
    }
  }
};

/// A range of the copy of x's channels in chunks, channels last with borders of zeros. A unit: a plane of one chunk, in the order of depth.
/// From: the layout of x; a blocked one is read whole.
template <class T, bool Scale, ops::volume_layout From, class Plan>
void copy_source(const conv_shape& s, const Plan& p, const T* x, const T* scale, const copy_range& range, T* to) noexcept {
  for (int64_t i = range.begin; i < range.end; ++i) {
    const int64_t c = i % p.chunks, d = i / p.chunks, channel = c * p.chunk, there = smaller(p.chunk, s.source_channels - channel);
    const int64_t first = (range.sample * s.groups + range.group) * s.source_channels + channel;
    T* const plane = to + c * p.source_chunk + (d - range.base / p.chunks) * p.source_plane;
    if constexpr (From.blocked()) {
      copy_padded_rows(p.source[1], p.source[2], p.chunk, plane, [&](int64_t h, T* row) {
        const int64_t pixel = (d * s.source_size[1] + h) * s.source_size[2];
        copy_blocked<T>(From, x, range.sample, channel, there, pixel, pixel + p.source[2].count, row, p.chunk);
      });
    } else {
      const channels_last_copy copy{there, p.chunk, s.source_volume(), s.source_size[2], p.source[1], p.source[2]};
      copy_channels_last<T, Scale>(x + first * s.source_volume() + (p.source[0].start + d * p.source[0].step) * s.source_plane(), plane,
                                   Scale ? scale + first : nullptr, copy);
    }
  }
}

template <class T, const conv_call& C, const channels_plan& p>
void run_family(const conv_run<T>& run) noexcept {
  constexpr const conv_shape& s = shape_for<C>;
  constexpr int step = int(s.axis[2].step * p.chunk);
  run_lanes<T, C, p, p.lanes>(run, [](int64_t b, const lanes_task<T>& task) noexcept {
    const auto compute = [&](auto last) VOLUTE_ALWAYS_INLINE {
      channels_task<T, p.lanes, step, last() ? p.last : p.main, C.epilogue, C.layouts.target>{s, p, task}.run();
    };
    if (p.last == p.main || b + 1 < p.blocks)
      compute(std::false_type{});
    else if constexpr (p.last != p.main)
      compute(std::true_type{});
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
