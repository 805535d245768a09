// The adjoint in the filter: dw[o,i,k] = sum over pixels of g[o] * x[i at tap k]. One tensor's channels lie in the lanes, the other is
// broadcast from a channels-last window; (x, g) may take either part, because the list of correlations of either side names every product.
// Where both have few channels, see conv3d/width_weights.hpp.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/channels.hpp>
#include <volute/kernels/conv3d/store.hpp>
#include <volute/kernels/conv3d/unread.hpp>

#include <cstdint>
#include <cstring>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// `target`: the tensor whose channels are lanes (y's gradient g for the forward side, x for the backward side).
struct weights_plan {
  int lanes = 1, main = 1, last = 1;  // vectors of a block of target channels
  int window = 1;                     // window elements (neighbouring taps x channels) that one register block holds
  int64_t blocks = 1, chunk = 1, chunks = 1;
  source_axis source[3]{};
  int64_t source_row = 0, source_plane = 0, source_chunk = 0, source_sample = 0;
  int64_t target_sample = 0;              // the copy of one block of target channels
  int64_t samples = 1;                    // samples whose copies stand together
  int64_t sum_chunk = 0, sum_chunks = 1;  // the sums of one block: [chunk][class][tap d][tap h][segment][window elements][lanes]
  int64_t slab_planes = 1, slab_rows = 1;
  bool ahead = false;  // the copies outgrow the second-level cache: a slab is fetched during the one before (5 to 15 % of the time)
  sharing share = sharing::none;
  int64_t parts = 1, part = 1;  // of the planes of a pass, each with sums of its own that are added in order; planes of a part
  depth_slabs depth;            // more than one: a part has some of them, and copies what it needs of both tensors itself
  constexpr int64_t block_lanes(int64_t b) const { return lanes * (b + 1 < blocks ? main : last); }
  constexpr int64_t scratch() const { return samples * (source_sample + target_sample) + parts * sum_chunks * sum_chunk; }
  constexpr int64_t worker_scratch() const {  // of each worker but the first, which has scratch()
    if (share == sharing::none) return 0;
    const int64_t n = depth.count > 1           ? source_sample + target_sample
                      : share == sharing::pairs ? scratch()
                                                : (sum_chunks == 1 && parts == 1 ? sum_chunk : 0);
    return ceil_divide(n, 16) * 16;
  }
};

constexpr bool joined_taps(const correlation_axis& c) { return c.taps <= 1 || c.offset_step == 1; }

/// Elements of one segment's sums, rounded up to whole register blocks.
constexpr int64_t window_sums(const correlation_axis& c, int64_t chunk, int64_t window) {
  return ceil_divide((joined_taps(c) ? c.taps : 1) * chunk, window) * window;
}

