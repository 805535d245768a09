// Direct convolution with output channels in the vector. The source is copied once, channels last in blocks of at most 16 channels and
// with zero borders; R x Q pixels times NV vectors of output channels stay in registers through the whole reduction over taps and channels.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/blocked.hpp>
#include <volute/kernels/conv3d/pack.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// R rows of Q pixels times `vectors` vectors: the accumulators of one micro-kernel.
struct pixel_block {
  int vectors = 1, rows = 1, pixels = 1;
  friend constexpr bool operator==(const pixel_block&, const pixel_block&) = default;
};

/// Near-equal blocks of a row of `width` pixels; short rows are taken several at a time.
constexpr pixel_block block_for(int vectors, int64_t height, int64_t width) {
  const int64_t most = accumulators / vectors;
  if (width > most / 2 || height == 1) return {vectors, 1, static_cast<int>(ceil_divide(width, ceil_divide(width, most)))};
  const int64_t rows = ceil_divide(height, ceil_divide(height, smaller(most / width, 7)));
  return {vectors, static_cast<int>(rows), static_cast<int>(width)};
}

/// Sizes that depend on the geometry, its side and T; everything in elements.
struct channels_plan {
  int lanes = 1;
  pixel_block main, last;         // the last block of output channels may have three vectors
  int64_t blocks = 1;             // of output channels, in one group
  int64_t chunk = 1, chunks = 1;  // source channels are taken in `chunks` blocks of `chunk`
  source_axis source[3]{};
  depth_slabs slabs;
  bool blocked = false;  // the source lies as its copy would, and is read in place
  int64_t source_row = 0, source_plane = 0, source_chunk = 0, source_sample = 0;
  int64_t pass = 1;       // chunks of one pass over the pixels
  int64_t samples = 1;    // samples that share a pass
  int64_t segment = 1;    // elements of a row of the target that are computed together, in each residue class
  int64_t units = 1;      // groups of row segments whose results wait in the tile between passes
  int64_t unit_size = 0;  // of one such group, for the widest block
  sharing share = sharing::none;
  int64_t slices = 1;  // parts of the pixels of one block of output channels, if threads share its work
  constexpr int64_t block_lanes(int64_t b) const { return lanes * (b + 1 < blocks ? main.vectors : last.vectors); }
  constexpr filter_order order() const { return {blocks, block_lanes(0), block_lanes(blocks - 1), 1, chunk, chunks, false}; }
  constexpr int64_t tile() const { return units * unit_size; }
  constexpr int64_t scratch() const { return (blocked ? 0 : samples * source_sample) + tile(); }
  constexpr int64_t worker_scratch() const {  // of each worker but the first, which has scratch()
    return share == sharing::none ? 0 : ceil_divide(share == sharing::pairs ? scratch() : tile(), 16) * 16;
  }
};

template <class T>
constexpr int channel_lanes(int64_t channels) {
  constexpr int full = simd::width<T>;
  if constexpr (full >= 8 && simd::has_width<T, full / 2>) {
    if (channels <= full / 2) return full / 2;
  }
  return full;
}

