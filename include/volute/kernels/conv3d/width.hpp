// Direct convolution with the width in the vector, for few output channels: vectors of neighbouring pixels of a zero-padded NCDHW copy,
// weights broadcast. Lanes run over the ends of rows (the padded rows lie end to end) and the surplus is dropped at the store; a stride
// of the source is taken out by the copy, which keeps the elements of each residue class together.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/channels.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/store.hpp>

#include <cstdint>
#include <cstring>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Sizes of the padded copy: [channel][depth][w residue][h residue][row][column].
struct rows_layout {
  source_axis source[3]{};
  int64_t step[2]{1, 1};        // residues of height and width
  int64_t rows = 1, pitch = 1;  // of one residue class
  int64_t plane = 0, channel = 0;
  bool direct = false;                                    // the source itself has this layout
  constexpr int64_t offset(int64_t h, int64_t w) const {  // of padded position (h, w)
    return (((w % step[1]) * step[0] + h % step[0]) * rows + h / step[0]) * pitch + w / step[1];
  }
};

constexpr rows_layout rows_of(const ops::conv_geometry& g, conv_side side) {
  rows_layout r;
  for (int a = 0; a < 3; ++a) r.source[a] = source_of(g, side, a, 1, a > 0);
  r.step[0] = correlation(g, side, 1, 0).step;
  r.step[1] = correlation(g, side, 2, 0).step;
  r.rows = ceil_divide(r.source[1].extent, r.step[0]);
  r.pitch = ceil_divide(r.source[2].extent, r.step[1]);
  r.plane = r.step[0] * r.step[1] * r.rows * r.pitch;
  r.channel = r.source[0].count * r.plane;
  r.direct = g.taps() == 1 && class_count(g, side, 0) * class_count(g, side, 1) * class_count(g, side, 2) == 1;
  for (int a = 0; a < 3; ++a) {
    const int64_t size = shape_of(g, side).source_size[a];
    r.direct =
        r.direct && r.source[a].step == 1 && r.source[a].count == size && r.source[a].extent == size && (a == 0 || r.step[a - 1] == 1);
  }
  return r;
}

/// The padded copy of some channels of one sample: of the planes of all of them, in the order of depth, those in [first_plane, last_plane).
/// Who copies a plane then convolves it, and has it in the cache.
template <class T, bool Scale>
__attribute__((noinline)) void copy_rows(const conv_shape& s, const rows_layout& r, const T* x, int64_t channels, const T* scale, T* copy,
                                         int64_t first_plane, int64_t last_plane) noexcept {
  const int64_t row = s.source_size[2], plane = s.source_size[1] * row;
  const source_axis &h = r.source[1], &w = r.source[2];
  int64_t c = first_plane % channels, d = first_plane / channels;
  for (int64_t p = first_plane; p < last_plane; ++p, c = c + 1 < channels ? c + 1 : (++d, 0)) {
    T* const to = copy + (c * r.source[0].count + d) * r.plane;
    T factor(1);
    if constexpr (Scale) factor = scale[c];

    const T* from = x + c * s.source_volume() + (r.source[0].start + d * r.source[0].step) * plane + h.start * row + w.start;
    for (int64_t rw = 0; rw < r.step[1]; ++rw)
      for (int64_t rh = 0; rh < r.step[0]; ++rh)
        for (int64_t i = 0; i < r.rows; ++i) {
          T* line = to + ((rw * r.step[0] + rh) * r.rows + i) * r.pitch;
          const int64_t source_row = i * r.step[0] + rh - h.pad;
          if (source_row < 0 || source_row >= h.count) {
            std::memset(line, 0, static_cast<std::size_t>(r.pitch) * sizeof(T));
            continue;
          }
          const T* in = from + source_row * h.step * row;
          if (r.step[1] == 1) {
            for (int64_t k = 0; k < w.pad; ++k) line[k] = T(0);
            if (w.step == 1)
              for (int64_t k = 0; k < w.count; ++k) line[w.pad + k] = Scale ? in[k] * factor : in[k];
            else
              for (int64_t k = 0; k < w.count; ++k) line[w.pad + k] = Scale ? in[k * w.step] * factor : in[k * w.step];
            for (int64_t k = w.pad + w.count; k < r.pitch; ++k) line[k] = T(0);
          } else {
            const int64_t step = r.step[1], before = smaller(r.pitch, larger(0, ceil_divide(w.pad - rw, step)));
            const int64_t end = larger(before, smaller(r.pitch, ceil_divide(w.count + w.pad - rw, step)));
            const T* first = in + (rw - w.pad);
            for (int64_t k = 0; k < before; ++k) line[k] = T(0);
            if (step == 2)  // a constant, for the sake of vectors
              for (int64_t k = before; k < end; ++k) line[k] = Scale ? first[k * 2] * factor : first[k * 2];
            else
              for (int64_t k = before; k < end; ++k) line[k] = Scale ? first[k * step] * factor : first[k * step];
            for (int64_t k = end; k < r.pitch; ++k) line[k] = T(0);
          }
        }
  }
}