template <class T>
constexpr weights_plan plan_weights(const ops::conv_geometry& g, conv_side side) {
  weights_plan p;
  const conv_shape s = shape_of(g, side);
  p.lanes = channel_lanes<T>(s.target_channels);
  const int64_t vectors = ceil_divide(s.target_channels, p.lanes);
  p.main = p.last = vectors == 1 ? 1 : vectors == 3 ? 3 : 2;
  if (vectors > 3 && vectors % 2 == 1) p.last = 3;
  p.blocks = vectors <= 3 ? 1 : vectors / 2;
  p.chunks = ceil_divide(s.source_channels, 16);
  p.chunk = ceil_divide(s.source_channels, p.chunks);
  const correlation_axis width = correlation(g, side, 2, 0);
  const int64_t length = larger(1, (joined_taps(width) ? width.taps : 1) * p.chunk);
  const int64_t most = smaller(accumulators, 24) / larger(p.main, p.last);
  p.window = static_cast<int>(ceil_divide(length, ceil_divide(length, most)));
  p.source[0] = source_of(g, side, 0, 1, false);
  p.source[1] = source_of(g, side, 1, 1, false);
  p.source[2] = source_of(g, side, 2, 1, true);
  p.source_row = p.source[2].extent * p.chunk;
  p.source_plane = p.source[1].extent * p.source_row;
  p.source_chunk = p.source[0].count * p.source_plane;
  p.source_sample = ceil_divide(p.chunks * p.source_chunk, 16) * 16 + 64;  // 64: surplus lanes of the copy, surplus elements of a window
  constexpr int64_t size = sizeof(T);
  const int64_t lanes = p.lanes * larger(p.main, p.last);
  p.target_sample = s.target_volume() * lanes + 64;
  int64_t widths = 0;
  for (int64_t r = 0; r < class_count(g, side, 2); ++r) {
    const correlation_axis c = correlation(g, side, 2, r);
    widths += (joined_taps(c) ? 1 : c.taps) * window_sums(c, p.chunk, p.window);
  }
  p.sum_chunk = g.kernel[0] * g.kernel[1] * widths * lanes;
  // With all samples at hand the sums of a chunk are complete at once and never leave the cache; otherwise those of all chunks wait.
  p.samples = smaller(s.batch, larger(1, machine.cached / ((p.source_sample + p.target_sample) * size)));
  p.share = choose_sharing(conv_work(g), s.groups, p.samples * (p.source_sample + p.target_sample) * size, true);
  const correlation_axis depth = correlation(g, side, 0, 0);
  const int64_t planes = p.samples * depth.n, height = correlation(g, side, 1, 0).n;
  p.part = planes;
  if (p.share == sharing::inside) p.part = planes_of_part(p.chunks, planes, height * width.n, p.chunks * p.sum_chunk * size, machine.l2);
  p.parts = ceil_divide(planes, p.part);
  p.sum_chunks = p.samples == s.batch && p.parts == 1 ? 1 : p.chunks;
  const int64_t target_plane = s.target_size[1] * s.target_size[2] * lanes;
  const weights_slabs cut =
      cut_weights(g, side, p.chunks * p.source_plane * size, target_plane * size, p.blocks * p.chunks * p.sum_chunk * size);
  if (p.share == sharing::inside && cut.parts > 0) {
    p.depth = cut.depth;
    p.source_chunk = p.depth.planes * p.source_plane;
    p.source_sample = ceil_divide(p.chunks * p.source_chunk, 16) * 16 + 64;
    p.target_sample = ceil_divide(smaller(s.target_size[0], p.depth.size * depth.dst_step) * target_plane, 16) * 16 + 64;
    p.samples = 1;
    p.parts = cut.parts;
    p.sum_chunks = p.blocks * p.chunks;
  }
  // A slab of pixels whose part of both copies stays in the first-level cache: 24 KiB, and at least 128 pixels against the cost of the
  // sums.
  const int64_t pixel = (lanes + width.step * p.chunk) * size;
  const int64_t pixels = larger(128, (machine.l1 * 3 / 4) / pixel);
  p.slab_rows = smaller(height, ceil_divide(pixels, width.n));
  p.slab_planes = smaller(depth.n, larger(1, pixels / (height * width.n)));
  p.ahead = p.samples * (p.source_sample + p.target_sample) * static_cast<int64_t>(sizeof(T)) > (3 << 19);
  return p;
}

template <class T>
struct weights_job {
  const T* x = nullptr;  // the window
  const T* g = nullptr;  // the lanes
  T* sum = nullptr;
  int64_t planes = 0, rows = 0, pixels = 0;
  int64_t x_plane = 0, x_row = 0, x_pixel = 0, g_plane = 0, g_row = 0, g_pixel = 0;
  const T* ahead = nullptr;  // what the next slab reads, and how much of it for each pixel
  int64_t ahead_step = 0;
  bool add = false;
};