template <class T>
constexpr channels_plan plan_channels(const ops::conv_geometry& g, conv_side side, const ops::volume_layout& from = {}) {
  channels_plan p;
  const conv_shape s = shape_of(g, side);
  p.lanes = channel_lanes<T>(s.target_channels);
  const int64_t vectors = ceil_divide(s.target_channels, p.lanes);
  const int64_t height = correlation(g, side, 1, 0).n, width = correlation(g, side, 2, 0).n;
  p.main = p.last = block_for(vectors == 1 ? 1 : vectors == 3 ? 3 : 2, height, width);
  if (vectors > 3 && vectors % 2 == 1) p.last = block_for(3, height, width);
  p.blocks = vectors <= 3 ? 1 : vectors / 2;
  p.chunks = ceil_divide(s.source_channels, 16);
  p.chunk = ceil_divide(s.source_channels, p.chunks);
  const int64_t rows = larger(p.main.rows, p.last.rows), pixels = larger(p.main.pixels, p.last.pixels);
  const int64_t whole = larger(ceil_divide(height, p.main.rows) * p.main.rows, ceil_divide(height, p.last.rows) * p.last.rows);
  p.source[0] = source_of(g, side, 0, 1, false);
  p.source[1] = source_of(g, side, 1, whole, rows > 1);
  p.source[2] = source_of(g, side, 2, pixels, true);
  p.source_row = p.source[2].extent * p.chunk;
  p.source_plane = p.source[1].extent * p.source_row;
  constexpr int64_t size = sizeof(T);
  p.slabs = cut_depth(g, side, p.source[0].count, p.chunks * p.source_plane * size);
  p.source_chunk = p.slabs.planes * p.source_plane;
  p.source_sample = ceil_divide(p.chunks * p.source_chunk, 16) * 16 + 64;  // 64: surplus lanes of the copy
  // Weights of one block beyond 512 KiB do not stay in the second-level cache: pass over all pixels with 128 KiB of them at a time.
  const int64_t lanes = p.lanes * larger(p.main.vectors, p.last.vectors);
  const int64_t chunk_bytes = s.taps() * p.chunk * lanes * size;
  // 128 pixels of a row at a time at most, or the tile of a long row would leave the first-level cache.
  p.segment = smaller(width, larger(1, 128 / (p.main.pixels * s.class_counts[2])) * p.main.pixels);
  p.unit_size = rows * smaller(s.target_size[2], p.segment * s.class_counts[2]) * lanes;
  p.pass = p.chunks;
  if (p.chunks * chunk_bytes > machine.l2 / 2) {
    p.pass = smaller(p.chunks, larger(1, (machine.l2 / 8) / chunk_bytes));
    if (p.slabs.count == 1) p.samples = smaller(s.batch, larger(1, machine.cached / (p.source_sample * size)));
    const int64_t all = p.samples * p.slabs.size * ceil_divide(height, smaller(p.main.rows, p.last.rows)) * ceil_divide(width, p.segment);
    p.units = smaller(all, larger(1, (machine.l2 / 4) / (p.unit_size * size)));
  }
  const int64_t pairs = ceil_divide(s.batch, p.samples) * s.groups * p.slabs.count;
  p.share = choose_sharing(conv_work(g), pairs, p.scratch() * size, p.samples == 1);
  // Blocks that stream their weights are cut no further than to feed four threads: every slice reads them again.
  if (p.share == sharing::inside)
    p.slices = smaller(ceil_divide(p.pass < p.chunks ? 8 : 32, p.blocks),
                       larger(1, parts_of(conv_work(g) / static_cast<double>(pairs * p.blocks))));
  if (from.blocked()) {
    p.blocked = true;
    if (from.padded()) {
      p.source[1].pad = from.rows_before, p.source[1].extent = from.all_rows;
      p.source[2].pad = from.columns_before, p.source[2].extent = from.all_columns;
    }
    p.source_row = p.source[2].extent * p.chunk;
    p.source_plane = p.source[1].extent * p.source_row;
    p.source_chunk = p.source[0].count * p.source_plane;
    p.source_sample = p.chunks * p.source_chunk;
  }
  return p;
}

constexpr int64_t channels_packed_size(const channels_plan& p, const ops::conv_geometry& g) {
  return g.groups * p.order().group_size(g.taps());
}

template <class T>
void pack_channels(const conv_shape& s, const channels_plan& p, const T* w, T* packed, const team<T>& workers) noexcept {
  pack_filters(s, p.order(), w, packed, workers);
}

