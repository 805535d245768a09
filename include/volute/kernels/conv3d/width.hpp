// Direct convolution with the width in the vector, for few output channels: vectors of neighbouring pixels of a zero-padded NCDHW copy,
// weights broadcast. Lanes run over the ends of rows (the padded rows lie end to end) and the surplus is dropped at the store; a stride
// of the source is taken out by the copy, which keeps the elements of each residue class together.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/padded.hpp>
#include <volute/kernels/conv3d/pixels.hpp>
#include <volute/kernels/conv3d/slabs.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// A register block, and the rows of the destination that share a tile.
struct width_block_size {
  int channels = 1, vectors = 1;
  int64_t slab = 1;
};

struct width_plan : pixels_plan, width_block_size {
  rows_layout rows{};
  int64_t lanes = 1;         // of one tile, at most; less than its rows' only if that is one row
  int64_t chunk = 1;         // source channels that are added to a tile at a time
  int64_t weights_size = 0;  // scaled filters of one block
  // What run_pieces() asks for: a piece is a (sample, group) pair.
  depth_slabs slabs{};
  int64_t samples = 1, source_sample = 0, source_units = 1, grain = 1;
  int64_t slices = 1;  // of the tiles of one block of output channels, if threads share its work
};

/// Sums that keep both multipliers busy: each waits for the one before, and two more hide what begins and ends a loop.
inline constexpr int64_t busy_sums = machine.latency * machine.products + 2;

/// Stored rows end within the vectors that are read of a tile: so many elements more.
inline constexpr int64_t tile_rest = 64;

constexpr int64_t width_channels(int64_t channels) {
  const int64_t most = accumulators >= 24 ? 8 : accumulators / 2;
  return ceil_divide(channels, ceil_divide(channels, most));
}

/// Elements of one channel of a tile: about 2048 in all, so that it and what it is made of stay in the first-level cache. Direct: each
/// channel is a stream from memory, and only long runs of few streams are fast (their pages may lie a power of two apart).
constexpr int64_t tile_goal(const rows_layout& r, const conv_shape& s, int64_t channels) {
  return larger(1, (r.direct ? machine.l1 / 2 : machine.l1 / 16) / (channels * s.class_counts[2]));
}

/// The block that wastes the least: of lanes behind the end of the rows, of channels that do not exist, of multiplications that wait for
/// each other (too few accumulators) or for loads (two a cycle; a vector of pixels mostly lies across two cache lines). More blocks than
/// necessary cost 1 % each, and a larger rate counts from 1 % on.
template <class T>
constexpr width_block_size best_block(const rows_layout& r, const conv_shape& s) {
  const int64_t height = s.axis[1].n, width = s.axis[2].n;
  constexpr int64_t L = simd::width<T>, registers = accumulators + 4;  // sums, pixels and one filter
  width_block_size best;
  double rate = 0;
  const int64_t fewest = ceil_divide(s.target_channels, width_channels(s.target_channels));
  for (int64_t blocks = fewest; blocks <= smaller(3 * fewest, s.target_channels); ++blocks) {
    const int64_t c = ceil_divide(s.target_channels, blocks);
    if (blocks > fewest && c < 4) break;
    const double whole = double(s.target_channels) / double(blocks * c) * (1 - 0.01 * double(blocks - fewest));
    if (whole <= rate * 1.01) continue;
    const int64_t rows = smaller(height, larger(1, tile_goal(r, s, c) / r.pitch));
    for (int64_t slab = rows; slab > 0 && slab > rows - 8; --slab)
      for (int64_t v = smaller(8, larger(1, accumulators / c)); v > 0; --v) {
        const int64_t sums = c * v;
        if (sums + v + 1 > registers && v > 1) continue;
        const double waits = sums < busy_sums ? double(sums) / busy_sums : 1, loads = double(sums) / double(2 * v + c);
        const double full = whole * waits * (loads < 1 ? loads : 1);  // if every lane were a pixel
        if (full <= rate * 1.01) continue;
        const auto lanes = [&](int64_t n) { return n == 0 ? 0 : ceil_divide((n - 1) * r.pitch + width, v * L) * v * L; };
        const double now = full * double(height * width) / double(height / slab * lanes(slab) + lanes(height % slab));
        if (now > rate * 1.01) rate = now, best = {int(c), int(v), slab};
      }
  }
  return best;
}