/// sum[j][lanes] += x[pixel's window + j] * g[pixel][lanes] over a slab of pixels.
template <class T, int L, int NV, int J, bool Ahead>
__attribute__((noinline)) void weights_block(const weights_job<T>& j) noexcept {
  using V = simd::vec<T, L>;
  V acc[J][NV];
  if (j.add) {
    VOLUTE_UNROLL
    for (int i = 0; i < J; ++i) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) acc[i][v] = simd::load<V>(j.sum + (i * NV + v) * L);
  } else {
    VOLUTE_UNROLL
    for (int i = 0; i < J; ++i) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) acc[i][v] = V(T(0));
  }
  const T* ahead = j.ahead;
  for (int64_t d = 0; d < j.planes; ++d)
    for (int64_t h = 0; h < j.rows; ++h) {
      const T* x = j.x + d * j.x_plane + h * j.x_row;
      const T* g = j.g + d * j.g_plane + h * j.g_row;
      const int64_t x_pixel = j.x_pixel, g_pixel = j.g_pixel, ahead_step = j.ahead_step;
      VOLUTE_NO_UNROLL
      for (int64_t w = j.pixels; w > 0; --w, x += x_pixel, g += g_pixel) {
        V gv[NV];
        VOLUTE_UNROLL
        for (int v = 0; v < NV; ++v) gv[v] = simd::load<V>(g + v * L);
        if constexpr (Ahead) {
          simd::prefetch(ahead);
          ahead += ahead_step;
        }
        VOLUTE_UNROLL
        for (int i = 0; i < J; ++i) {
          const V xv(x[i]);
          VOLUTE_UNROLL
          for (int v = 0; v < NV; ++v) acc[i][v] = simd::fma(xv, gv[v], acc[i][v]);
        }
      }
    }
  VOLUTE_UNROLL
  for (int i = 0; i < J; ++i) VOLUTE_UNROLL
  for (int v = 0; v < NV; ++v) simd::store(j.sum + (i * NV + v) * L, acc[i][v]);
}

/// One sample's products of one chunk of source channels and one block of target channels, into the sums or (add) onto them: of the
/// planes [first, last) of each class. The copies begin with the planes `source_base` and `target_base`.
template <class T, int L, int NV, int J, bool Ahead>
__attribute__((noinline)) void weights_task(const conv_shape& s, const weights_plan& p, const T* source, const T* target, T* sums, bool add,
                                            int64_t first, int64_t last, int64_t source_base, int64_t target_base) noexcept {
  constexpr int64_t lanes = NV * L;
  const int64_t row = s.target_size[2] * lanes, plane = s.target_size[1] * row;
  weights_job<T> j;
  const int64_t height = s.classes[1][0].n;  // class 0 is the longest
  for (int64_t d0 = first; d0 < last; d0 += p.slab_planes)
    for (int64_t h0 = 0; h0 < height; h0 += p.slab_rows) {
      T* sum = sums;
      j.add = add || d0 > first || h0 > 0;
      const int64_t next_h = h0 + p.slab_rows < height ? h0 + p.slab_rows : 0, next_d = next_h > 0 ? d0 : d0 + p.slab_planes;
      for_each_class(s, [&](const correlation_axis& cd, const correlation_axis& ch, const correlation_axis& cw, int64_t) {
        const bool joined = joined_taps(cw);
        const int64_t segments = joined ? (cw.taps > 0 ? 1 : 0) : cw.taps, segment = window_sums(cw, p.chunk, J);
        j.pixels = cw.n;
        j.x_plane = cd.step * p.source_plane;
        j.x_row = ch.step * p.source_row;
        j.x_pixel = cw.step * p.chunk;
        j.g_plane = cd.dst_step * plane;
        j.g_row = ch.dst_step * row;
        j.g_pixel = cw.dst_step * lanes;
        for (int64_t td = 0; td < cd.taps; ++td) {
          // Of the next slab, the rows of x that this tap will read, and a share of g; half of the blocks fetch the one and half the other.
          const int64_t old = next_h > 0 ? larger(0, (ch.taps - 1) * ch.offset_step + 1 - ch.step) : 0;  // rows that this slab reads too
          const T* const next[2]{source + (next_d * cd.step + cd.offset + td * cd.offset_step - source_base) * p.source_plane +
                                     larger(0, next_h * ch.step + ch.offset + old) * p.source_row,
                                 target + (cd.dst + next_d * cd.dst_step - target_base) * plane + (ch.dst + next_h * ch.dst_step) * row +
                                     p.slab_rows * ch.dst_step * row * td / cd.taps};
          const int64_t next_size[2]{((p.slab_rows - 1) * ch.step + (ch.taps - 1) * ch.offset_step + 1 - old) * p.source_row,
                                     p.slab_rows * ch.dst_step * row / cd.taps};
          const int64_t blocks = ch.taps * segments * (segment / J), half = ceil_divide(blocks, 2);
          int64_t block = 0;
          const tap_range inside_d = positions_inside(cd, td, p.source[0].count);
          const int64_t d = larger(d0, inside_d.first);
          j.planes = smaller(smaller(d0 + p.slab_planes, last), inside_d.last) - d;
          for (int64_t th = 0; th < ch.taps; ++th) {
            const tap_range inside_h = positions_inside(ch, th, p.source[1].count);
            const int64_t h = larger(h0, inside_h.first);
            j.rows = smaller(h0 + p.slab_rows, inside_h.last) - h;
            if (j.add && (j.planes <= 0 || j.rows <= 0)) {
              sum += segments * segment * lanes;
              block += segments * (segment / J);
              continue;
            }
            const T* x = source + (d * cd.step + cd.offset + td * cd.offset_step - source_base) * p.source_plane +
                         (h * ch.step + ch.offset + th * ch.offset_step) * p.source_row + (cw.offset + p.source[2].pad) * p.chunk;
            j.g = target + (cd.dst + d * cd.dst_step - target_base) * plane + (ch.dst + h * ch.dst_step) * row + cw.dst * lanes;
            for (int64_t t = 0; t < segments; ++t, x += cw.offset_step * p.chunk)
              for (int64_t i = 0; i < segment; i += J, sum += J * lanes) {
                j.x = x + i;
                j.sum = sum;
                if constexpr (Ahead) {
                  const int64_t kind = block < half ? 0 : 1, share = next_size[kind] / half + 1;
                  j.ahead = next[kind] + (block - kind * half) * share;
                  j.ahead_step = share / larger(1, j.planes * j.rows * j.pixels) + 1;
                  ++block;
                }
                weights_block<T, L, NV, J, Ahead>(j);
              }
          }
        }
      });
    }
}