/// One register block: where it reads, how far its loops go and which of its pixels are wanted.
template <class T>
struct channels_job {
  const T* x = nullptr;
  const T* w = nullptr;
  T* tile = nullptr;
  int64_t chunks = 0, d = 0, h = 0, segments = 0, length = 0;  // a segment: neighbouring taps and their channels, contiguous in x and w
  int64_t x_chunk = 0, x_d = 0, x_h = 0, x_segment = 0, x_row = 0;
  int64_t w_chunk = 0, w_d = 0, w_h = 0;
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
__attribute__((noinline)) void channels_block(const channels_job<T>& j) noexcept {
  using V = simd::vec<T, L>;
  V acc[R][Q][NV];
  T* const tile = j.tile;
  if (j.add) {
    VOLUTE_UNROLL
    for (int r = 0; r < R; ++r) VOLUTE_UNROLL
    for (int q = 0; q < Q; ++q) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) {  // of pixels that are not wanted, any other's
      const int64_t row = r < j.row_last ? r : 0, pixel = q >= j.pixel_first && q < j.pixel_last ? q : j.pixel_first;
      acc[r][q][v] = simd::load<V>(tile + row * j.tile_row + pixel * j.tile_pixel + v * L);
    }
  } else {
    VOLUTE_UNROLL
    for (int r = 0; r < R; ++r) VOLUTE_UNROLL
    for (int q = 0; q < Q; ++q) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) acc[r][q][v] = V(T(0));
  }
  for (int64_t c = 0; c < j.chunks; ++c)
    for (int64_t d = 0; d < j.d; ++d)
      for (int64_t h = 0; h < j.h; ++h) {
        const T* w = j.w + c * j.w_chunk + d * j.w_d + h * j.w_h;
        const T* xs = j.x + c * j.x_chunk + d * j.x_d + h * j.x_h;
        const T* ahead = h + 1 < j.h        ? xs + j.x_h
                         : d + 1 < j.d      ? j.x + c * j.x_chunk + (d + 1) * j.x_d
                         : c + 1 < j.chunks ? j.x + (c + 1) * j.x_chunk
                                            : j.next;
        for (int64_t s = 0; s < j.segments; ++s, xs += j.x_segment) {
          const T* row[R];
          VOLUTE_UNROLL
          for (int r = 0; r < R; ++r) row[r] = xs + r * j.x_row;
          const T* const end = w + j.length * (NV * L);
          VOLUTE_NO_UNROLL
          for (; w != end; w += NV * L) {
            V wv[NV];
            VOLUTE_UNROLL
            for (int v = 0; v < NV; ++v) wv[v] = simd::load<V>(w + v * L);
            simd::prefetch(ahead);
            ahead += j.ahead;
            VOLUTE_UNROLL
            for (int r = 0; r < R; ++r) {
              VOLUTE_UNROLL
              for (int q = 0; q < Q; ++q) {
                const V xv(row[r][q * Step]);
                VOLUTE_UNROLL
                for (int v = 0; v < NV; ++v) acc[r][q][v] = simd::fma(xv, wv[v], acc[r][q][v]);
              }
              ++row[r];
            }
          }
        }
      }
  VOLUTE_UNROLL
  for (int r = 0; r < R; ++r)
    if (r >= j.row_first && r < j.row_last) {
      VOLUTE_UNROLL
      for (int q = 0; q < Q; ++q)
        if (q >= j.pixel_first && q < j.pixel_last) {
          VOLUTE_UNROLL
          for (int v = 0; v < NV; ++v) simd::store(tile + r * j.tile_row + q * j.tile_pixel + v * L, acc[r][q][v]);
        }
    }
}