struct width_plan {
  int channels = 1, vectors = 1;  // accumulators of one register block
  int64_t blocks = 1;             // of output channels, in one group
  int64_t slab = 1;               // rows of the destination that share a tile
  int64_t segment = 1;            // lanes of one tile, at most; less than a slab's only if a slab is one row
  int64_t pass = 1;               // source channels of one pass over a tile
  int64_t tile_class = 0;         // tile elements of one channel and one residue class of the width
  rows_layout rows{};
  int64_t source_size = 0, weights_size = 0, tile_size = 0;
  sharing share = sharing::none;
  int64_t slices = 1;  // parts of the slabs of one block of output channels, if threads share its work
  constexpr int64_t tile() const { return weights_size + tile_size; }
  constexpr int64_t scratch() const { return source_size + tile(); }
  constexpr int64_t worker_scratch() const {  // of each worker but the first, which has scratch()
    return share == sharing::none ? 0 : ceil_divide(share == sharing::pairs ? scratch() : tile(), 16) * 16;
  }
};

constexpr int64_t width_channels(int64_t channels) {
  const int64_t most = accumulators >= 24 ? 8 : accumulators / 2;
  return ceil_divide(channels, ceil_divide(channels, most));
}

/// Elements of one channel of a tile: about 2048 in all, so that it and what it is made of stay in the first-level cache. Direct: each
/// channel is a stream from memory, and only long runs of few streams are fast (their pages may lie a power of two apart).
constexpr int64_t tile_goal(const rows_layout& r, const conv_shape& s, int64_t channels) {
  return larger(1, (r.direct ? 16384 : 2048) / (channels * s.class_counts[2]));
}

/// Channels and vectors of a register block, and rows that share a tile.
struct width_tile {
  int channels = 1, vectors = 1;
  int64_t slab = 1;
};

/// The tile that wastes the least: of lanes behind the end of the rows, of channels that do not exist, of multiplications that wait for
/// each other (fewer than 10 accumulators) or for loads (two a cycle; a vector of pixels mostly lies across two cache lines).
template <class T>
constexpr width_tile best_tile(const rows_layout& r, const conv_shape& s, int64_t height, int64_t width) {
  constexpr int64_t L = simd::width<T>, registers = accumulators > 12 ? 32 : accumulators > 8 ? 16 : 12;
  const auto count = [](int64_t n) { return static_cast<double>(n); };
  width_tile best;
  double rate = 0;
  const int64_t fewest = ceil_divide(s.target_channels, width_channels(s.target_channels));
  for (int64_t blocks = fewest; blocks <= smaller(3 * fewest, s.target_channels); ++blocks) {
    const int64_t c = ceil_divide(s.target_channels, blocks);
    if (blocks > fewest && c < 4) break;
    const int64_t goal = tile_goal(r, s, c), rows = smaller(height, larger(1, goal / r.pitch));
    for (int64_t slab = rows; slab > 0 && slab > rows - 8; --slab)
      for (int64_t v = smaller(8, larger(1, accumulators / c)); v > 0; --v) {
        if (c * v + v + 1 > registers && v > 1) continue;
        const auto lanes = [&](int64_t n) { return n == 0 ? 0 : ceil_divide((n - 1) * r.pitch + width, v * L) * v * L; };
        const double useful =
            count(height * width * s.target_channels) / count((height / slab * lanes(slab) + lanes(height % slab)) * blocks * c);
        const double waits = count(c * v) < 10 ? count(c * v) / 10 : 1, loads = count(c * v) / count(2 * v + c);
        const double now = useful * waits * (loads < 1 ? loads : 1) * (1 - 0.01 * count(blocks - fewest));
        if (now > rate * 1.01) rate = now, best = {static_cast<int>(c), static_cast<int>(v), slab};
      }
  }
  return best;
}