/// Sums of one chunk (`channels` source channels) and one block of target channels, those of all parts together, to their places in dw.
template <class T>
__attribute__((noinline)) void scatter_weights(const conv_shape& s, const weights_plan& p, int64_t lanes, int64_t valid, int64_t channels,
                                               const T* sums, T* dw) noexcept {
  const int64_t part = p.sum_chunks * p.sum_chunk;
  for_each_class(s, [&](const correlation_axis& cd, const correlation_axis& ch, const correlation_axis& cw, int64_t) {
    const bool joined = joined_taps(cw);
    const int64_t segments = joined ? (cw.taps > 0 ? 1 : 0) : cw.taps, segment = window_sums(cw, p.chunk, p.window);
    const int64_t length = joined ? cw.taps : 1;
    for (int64_t d = 0; d < cd.taps; ++d)
      for (int64_t h = 0; h < ch.taps; ++h)
        for (int64_t t = 0; t < segments; ++t, sums += segment * lanes)
          for (int64_t x = 0; x < length; ++x) {
            const int64_t tap = ((cd.k + d * cd.k_step) * s.kernel[1] + ch.k + h * ch.k_step) * s.kernel[2] + cw.k + (t + x) * cw.k_step;
            for (int64_t i = 0; i < channels; ++i) {
              const T* from = sums + (x * p.chunk + i) * lanes;
              T* to = dw + i * s.weight_source + tap;
              for (int64_t o = 0; o < valid; ++o) {
                T sum = from[o];
                for (int64_t k = 1; k < p.parts; ++k) sum += from[k * part + o];
                to[o * s.weight_target] = sum;
              }
            }
          }
  });
}