/// One block of output channels of a piece from its copy: slice number `slice` of its `slices` parts of the pixels.
template <class T, int L, int Step, pixel_block B, ops::epilogue E, ops::volume_layout Target>
__attribute__((noinline)) void channels_task(const conv_shape& s, const channels_plan& p, const conv_piece& piece, const T* source,
                                             const T* packed, T* tile, int64_t channel, int64_t slice, int64_t slices, T* y,
                                             const T* const* extra) noexcept {
  const depth_slab& slab = piece.slab;
  constexpr int64_t lanes = B.vectors * L;
  const int64_t valid = smaller(lanes, s.target_channels - channel), volume = s.target_volume();
  const int64_t target_row = s.target_size[2], weights_tap = p.chunk * lanes, classes = s.class_counts[2];
  const int64_t tile_row = smaller(target_row, p.segment * classes) * lanes, unit = B.rows * tile_row;
  const int64_t segments = ceil_divide(s.classes[2][0].n, p.segment);
  int64_t taps_before = 0;
  for (int64_t id = 0; id < s.class_counts[0]; ++id)
    for (int64_t ih = 0; ih < s.class_counts[1]; ++ih) {
      const correlation_axis &cd = s.classes[0][id], &ch = s.classes[1][ih];
      const int64_t planes = larger(0, smaller(slab.last, cd.n) - slab.first);
      const int64_t row_groups = ceil_divide(ch.n, B.rows), all = piece.samples * planes * row_groups * segments;
      const int64_t units = all * (slice + 1) / slices;
      for (int64_t begin = all * slice / slices; begin < units; begin += p.units) {
        const int64_t end = smaller(units, begin + p.units);
        for (int64_t chunk = 0; chunk < p.chunks; chunk += p.pass) {
          channels_job<T> j;
          j.chunks = smaller(p.pass, p.chunks - chunk);
          j.x_chunk = p.source_chunk;
          j.x_d = cd.offset_step * p.source_plane;
          j.x_h = ch.offset_step * p.source_row;
          j.x_row = ch.step * p.source_row;
          j.tile_row = tile_row;
          j.add = chunk > 0;
          for (int64_t u = begin; u < end; ++u) {
            const int64_t group_row = u / segments, plane = group_row / row_groups;
            const int64_t n = plane / planes, d = slab.first + plane % planes;
            const int64_t h = (group_row % row_groups) * B.rows, first = (u % segments) * p.segment;
            const tap_range td = taps_inside(cd, d, p.source[0].count);
            j.row_last = smaller(B.rows, ch.n - h);
            tap_range th = taps_inside(ch, h, p.source[1].count);
            for (int64_t r = 1; r < j.row_last; ++r) {
              const tap_range other = taps_inside(ch, h + r, p.source[1].count);
              if (th.first == th.last)
                th = other;
              else if (other.first < other.last)
                th = {smaller(th.first, other.first), larger(th.last, other.last)};
            }
            j.d = td.last - td.first;
            j.h = th.last - th.first;
            const T* from = source + n * p.source_sample + chunk * p.source_chunk +
                            (d * cd.step + cd.offset + td.first * cd.offset_step - slab.begin) * p.source_plane +
                            (h * ch.step + ch.offset + th.first * ch.offset_step + p.source[1].pad) * p.source_row;
            int64_t taps = taps_before;
            for (int64_t iw = 0; iw < classes; ++iw) {
              const correlation_axis& cw = s.classes[2][iw];
              const bool joined = cw.taps <= 1 || cw.offset_step == 1;
              j.segments = cw.taps == 0 ? 0 : joined ? 1 : cw.taps;
              j.length = (joined ? cw.taps : 1) * p.chunk;
              j.x_segment = cw.offset_step * p.chunk;
              j.w_h = cw.taps * weights_tap;
              j.w_d = ch.taps * j.w_h;
              j.w_chunk = cd.taps * j.w_d;
              const T* pass = packed + taps * p.chunks * weights_tap + chunk * j.w_chunk;
              j.w = pass + td.first * j.w_d + th.first * j.w_h;
              j.tile_pixel = cw.dst_step * lanes;
              const int64_t span = (B.pixels - 1) * cw.step + (cw.taps - 1) * cw.offset_step + 1;  // pixels of a row of the source
              j.ahead = ceil_divide((B.rows - 1) * j.x_row + span * p.chunk, larger(1, cw.taps * p.chunk));
              const T* const next_row = from + (iw + 1 < classes ? 0 : B.rows * j.x_row);
              const int64_t last = smaller(cw.n, first + p.segment);
              if (p.pass < p.chunks) {  // this unit's share of what the next pass reads
                const int64_t size = j.chunks * j.w_chunk, share = size / (end - begin) + 1;
                const T* next = pass + size + (u - begin) * share;
                for (int64_t i = 0; i < share; i += 64 / static_cast<int64_t>(sizeof(T))) simd::prefetch(next + i);
              }
              for (int64_t q = first; q < last; q += B.pixels) {
                const int64_t q0 = larger(0, smaller(q, cw.n - B.pixels));
                j.pixel_first = q - q0;
                j.pixel_last = smaller(B.pixels, last - q0);
                const auto column = [&](int64_t pixel) { return (pixel * cw.step + cw.offset + p.source[2].pad) * p.chunk; };
                j.x = from + column(q0);
                j.next = q + B.pixels < last ? from + column(q + B.pixels) : next_row + column(first);
                j.tile = tile + (u - begin) * unit + (cw.dst + (q0 - first) * cw.dst_step) * lanes;
                channels_block<T, L, B.vectors, B.rows, B.pixels, Step>(j);
              }
              taps += cd.taps * ch.taps * cw.taps;
            }
          }
        }
        for (int64_t u = begin; u < end; ++u) {
          const int64_t group_row = u / segments, plane = group_row / row_groups;
          const int64_t n = piece.sample + plane / planes, d = slab.first + plane % planes;
          const int64_t h = (group_row % row_groups) * B.rows, first = (u % segments) * p.segment * classes;
          const int64_t width = smaller(p.segment * classes, target_row - first);
          conv_place at{n, piece.group * s.target_channels + channel, s.groups * s.target_channels, 0};
          for (int64_t r = 0; r < smaller(B.rows, ch.n - h); ++r) {
            const T* const results = tile + (u - begin) * unit + r * tile_row;
            const int64_t pixel = ((cd.dst + d * cd.dst_step) * s.target_size[1] + ch.dst + (h + r) * ch.dst_step) * target_row + first;
            if constexpr (Target.blocked()) {
              store_blocked<T, L, E, Target>(results, lanes, pixel, width, valid, y, extra, at);
            } else {
              at.offset = (n * at.channels + at.channel) * volume + pixel;
              store_pixels<T, L, E>(results, lanes, width, valid, y, volume, extra, at);
            }
          }
        }
      }
      for (int64_t iw = 0; iw < classes; ++iw) taps_before += cd.taps * ch.taps * s.classes[2][iw].taps;
    }
}