template <class T>
constexpr width_plan plan_width(const ops::conv_geometry& g, conv_side side) {
  width_plan p;
  const conv_shape s = shape_of(g, side);
  constexpr int64_t size = sizeof(T);
  p.rows = rows_of(g, side);
  const int64_t height = correlation(g, side, 1, 0).n, width = correlation(g, side, 2, 0).n;
  const width_tile tile = best_tile<T>(p.rows, s, height, width);
  p.channels = tile.channels;
  p.vectors = tile.vectors;
  p.slab = tile.slab;
  p.blocks = ceil_divide(s.target_channels, p.channels);
  const int64_t goal = tile_goal(p.rows, s, p.channels), lanes = (p.slab - 1) * p.rows.pitch + width;
  const int64_t block = p.vectors * simd::width<T>;
  p.segment =
      p.slab > 1 ? ceil_divide(lanes, block) * block : smaller(ceil_divide(lanes, block), larger(1, ceil_divide(goal, block))) * block;
  p.tile_class = p.segment;
  const int64_t window = smaller(g.kernel[0], 4) * smaller(p.rows.plane, p.segment + p.rows.pitch * (g.kernel[1] - 1));
  p.pass = smaller(s.source_channels, larger(p.rows.direct ? 4 : 1, (machine.l1 / 2) / (window * size)));
  p.tile_size = p.tile_class * p.channels * s.class_counts[2] + 64;  // 64: the store of a row's end reads whole vectors
  p.weights_size = p.rows.direct ? ceil_divide(p.channels * s.source_channels, 16) * 16 : 0;
  // Direct: only the last channel is copied, whose end the last vectors may pass.
  p.source_size = ceil_divide((p.rows.direct ? 1 : s.source_channels) * p.rows.channel + block + p.rows.pitch * 2, 16) * 16;
  const int64_t pairs = s.batch * s.groups;
  p.share = choose_sharing(conv_work(g), pairs, p.scratch() * size, true);
  if (p.share == sharing::inside)
    p.slices = smaller(ceil_divide(32, p.blocks), larger(1, parts_of(conv_work(g) / static_cast<double>(pairs * p.blocks))));
  return p;
}

constexpr int64_t width_packed_size(const width_plan& p, const ops::conv_geometry& g, const conv_shape& s) {
  return g.groups * p.blocks * p.channels * s.source_channels * g.taps();
}

/// Packed: [group][block of output channels][class][source channel][tap d][tap h][tap w][output channel].
template <class T>
__attribute__((noinline)) void pack_width(const conv_shape& s, const width_plan& p, const T* w, T* packed) noexcept {
  for (int64_t group = 0; group < s.groups; ++group)
    for (int64_t b = 0; b < p.blocks; ++b) {
      T* const next = packed + s.source_channels * s.taps() * p.channels;  // a stride wider than the input leaves taps out
      for_each_class(s, [&](const correlation_axis& cd, const correlation_axis& ch, const correlation_axis& cw, int64_t) {
        for (int64_t c = 0; c < s.source_channels; ++c)
          for (int64_t d = 0; d < cd.taps; ++d)
            for (int64_t h = 0; h < ch.taps; ++h)
              for (int64_t x = 0; x < cw.taps; ++x) {
                const int64_t tap = ((cd.k + d * cd.k_step) * s.kernel[1] + ch.k + h * ch.k_step) * s.kernel[2] + cw.k + x * cw.k_step;
                const T* from = w + group * s.target_channels * s.source_channels * s.taps() + c * s.weight_source + tap;
                for (int64_t i = 0; i < p.channels; ++i, ++packed) {
                  const int64_t o = b * p.channels + i;
                  *packed = o < s.target_channels ? from[o * s.weight_target] : T(0);
                }
              }
      });
      packed = next;
    }
}