template <class T>
constexpr width_plan plan_width(const conv_shape& s) {
  width_plan p;
  constexpr int64_t size = sizeof(T);
  p.rows = rows_of(s);
  static_cast<width_block_size&>(p) = best_block<T>(p.rows, s);
  p.blocks = ceil_divide(s.target_channels, p.channels);
  p.order = {.targets = p.channels};
  const int64_t block = p.vectors * simd::width<T>, vectors = ceil_divide((p.slab - 1) * p.rows.pitch + s.axis[2].n, block);
  p.lanes = (p.slab > 1 ? vectors : smaller(vectors, ceil_divide(tile_goal(p.rows, s, p.channels), block))) * block;
  const int64_t window = smaller(s.kernel[0], 4) * smaller(p.rows.plane, p.lanes + p.rows.pitch * (s.kernel[1] - 1));
  p.chunk = smaller(s.source_channels, larger(p.rows.direct ? 4 : 1, (machine.l1 / 2) / (window * size)));
  p.weights_size = p.rows.direct ? whole_lines(p.channels * s.source_channels) : 0;
  p.own_size = p.weights_size + p.lanes * p.channels * s.class_counts[2] + tile_rest;
  // Direct: only the last channel is copied, whose end the last vectors may pass.
  p.source_size = whole_lines((p.rows.direct ? 1 : s.source_channels) * p.rows.channel + block + p.rows.pitch * 2);
  p.source_sample = p.source_size;
  p.source_units = (p.rows.direct ? 1 : s.source_channels) * p.rows.source[0].count;
  plan_threads(p, s, size, many_tasks, many_tasks);
  return p;
}

template <class T>
struct width_job : tap_loops {  // chunks: of one channel
  const T* x = nullptr;
  const T* w = nullptr;
  T* tile = nullptr;
  int64_t k = 0;                   // taps of the width
  const int64_t* rows = nullptr;   // where the taps of the height find their rows
  const int64_t* columns = nullptr;
  int64_t tile_channel = 0;
  bool add = false;
};

template <class T, int OB, int NV>
VOLUTE_NO_INLINE void width_block(const width_job<T>& j) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  V acc[OB][NV];
  if (j.add) {
    VOLUTE_EACH(o, OB) load_all(acc[o], j.tile + o * j.tile_channel);
  } else {
    VOLUTE_EACH(o, OB) set_zero(acc[o]);
  }
  for (int64_t c = 0; c < j.chunks; ++c)
    for (int64_t d = 0; d < j.d; ++d)
      for (int64_t h = 0; h < j.h; ++h) {
        const T* w = j.w + j.filters_at(c, d, h);
        const T* x = j.x + j.source_at(c, d, 0) + j.rows[h];
        if (j.k > 2) {  // the next plane, which the next tile reads: 16 channels of 64^3 23 -> 14 ms
          VOLUTE_UNROLL
          for (int v = 0; v <= NV; ++v) simd::prefetch(x + j.x_d + v * L);
        }
        VOLUTE_NO_UNROLL
        for (int64_t k = 0; k < j.k; ++k, w += OB) {
          V xv[NV];
          load_operands<OB>(xv, x + j.columns[k]);
          VOLUTE_EACH(o, OB) add_products(acc[o], V(w[o]), xv);
        }
      }
  VOLUTE_EACH(o, OB) store_all(acc[o], j.tile + o * j.tile_channel);
}

template <ops::conv_geometry G, conv_side Side>
inline constexpr tap_offsets<G, Side> width_offsets_of{rows_of({G, Side}), rows_of({G, Side}).source};

/// A tile: `rows` rows from h on of plane d, in one residue class of depth and height; of a row that is cut, lanes from `begin` on.
struct width_place {
  const plane_class& plane;
  int64_t d, h, rows, begin;
};

/// Slice `slice` of `slices` of the tiles of one block of output channels of a pair: OB of them, times NV vectors.
template <class T, int OB, int NV, ops::epilogue E>
struct width_task {
  const conv_shape& s;
  const width_plan& p;
  const conv_run<T>& run;
  const int64_t* offsets[2];  // of height and width
  int64_t pair, channel;      // the block's first
  int64_t slice, slices;
  const T* copy;
  const T* filters;
  T* tile;
  // Where the source has the layout itself, all but its last channel are read there.
  const int64_t split = p.rows.direct ? s.source_channels - 1 : s.source_channels;
  const T* const source = p.rows.direct ? run.x + pair * s.source_elements() : copy;

  VOLUTE_NO_INLINE void compute() const noexcept {
    for_each_plane_class(s, [&](const plane_class& plane) VOLUTE_ALWAYS_INLINE {
      const correlation_axis &cd = plane.d, &ch = plane.h;
      const int64_t cuts = p.slab > 1 ? 1 : ceil_divide(s.axis[2].n, p.lanes);  // of one row
      const auto [begin, end] = nth_range(cd.n * ceil_divide(ch.n, p.slab) * cuts, slice, slices);
      for (int64_t i = begin; i < end; ++i) {
        // Depth is innermost: two of three planes are in the second-level cache then, and the third is asked for (see width_block).
        const int64_t h = i / (cuts * cd.n) * p.slab;
        const width_place at{plane, i % cd.n, h, smaller(p.slab, ch.n - h), i / cd.n % cuts * p.lanes};
        sums(at);
        store(at);
      }
    });
  }