/// The source channels of one group of one sample into its copy: of the planes of all chunks, in the order of depth, those in [begin, end).
/// The copy's first plane is the source's plane `base`.
template <class T, bool Scale>
void copy_source_channels(const conv_shape& s, const channels_plan& p, const T* x, const T* scale, int64_t sample, int64_t group, T* to,
                          int64_t begin, int64_t end, int64_t base = 0) noexcept {
  const int64_t channels = s.groups * s.source_channels, volume = s.source_volume();
  const int64_t plane = s.source_size[1] * s.source_size[2];
  for (int64_t i = begin; i < end; ++i) {
    const int64_t c = i % p.chunks, d = i / p.chunks, first = sample * channels + group * s.source_channels + c * p.chunk;
    const channels_last_copy copy{
        smaller(p.chunk, s.source_channels - c * p.chunk), p.chunk, volume, s.source_size[2], p.source[1], p.source[2]};
    copy_channels_last<T, Scale>(x + first * volume + (p.source[0].start + d * p.source[0].step) * plane,
                                 to + c * p.source_chunk + (d - base) * p.source_plane, Scale ? scale + first : nullptr, copy);
  }
}

template <class T, ops::conv_geometry G, conv_side Side, ops::epilogue E, bool Scale, ops::conv_layouts Layouts>
void run_channels(const conv_shape& s, const T* x, const T* packed, T* y, const T* const* extra, const T* scale, T* scratch,
                  const team<T>& workers) noexcept {
  static constexpr channels_plan p = plan_channels<T>(G, Side, Layouts.source);
  constexpr int step = static_cast<int>(correlation(G, Side, 2, 0).step * p.chunk);
  const auto block = [&](const conv_piece& piece, int64_t b, int64_t slice, int64_t slices, const T* source, T* tile) noexcept {
    const int64_t channel = b * p.block_lanes(0);
    const T* w = packed + p.order().block_first(piece.group, b, s.taps());
    if (p.last == p.main || b + 1 < p.blocks)
      channels_task<T, p.lanes, step, p.main, E, Layouts.target>(s, p, piece, source, w, tile, channel, slice, slices, y, extra);
    else if constexpr (p.last != p.main)
      channels_task<T, p.lanes, step, p.last, E, Layouts.target>(s, p, piece, source, w, tile, channel, slice, slices, y, extra);
  };
  if constexpr (Layouts.source.blocked())
    run_blocked_pieces<p.share>(s, p, x, scratch, workers, block);
  else
    run_pieces<p.share>(
        s, p, scratch, workers, [&](const depth_slab& slab) { return (slab.end - slab.begin) * p.chunks; },
        [&](const conv_piece& piece, int64_t n, T* to, int64_t begin, int64_t end) noexcept {
          const int64_t first = piece.slab.begin * p.chunks;
          copy_source_channels<T, Scale>(s, p, x, scale, piece.sample + n, piece.group, to, first + begin, first + end, piece.slab.begin);
        },
        block);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