template <class T>
struct width_job {
  const T* x = nullptr;
  const T* w = nullptr;
  T* tile = nullptr;
  int64_t channels = 0, d = 0, h = 0, k = 0;  // loop counts
  int64_t x_channel = 0, x_d = 0;
  const int64_t* x_h = nullptr;  // offsets of the taps
  const int64_t* x_w = nullptr;
  int64_t w_channel = 0, w_d = 0, w_h = 0;
  int64_t tile_channel = 0;
  bool add = false;
};

template <class T, int OB, int NV>
__attribute__((noinline)) void width_block(const width_job<T>& j) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  V acc[OB][NV];
  if (j.add) {
    VOLUTE_UNROLL
    for (int o = 0; o < OB; ++o) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) acc[o][v] = simd::load<V>(j.tile + o * j.tile_channel + v * L);
  } else {
    VOLUTE_UNROLL
    for (int o = 0; o < OB; ++o) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) acc[o][v] = V(T(0));
  }
  for (int64_t c = 0; c < j.channels; ++c)
    for (int64_t d = 0; d < j.d; ++d)
      for (int64_t h = 0; h < j.h; ++h) {
        const T* w = j.w + c * j.w_channel + d * j.w_d + h * j.w_h;
        const T* x = j.x + c * j.x_channel + d * j.x_d + j.x_h[h];
        if (j.k > 2) {  // the next plane, which the next tile reads: 16 channels of 64^3 23 -> 14 ms
          VOLUTE_UNROLL
          for (int v = 0; v <= NV; ++v) simd::prefetch(x + j.x_d + v * L);
        }
        VOLUTE_NO_UNROLL
        for (int64_t k = 0; k < j.k; ++k, w += OB) {
          const T* xk = x + j.x_w[k];
          V xv[NV];
          VOLUTE_UNROLL
          for (int v = 0; v < NV; ++v) xv[v] = simd::load<V>(xk + v * L);
          VOLUTE_UNROLL
          for (int o = 0; o < OB; ++o) {
            const V wv(w[o]);
            VOLUTE_UNROLL
            for (int v = 0; v < NV; ++v) acc[o][v] = simd::fma(wv, xv[v], acc[o][v]);
          }
        }
      }
  VOLUTE_UNROLL
  for (int o = 0; o < OB; ++o) VOLUTE_UNROLL
  for (int v = 0; v < NV; ++v) simd::store(j.tile + o * j.tile_channel + v * L, acc[o][v]);
}

/// One row of a tile into y: the residue classes of the width in turn, each `tile_class` elements after the one before.
template <class T, ops::epilogue E>
__attribute__((noinline)) void store_row(const T* tile, int64_t classes, int64_t tile_class, int64_t width, T* y, const T* const* extra,
                                         conv_place at) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  for (int64_t w = 0; w < width; w += L) {
    const int n = static_cast<int>(smaller(L, width - w));
    V value;
    if (classes == 1) {
      value = simd::load<V>(tile + w);
    } else if (classes == 2) {
      value = simd::zip_low(simd::load<V>(tile + w / 2), simd::load<V>(tile + tile_class + w / 2));
    } else {
      alignas(64) T mixed[L] = {};
      int64_t r = w % classes, i = w / classes;
      for (int k = 0; k < n; ++k) {
        mixed[k] = tile[r * tile_class + i];
        if (++r == classes) r = 0, ++i;
      }
      value = simd::load<V>(mixed);
    }
    finish<E>(value, y, extra, at, n);
    at.offset += L;
  }
}

/// Offsets of the taps of height and width in the padded copy, for all classes one after the other.
template <ops::conv_geometry G, conv_side Side>
struct width_offsets {
  int64_t h[G.kernel[1]], w[G.kernel[2]];
  constexpr width_offsets() : h{}, w{} {
    const rows_layout r = rows_of(G, Side);
    int64_t at = 0;
    for (int64_t c = 0; c < class_count(G, Side, 1); ++c) {
      const correlation_axis x = correlation(G, Side, 1, c);
      for (int64_t t = 0; t < x.taps; ++t) h[at++] = r.offset(x.offset + t * x.offset_step + r.source[1].pad, 0);
    }
    at = 0;
    for (int64_t c = 0; c < class_count(G, Side, 2); ++c) {
      const correlation_axis x = correlation(G, Side, 2, c);
      for (int64_t t = 0; t < x.taps; ++t) w[at++] = r.offset(0, x.offset + t * x.offset_step + r.source[2].pad);
    }
  }
};
template <ops::conv_geometry G, conv_side Side>
inline constexpr width_offsets<G, Side> width_offsets_of{};