  /// The sums of one tile, one chunk of source channels after the other.
  VOLUTE_INLINE void sums(const width_place& at) const noexcept {
    constexpr int64_t lanes = simd::width<T> * NV;
    const correlation_axis &cd = at.plane.d, &ch = at.plane.h;
    const tap_range td = taps_inside(cd, at.d, p.rows.source[0].count);
    // Taps wholly above or below the tile are skipped: the first rows of the volume use the fewest low taps, the last the fewest high.
    tap_range th{taps_inside(ch, at.h + at.rows - 1, p.rows.source[1].count).first, 0};
    th.last = larger(th.first, taps_inside(ch, at.h, p.rows.source[1].count).last);
    const int64_t first = (at.d * cd.step + tap_position(cd, td.first, p.rows.source[0])) * p.rows.plane + at.h * p.rows.pitch + at.begin;
    width_job<T> j;
    j.x_chunk = p.rows.channel;
    j.x_d = cd.offset_step * p.rows.plane;
    j.rows = offsets[0] + at.plane.before_h + th.first;
    j.tile_channel = p.lanes * s.class_counts[2];
    int64_t chunk = 0;
    do {  // also without any source channel to read the tile must be written
      const bool last = chunk >= split;
      j.chunks = smaller((last ? s.source_channels : split) - chunk, p.chunk);
      j.add = chunk > 0;
      const T* from = (last ? copy + (chunk - split) * p.rows.channel : source + chunk * p.rows.channel) + first;
      T* to = tile;
      j.columns = offsets[1];
      for_each_width_class(s, at.plane, [&](const conv_class& of_class) VOLUTE_ALWAYS_INLINE {
        const correlation_axis& cw = of_class.w;
        j.k = cw.taps;
        j.filter_steps(cd, ch, cw.taps * OB);
        j.w = filters + of_class.before * s.source_channels * OB + chunk * j.w_chunk + j.take(td, th);
        const int64_t total = smaller(p.lanes, (at.rows - 1) * p.rows.pitch + cw.n - at.begin);
        for (int64_t i = 0; i < total; i += lanes) {
          j.x = from + i;
          j.tile = to + i;
          width_block<T, OB, NV>(j);
        }
        j.columns += j.k;
        to += p.lanes;
      });
      chunk += j.chunks;
    } while (chunk < s.source_channels);
  }

  /// A tile to its place.
  VOLUTE_INLINE void store(const width_place& at) const noexcept {
    const int64_t classes = s.class_counts[2], row = s.target_size[2], begin = at.begin * classes;
    tile_rows<T> t{tile, p.rows.pitch, classes, p.lanes, at.rows, smaller(row - begin, p.lanes * classes), at.plane.h.dst_step * row};
    for (int64_t o = channel; o < smaller(channel + p.channels, s.target_channels); ++o, t.tile += p.lanes * classes) {
      conv_place to = place_of(s, pair, o);
      to.offset += at.plane.target_row(s, at.d, at.h) * row + begin;
      store_tile<T, E>(t, run.out, to);
    }
  }
};

template <class T, const conv_call& C, const width_plan& p>
void run_family(const conv_run<T>& run) noexcept {
  constexpr const conv_shape& s = shape_for<C>;
  constexpr const tap_offsets<C.geometry, C.side>& offsets = width_offsets_of<C.geometry, C.side>;
  constexpr bool direct = p.rows.direct;  // then a scale goes onto the filters instead: there is one tap only
  constexpr int64_t copied = direct ? 1 : s.source_channels, skipped = s.source_channels - copied;
  constexpr int64_t used = copied * p.rows.channel, size = s.source_channels * s.taps() * p.channels;
  run_pieces<p.share>(
      s, p, run.scratch, run.workers,
      [&](const copy_range& range, T* to) VOLUTE_ALWAYS_INLINE {
        const int64_t first = (range.sample * s.groups + range.group) * s.source_channels;
        copy_rows<T, C.scale && !direct>(s, p.rows, run.x + (first + skipped) * s.source_volume(), copied,
                                         C.scale ? run.scale + first : nullptr, to, range.begin, range.end);
        if (range.begin == 0) fill_zeros(to + used, p.source_size - used);
      },
      [&](const conv_piece& at, int64_t b, int64_t slice, int64_t slices, const T* copy, T* own) VOLUTE_ALWAYS_INLINE {
        const int64_t pair = at.sample * s.groups + at.group;
        const T* filters = run.packed + (at.group * p.blocks + b) * size;
        if constexpr (direct && C.scale) {
          for (int64_t i = 0; i < size; ++i) own[i] = filters[i] * run.scale[pair * s.source_channels + i / p.channels];
          filters = own;
        }
        width_task<T, p.channels, p.vectors, C.epilogue>{s,      p,    run,     {offsets.h, offsets.w}, pair, b * p.channels, slice,
                                                         slices, copy, filters, own + p.weights_size}
            .compute();
      });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