/// The same through register transposes, for a single class (stride 1, or g in the lanes): L taps of one pair of channels at a time.
template <class T, int L>
__attribute__((noinline)) void transpose_weights(const conv_shape& s, const weights_plan& p, int64_t lanes, int64_t valid, int64_t channels,
                                                 const T* sums, T* dw) noexcept {
  using V = simd::vec<T, L>;
  const correlation_axis &cd = s.classes[0][0], &ch = s.classes[1][0], &cw = s.classes[2][0];
  const bool joined = joined_taps(cw);
  const int64_t w_step = (joined ? p.chunk : window_sums(cw, p.chunk, p.window)) * lanes;
  const int64_t h_step = window_sums(cw, p.chunk, p.window) * (joined ? 1 : cw.taps) * lanes, d_step = ch.taps * h_step;
  const int64_t part = p.sum_chunks * p.sum_chunk;
  int64_t k[3]{};
  for (int64_t first = 0; first < s.taps(); first += L) {
    const int n = static_cast<int>(smaller(L, s.taps() - first));
    int64_t at[L];
    for (int i = 0; i < L; ++i) {
      at[i] = (k[0] - cd.k) * cd.k_step * d_step + (k[1] - ch.k) * ch.k_step * h_step +
              (k[2] - cw.k) * cw.k_step * w_step;  // steps are 1 or -1
      if (i + 1 >= n) continue;
      if (++k[2] == s.kernel[2]) k[2] = 0, ++k[1];
      if (k[1] == s.kernel[1]) k[1] = 0, ++k[0];
    }
    if (++k[2] == s.kernel[2]) k[2] = 0, ++k[1];
    if (k[1] == s.kernel[1]) k[1] = 0, ++k[0];
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t o = 0; o < valid; o += L) {
        V r[L];
        VOLUTE_UNROLL
        for (int i = 0; i < L; ++i) r[i] = simd::load<V>(sums + at[i] + c * lanes + o);
        for (const T *more = sums + part, *const end = sums + p.parts * part; more != end; more += part) {
          VOLUTE_UNROLL
          for (int i = 0; i < L; ++i) r[i] = r[i] + simd::load<V>(more + at[i] + c * lanes + o);
        }
        simd::transpose(r);
        T* to = dw + c * s.weight_source + o * s.weight_target + first;
        const int64_t count = valid - o;
        VOLUTE_UNROLL
        for (int i = 0; i < L; ++i) {
          if (i >= count) break;
          if (n == L)
            simd::store(to + i * s.weight_target, r[i]);
          else
            simd::store_partial(to + i * s.weight_target, r[i], n);
        }
      }
  }
}

/// copy_source_channels() from a blocked layout, of a source that is read whole.
template <class T>
void copy_blocked_planes(const conv_shape& s, const channels_plan& p, const ops::volume_layout& from, const T* x, int64_t sample, T* to,
                         int64_t begin, int64_t end, int64_t base) noexcept {
  const source_axis &rows = p.source[1], &row = p.source[2];
  const auto clear = [&](T* pixel, int64_t n) { std::memset(pixel, 0, static_cast<std::size_t>(n * p.chunk) * sizeof(T)); };
  for (int64_t i = begin; i < end; ++i) {
    const int64_t c = i % p.chunks, d = i / p.chunks, channel = c * p.chunk;
    T* pixel = to + c * p.source_chunk + (d - base) * p.source_plane;
    for (int64_t h = 0; h < rows.count; ++h, pixel += row.extent * p.chunk) {
      const int64_t first = (d * s.source_size[1] + h) * s.source_size[2];
      clear(pixel, row.pad);
      copy_blocked<T>(from, x, sample, channel, smaller(p.chunk, s.source_channels - channel), first, first + row.count,
                      pixel + row.pad * p.chunk, p.chunk);
      clear(pixel + (row.pad + row.count) * p.chunk, row.extent - row.pad - row.count);
    }
  }
}