/// One block of output channels of one group of one sample: part `slice` of `slices` of its slabs of rows. Source channels from `split` on
/// are found at last_channels.
template <class T, int OB, int NV, ops::epilogue E>
__attribute__((noinline)) void width_task(const conv_shape& s, const width_plan& p, const int64_t* offsets_h, const int64_t* offsets_w,
                                          const T* source, int64_t split, const T* last_channels, const T* packed, T* tile, int64_t sample,
                                          int64_t group, int64_t channel, int64_t slice, int64_t slices, T* y,
                                          const T* const* extra) noexcept {
  constexpr int64_t block = OB, lanes = simd::width<T> * NV;
  const int64_t classes = s.class_counts[2], row = s.target_size[2];
  const int64_t valid = smaller(block, s.target_channels - channel);
  width_job<T> j;
  j.x_channel = p.rows.channel;
  j.tile_channel = p.tile_class * classes;
  int64_t taps_before = 0;
  for (int64_t id = 0; id < s.class_counts[0]; ++id) {
    const correlation_axis& cd = s.classes[0][id];
    int64_t first_h = 0;
    j.x_d = cd.offset_step * p.rows.plane;
    for (int64_t ih = 0; ih < s.class_counts[1]; ++ih) {
      const correlation_axis& ch = s.classes[1][ih];
      const int64_t slabs = ceil_divide(ch.n, p.slab);  // of several rows, or of one row that may have several segments
      const int64_t segments = p.slab > 1 ? 1 : ceil_divide(s.classes[2][0].n, p.segment), all = cd.n * slabs * segments;
      const int64_t last_unit = all * (slice + 1) / slices;
      for (int64_t u = all * slice / slices; u < last_unit; ++u) {
        // Depth is innermost: two of three planes are in the second-level cache then, and the third is asked for (see width_block).
        const int64_t d = u % cd.n, h = u / (segments * cd.n) * p.slab, begin = u / cd.n % segments * p.segment;
        const tap_range td = taps_inside(cd, d, p.rows.source[0].count);
        j.d = td.last - td.first;
        const int64_t plane = (d * cd.step + cd.offset + td.first * cd.offset_step) * p.rows.plane;
        const int64_t count = smaller(p.slab, ch.n - h);
        // Taps wholly above or below the slab are skipped: the first rows of the volume use the fewest low taps, the last the fewest
        // high.
        const int64_t t0 = taps_inside(ch, h + count - 1, p.rows.source[1].count).first;
        const int64_t t1 = larger(t0, taps_inside(ch, h, p.rows.source[1].count).last);
        j.h = t1 - t0;
        j.x_h = offsets_h + first_h + t0;
        int64_t pass = 0;
        do {  // also without any source channel to read the tile must be written
          int64_t first_w = 0, taps = taps_before;
          j.channels = smaller(pass < split ? split - pass : s.source_channels - pass, p.pass);
          j.add = pass > 0;
          const T* from = (pass < split ? source + pass * p.rows.channel : last_channels + (pass - split) * p.rows.channel) + plane;
          for (int64_t iw = 0; iw < classes; ++iw) {
            const correlation_axis& cw = s.classes[2][iw];
            j.k = cw.taps;
            j.x_w = offsets_w + first_w;
            j.w_h = cw.taps * block;
            j.w_d = ch.taps * j.w_h;
            j.w_channel = cd.taps * j.w_d;
            j.w = packed + taps * s.source_channels * block + pass * j.w_channel + td.first * j.w_d + t0 * j.w_h;
            const int64_t total = smaller(p.segment, (count - 1) * p.rows.pitch + cw.n - begin);
            for (int64_t at = 0; at < total; at += lanes) {
              j.x = from + h * p.rows.pitch + begin + at;
              j.tile = tile + iw * p.tile_class + at;
              width_block<T, OB, NV>(j);
            }
            first_w += cw.taps;
            taps += cd.taps * ch.taps * cw.taps;
          }
          pass += j.channels;
        } while (pass < s.source_channels);
        conv_place at{sample, 0, s.groups * s.target_channels, 0};
        const int64_t width = smaller(row - begin * classes, p.segment * classes);  // of rows cut in segments; else the whole row
        for (int64_t o = 0; o < valid; ++o) {
          at.channel = group * s.target_channels + channel + o;
          for (int64_t i = 0; i < count; ++i) {
            at.offset = (sample * at.channels + at.channel) * s.target_volume() + begin * classes +
                        ((cd.dst + d * cd.dst_step) * s.target_size[1] + ch.dst + (h + i) * ch.dst_step) * row;
            store_row<T, E>(tile + o * j.tile_channel + i * p.rows.pitch, classes, p.tile_class, width, y, extra, at);
          }
        }
      }
      first_h += ch.taps;
      for (int64_t iw = 0; iw < classes; ++iw) taps_before += cd.taps * ch.taps * s.classes[2][iw].taps;
    }
  }
}

template <class T, ops::conv_geometry G, conv_side Side, ops::epilogue E, bool Scale>
void run_width(const T* x, const T* packed, T* y, const T* const* extra, const T* scale, T* scratch, const team<T>& workers) noexcept {
  constexpr const conv_shape& s = conv_shape_of<G, Side>;
  static constexpr width_plan p = plan_width<T>(G, Side);
  constexpr bool direct = p.rows.direct;  // then a scale goes onto the filters instead: there is one tap only
  const int64_t channels = s.groups * s.source_channels, split = direct ? s.source_channels - 1 : s.source_channels;
  const int64_t copied = direct ? 1 : s.source_channels, used = copied * p.rows.channel, planes = copied * p.rows.source[0].count;
  const int64_t size = s.source_channels * s.taps() * p.channels;
  const auto copy = [&](int64_t sample, int64_t group, T * to, int64_t begin, int64_t end) __attribute__((always_inline)) {
    const int64_t first = sample * channels + group * s.source_channels;
    copy_rows<T, Scale && !direct>(s, p.rows, x + (first + s.source_channels - copied) * s.source_volume(), copied,
                                   Scale ? scale + first : nullptr, to, begin, end);
    if (begin == 0) std::memset(to + used, 0, static_cast<std::size_t>(p.source_size - used) * sizeof(T));
  };
  const auto block = [&](int64_t sample, int64_t group, int64_t b, int64_t slice, int64_t slices, const T* source, T* own)
      __attribute__((always_inline)) {
    const int64_t first = sample * channels + group * s.source_channels;
    const T* weights = packed + (group * p.blocks + b) * size;
    if constexpr (direct && Scale) {
      for (int64_t i = 0; i < size; ++i) own[i] = weights[i] * scale[first + i / p.channels];
      weights = own;
    }
    width_task<T, p.channels, p.vectors, E>(s, p, width_offsets_of<G, Side>.h, width_offsets_of<G, Side>.w,
                                            direct ? x + first * s.source_volume() : source, split, source, weights, own + p.weights_size,
                                            sample, group, b * p.channels, slice, slices, y, extra);
  };
  if (p.share != sharing::inside || workers.alone()) {
    share_if<p.share == sharing::pairs>(
        workers, s.batch * s.groups, [&](int64_t i, int worker) __attribute__((always_inline)) {
          T* const source = workers.memory(worker, scratch);
          copy(i / s.groups, i % s.groups, source, 0, planes);
          for (int64_t b = 0; b < p.blocks; ++b) block(i / s.groups, i % s.groups, b, 0, 1, source, source + p.source_size);
        });
    return;
  }
  if constexpr (p.share == sharing::inside)
    for (int64_t sample = 0; sample < s.batch; ++sample)
      for (int64_t group = 0; group < s.groups; ++group) {
        // The copy runs at about 2 elements a nanosecond.
        share_ranges(workers, planes, 1, copy_parts(p.source_size),
                     [&](int64_t begin, int64_t end, int) noexcept { copy(sample, group, scratch, begin, end); });
        share(workers, p.blocks * p.slices, [&](int64_t i, int worker) noexcept {
          block(sample, group, i % p.blocks, i / p.blocks, p.slices, scratch, workers.memory(worker, scratch + p.source_size));
        });
      }
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