template <class T, ops::conv_geometry G, conv_side Side, ops::conv_layouts Layouts>
void run_weights_channels(const conv_shape& s, const T* source, const T* target, T* dw, T* scratch, const team<T>& workers) noexcept {
  static constexpr weights_plan p = plan_weights<T>(G, Side);
  constexpr bool single = class_count(G, Side, 0) * class_count(G, Side, 1) * class_count(G, Side, 2) == 1 &&
                          (Side == conv_side::forward || (G.stride[0] == 1 && G.stride[1] == 1 && G.stride[2] == 1));
  const int64_t volume = s.target_volume(), plane = s.target_size[1] * s.target_size[2];
  if (Side == conv_side::backward && (G.stride[0] > G.in[0] || G.stride[1] > G.in[1] || G.stride[2] > G.in[2]))
    std::memset(dw, 0, static_cast<std::size_t>(G.w_size()) * sizeof(T));  // taps that no class meets
  channels_plan copy;                                                      // the part of a plan that the copy reads
  for (int a = 0; a < 3; ++a) copy.source[a] = p.source[a];
  copy.chunk = p.chunk, copy.chunks = p.chunks, copy.source_chunk = p.source_chunk, copy.source_plane = p.source_plane;

  /// Planes of the source, as copy_source_channels() has them.
  const auto copy_source = [&](int64_t sample, int64_t group, T* to, int64_t begin, int64_t end, int64_t base) noexcept {
    if constexpr (Layouts.source.blocked())
      copy_blocked_planes<T>(s, copy, Layouts.source, source, sample, to, begin, end, base);
    else
      copy_source_channels<T, false>(s, copy, source, nullptr, sample, group, to, begin, end, base);
  };
  /// Planes [begin, end) of one sample's target channels of block b.
  const auto copy_target = [&](int64_t sample, int64_t group, int64_t b, T* to, int64_t begin, int64_t end) noexcept {
    const int64_t lanes = p.block_lanes(b), channel = b * p.block_lanes(0), valid = smaller(lanes, s.target_channels - channel);
    if constexpr (Layouts.target.blocked())
      return copy_blocked<T>(Layouts.target, target, sample, channel, valid, begin * plane, end * plane, to, lanes);
    const channels_last_copy flat{valid,
                                  lanes,
                                  volume,
                                  s.target_size[2],
                                  {0, 1, s.target_size[1], 0, s.target_size[1]},
                                  {0, 1, s.target_size[2], 0, s.target_size[2]}};
    const T* from = target + ((sample * s.groups + group) * s.target_channels + channel) * volume;
    for (int64_t d = begin; d < end; ++d) copy_channels_last<T, false>(from + d * plane, to + (d - begin) * plane * lanes, nullptr, flat);
  };
  const auto task = [&](int64_t b, const T* x, const T* g, T* sum, bool add, int64_t first, int64_t last, int64_t source_base,
                        int64_t target_base) noexcept {
    if (p.last == p.main || b + 1 < p.blocks)
      weights_task<T, p.lanes, p.main, p.window, p.ahead>(s, p, x, g, sum, add, first, last, source_base, target_base);
    else if constexpr (p.last != p.main)
      weights_task<T, p.lanes, p.last, p.window, p.ahead>(s, p, x, g, sum, add, first, last, source_base, target_base);
  };
  const auto complete = [&](int64_t group, int64_t b, int64_t c, const T* sum) noexcept {
    const int64_t lanes = p.block_lanes(b), channel = b * p.block_lanes(0), valid = smaller(lanes, s.target_channels - channel);
    T* const part =
        dw + (group * s.target_channels * s.source_channels) * s.taps() + channel * s.weight_target + c * p.chunk * s.weight_source;
    const int64_t channels = smaller(p.chunk, s.source_channels - c * p.chunk);
    if constexpr (single && G.taps() > 1)
      transpose_weights<T, p.lanes>(s, p, lanes, valid, channels, sum, part);
    else
      scatter_weights<T>(s, p, lanes, valid, channels, sum, part);
    constexpr int64_t most_lanes = p.lanes * (p.main > p.last ? p.main : p.last);  // there is room for these
    bool finite = true;
    for (int64_t k = 0; k < p.parts; ++k)
      finite = finite && all_finite(sum + k * p.sum_chunks * p.sum_chunk, p.sum_chunk / most_lanes * lanes);
    if (finite) return;
    const tap_range targets{channel, channel + valid}, sources{c * p.chunk, c * p.chunk + channels};
    const auto of_group = [group](tap_range r) { return tap_range{group * G.group_out() + r.first, group * G.group_out() + r.last}; };
    if constexpr (Side == conv_side::forward)
      without_unread<T>(G, Layouts, source, target, dw, of_group(targets), sources);
    else
      without_unread<T>(G, {Layouts.target, Layouts.source}, target, source, dw, of_group(sources), targets);
  };

  const auto run_slabs = [&](int64_t group) noexcept {
    T* const sums = scratch + p.source_sample + p.target_sample;
    const int64_t pieces = s.batch * p.depth.count, all = p.blocks * p.chunks;
    const correlation_axis& longest = s.classes[0][0];
    share(workers, p.parts, [&](int64_t part, int worker) noexcept {
      T* const source_copy = workers.memory(worker, scratch);
      T* const target_copy = source_copy + p.source_sample;
      const int64_t begin = pieces * part / p.parts;
      for (int64_t i = begin; i < pieces * (part + 1) / p.parts; ++i) {
        const int64_t n = i / p.depth.count;
        const depth_slab slab = p.depth.slab(i % p.depth.count);
        const int64_t first = slab.first * longest.dst_step, last = smaller(s.target_size[0], slab.last * longest.dst_step);
        copy_source(n, group, source_copy, slab.begin * p.chunks, slab.end * p.chunks, slab.begin);
        for (int64_t b = 0; b < p.blocks; ++b) {
          copy_target(n, group, b, target_copy, first, last);
          for (int64_t c = 0; c < p.chunks; ++c)
            task(b, source_copy + c * p.source_chunk, target_copy, sums + (part * all + b * p.chunks + c) * p.sum_chunk, i > begin,
                 slab.first, slab.last, slab.begin, first);
        }
      }
    });
    share(workers, all, [&](int64_t i, int) noexcept { complete(group, i / p.chunks, i % p.chunks, sums + i * p.sum_chunk); });
  };
  const auto run_group = [&](int64_t group, T* memory, const team<T>& helpers) noexcept {
    T* const source_copy = memory;
    T* const target_copy = memory + p.samples * p.source_sample;
    T* const sums = target_copy + p.samples * p.target_sample;
    const int64_t depth = s.classes[0][0].n, part_sums = p.sum_chunks * p.sum_chunk;
    for (int64_t b = 0; b < p.blocks; ++b)
      for (int64_t n0 = 0; n0 < s.batch; n0 += p.samples) {
        const int64_t samples = smaller(p.samples, s.batch - n0), lanes = p.block_lanes(b);
        // Planes of both copies, sample by sample; the source's serve all blocks if all samples stand together.
        const int64_t source_planes = b == 0 || p.samples < s.batch ? p.chunks * p.source[0].count : 0;
        const int64_t elements = samples * (p.target_sample + (source_planes > 0 ? p.source_sample : 0));
        // In the order of the target's depth, which is that of the parts: a thread finds most of what it needs in its own cache.
        const int64_t steps = p.parts > 1 ? s.target_size[0] : source_planes + s.target_size[0];
        share_ranges(helpers, samples * steps, 1, copy_parts(elements), [&](int64_t begin, int64_t end, int) noexcept {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t n = i / steps, k = i % steps, d = p.parts > 1 ? k : k - source_planes;
            copy_source(n0 + n, group, source_copy + n * p.source_sample,
                        p.parts > 1 ? source_planes * k / steps : smaller(k, source_planes),
                        p.parts > 1 ? source_planes * (k + 1) / steps : smaller(k + 1, source_planes), 0);
            if (d >= 0) copy_target(n0 + n, group, b, target_copy + n * p.target_sample + d * plane * lanes, d, d + 1);
          }
        });
        // A task that has all pixels completes its sums at once.
        const bool last = n0 + samples == s.batch;
        share(helpers, p.chunks * p.parts, [&](int64_t i, int worker) noexcept {
          const int64_t c = i % p.chunks, part = i / p.chunks, end = smaller(samples * depth, (part + 1) * p.part);
          T* const sum = p.sum_chunks == 1 && p.parts == 1 ? helpers.memory(worker, sums) : sums + part * part_sums + c * p.sum_chunk;
          bool add = n0 > 0;
          for (int64_t u = part * p.part; u < end; add = true) {
            const int64_t n = u / depth, first = u % depth, planes = smaller(depth - first, end - u);
            task(b, source_copy + n * p.source_sample + c * p.source_chunk, target_copy + n * p.target_sample, sum, add, first,
                 first + planes, 0, 0);
            u += planes;
          }
          if (last && p.parts == 1) complete(group, b, c, sum);
        });
        if (last && p.parts > 1) share(helpers, p.chunks, [&](int64_t c, int) noexcept { complete(group, b, c, sums + c * p.sum_chunk); });
      }
  };
  if constexpr (p.depth.count > 1)
    for (int64_t group = 0; group < s.groups; ++group) run_slabs(group);
  else if constexpr (p.share == sharing::pairs)
    share(workers, s.groups, [&](int64_t group, int worker) noexcept { run_group(group, workers.memory(worker, scratch), {}); });
  else
    for (int64_t group = 0; group < s.groups; ++group) run_group(group, scratch, p.share == sharing::inside ? workers : team<T>{});
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
