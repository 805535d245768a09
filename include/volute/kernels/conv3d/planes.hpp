// Direct convolution with the width in the vector and several planes of the destination in flight, for few channels on one side: depthwise,
// and layers from or to one to four channels. A vector of a source plane, loaded once for each tap of height and width, feeds the
// accumulators of all destination planes that see it (3x3x3: 9 loads for 27 multiply-adds), so loads are not the limit, and the sums of one
// destination channel finish plane by plane. Lanes run over the ends of rows as in conv3d/width.hpp.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/store.hpp>
#include <volute/kernels/conv3d/width.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// The padded copy of some rows of some planes: [channel][plane][w residue][h residue][row][column], with a gap behind each residue class
/// into which the copy of its last row may run.
struct slab_layout {
  int64_t step[2]{1, 1};  // residues of height and width
  int64_t rows = 1, pitch = 1, part = 0, plane = 0, channel = 0;
  constexpr int64_t offset(int64_t h, int64_t w) const {  // of padded position (h, w)
    return ((w % step[1]) * step[0] + h % step[0]) * part + h / step[0] * pitch + w / step[1];
  }
};

/// True where the planes' kernel can compute this side: the depth is dense, and the width's stride at most 2.
constexpr bool planes_possible(const ops::conv_geometry& g, conv_side side) {
  const correlation_axis d = correlation(g, side, 0, 0);
  if (class_count(g, side, 0) != 1 || d.step != 1 || d.offset_step != 1 || d.taps < 2 || d.taps > 5) return false;
  for (int a = 0; a < 3; ++a) {
    if (subsampled(g, side, a)) return false;
    for (int64_t r = 0; r < class_count(g, side, a); ++r)
      if (correlation(g, side, a, r).taps == 0) return false;
  }
  return correlation(g, side, 2, 0).step <= 2 && class_count(g, side, 2) <= 2;
}

struct planes_plan {
  int taps = 1, vectors = 1;  // planes in flight and vectors of each: accumulators of one register block
  source_axis source[3]{};
  slab_layout layout{};
  int64_t rows = 1, slabs = 1;      // rows of each residue class of the destination that one task computes
  int64_t planes = 1;               // virtual source planes (there are KD - 1 more than of the destination) of one chunk
  int64_t chunk = 1;                // source channels at a time; if not all of them, one plane at a time
  int64_t parts = 1;                // ranges of the destination's depth that threads may take: each begins with KD - 1 more planes
  int64_t targets = 1, blocks = 1;  // destination channels of one task
  int64_t lanes = 0, strips = 1;    // of one plane of the tile
  int64_t weights = 0;              // packed elements of one destination channel
  int64_t source_size = 0, tile_size = 0, carry_size = 0;
  sharing share = sharing::none;
  constexpr int64_t carried(int64_t channels) const { return chunk < channels ? taps : taps - 1; }  // vectors of sums that wait
  constexpr int64_t scratch() const { return source_size + tile_size + carry_size; }
  constexpr int64_t worker_scratch() const { return share == sharing::none ? 0 : ceil_divide(scratch(), 16) * 16; }
};

template <class T>
constexpr planes_plan plan_planes(const ops::conv_geometry& g, conv_side side) {
  planes_plan p;
  const conv_shape s = shape_of(g, side);
  constexpr int64_t size = sizeof(T), width = simd::width<T>;
  const correlation_axis cd = correlation(g, side, 0, 0), ch = correlation(g, side, 1, 0), cw = correlation(g, side, 2, 0);
  for (int a = 0; a < 3; ++a) p.source[a] = source_of(g, side, a, 1, a > 0);
  p.taps = static_cast<int>(cd.taps);
  slab_layout& l = p.layout;
  l.step[0] = ch.step;
  l.step[1] = cw.step;
  l.pitch = ceil_divide(p.source[2].extent, l.step[1]);
  int64_t halo = 0;
  for (int64_t r = 0; r < class_count(g, side, 1); ++r) {
    const correlation_axis c = correlation(g, side, 1, r);
    halo = larger(halo, (c.offset + (c.taps - 1) * c.offset_step + p.source[1].pad) / l.step[0]);
  }
  const int64_t gap = p.source[2].pad + 2 * width;
  // Many channels would fill the second-level cache before a row is long enough for memory, and where their planes lie a power of two
  // apart, more than 8 lines asked for ahead would drive each other out.
  const int64_t chunks = s.source_channels > 8 ? ceil_divide(s.source_channels, 8) : 1;
  p.chunk = ceil_divide(s.source_channels, chunks);
  const auto resize = [&](int64_t rows, int64_t planes) {
    p.rows = rows;
    p.planes = planes;
    p.slabs = ceil_divide(ch.n, rows);
    l.rows = rows + halo;
    l.part = l.rows * l.pitch + gap;
    l.plane = odd_lines(l.step[0] * l.step[1] * l.part, size);
    l.channel = planes * l.plane;
    const int64_t vectors = ceil_divide((rows - 1) * l.pitch + cw.n, width), most = (accumulators - accumulators / 4) / p.taps;
    p.strips = ceil_divide(vectors, most);
    p.vectors = static_cast<int>(ceil_divide(vectors, p.strips));
    p.lanes = odd_lines(p.strips * p.vectors * width, size);
    // The last strip reads beyond the last row.
    p.source_size = ceil_divide(p.chunk * l.channel + p.vectors * width + l.pitch, 16) * 16;
    p.tile_size = ceil_divide(s.class_counts[2] * planes * p.lanes + width, 16) * 16;
  };
  // All planes of all rows, if source and tile then stay in the second-level cache; else fewer rows, but long runs of memory; else fewer
  // planes, whose sums wait in memory for the next chunk.
  const auto cut_rows = [&] { resize(smaller(p.rows - 1, ceil_divide(ch.n, p.slabs + 1)), p.planes); };
  const int64_t all = cd.n + cd.taps - 1, budget = (chunks > 1 ? machine.l2 / 8 : machine.l2 * 3 / 8) / size;
  resize(ch.n, chunks > 1 ? 1 : all);
  while (p.rows > 16 && p.source_size + p.tile_size > budget) cut_rows();
  while (p.planes > 1 && p.source_size + p.tile_size > budget) resize(p.rows, ceil_divide(p.planes, 2));
  while (p.rows > 4 && p.source_size + p.tile_size > budget) cut_rows();
  for (int64_t h = 0; h < class_count(g, side, 1); ++h)
    for (int64_t w = 0; w < class_count(g, side, 2); ++w)
      p.weights += s.source_channels * cd.taps * correlation(g, side, 1, h).taps * correlation(g, side, 2, w).taps;
  p.targets = s.target_channels;
  const int64_t pairs = s.batch * s.groups;
  const double work = conv_work(g);
  if (chunks > 1 && work >= worth_sharing) {  // a slab's rim is copied only, a part's computed too
    while (p.rows > 8 && pairs * p.slabs < 4) cut_rows();
    p.parts = larger(1, smaller(ceil_divide(16, pairs * p.slabs), cd.n / 8));
  } else if (work >= worth_sharing && pairs * p.slabs < 16) {  // fewer channels or rows for each task, but 12 us of work
    const int64_t tasks = smaller(16, ceil_divide(larger(1, static_cast<int64_t>(work / 12e3)), pairs));
    if (p.targets >= 8) p.blocks = larger(1, smaller(ceil_divide(tasks, p.slabs), p.targets / 4));
    p.targets = ceil_divide(s.target_channels, p.blocks);
    p.blocks = ceil_divide(s.target_channels, p.targets);
    while (p.rows > 4 && p.slabs * p.blocks < tasks) cut_rows();
  }
  // Somewhat fewer rows may fill the vectors better.
  int64_t best = p.rows, least = p.slabs * p.strips * p.vectors;
  for (int64_t rows = best - 1, least_rows = best * 3 / 4; rows >= 4 && rows > least_rows; --rows) {
    resize(rows, p.planes);
    if (p.slabs * p.strips * p.vectors < least) best = rows, least = p.slabs * p.strips * p.vectors;
  }
  resize(best, p.planes);
  if (work >= worth_sharing && pairs * p.slabs * p.blocks * p.parts > 1) p.share = sharing::pairs;
  if (p.planes < all)
    p.carry_size = p.targets * s.class_counts[1] * s.class_counts[2] * p.carried(s.source_channels) * p.strips * p.vectors * width;
  return p;
}

template <class T>
constexpr int64_t planes_packed_size(const ops::conv_geometry& g, conv_side side) {
  const conv_shape s = shape_of(g, side);
  return g.groups * s.target_channels * s.source_channels * g.taps();
}

/// Packed: [group][target channel][class][source channel][tap h][tap w][tap d].
template <class T>
__attribute__((noinline)) void pack_planes(const conv_shape& s, const T* w, T* packed) noexcept {
  for (int64_t group = 0; group < s.groups; ++group)
    for (int64_t o = 0; o < s.target_channels; ++o)
      for_each_class(s, [&](const correlation_axis& cd, const correlation_axis& ch, const correlation_axis& cw, int64_t) {
        const T* from = w + group * s.target_channels * s.source_channels * s.taps() + o * s.weight_target;
        for (int64_t c = 0; c < s.source_channels; ++c, from += s.weight_source)
          for (int64_t h = 0; h < ch.taps; ++h)
            for (int64_t x = 0; x < cw.taps; ++x)
              for (int64_t d = 0; d < cd.taps; ++d)
                *packed++ = from[((cd.k + d * cd.k_step) * s.kernel[1] + ch.k + h * ch.k_step) * s.kernel[2] + cw.k + x * cw.k_step];
      });
}

/// Offsets of the taps (h, w) of each class in the padded copy, one class after the other.
template <class T, ops::conv_geometry G, conv_side Side>
struct planes_offsets {
  int64_t list[G.kernel[1] * G.kernel[2]];
  constexpr planes_offsets() : list{} {
    const planes_plan p = plan_planes<T>(G, Side);
    int64_t at = 0;
    for (int64_t ih = 0; ih < class_count(G, Side, 1); ++ih)
      for (int64_t iw = 0; iw < class_count(G, Side, 2); ++iw) {
        const correlation_axis h = correlation(G, Side, 1, ih), w = correlation(G, Side, 2, iw);
        for (int64_t th = 0; th < h.taps; ++th)
          for (int64_t tw = 0; tw < w.taps; ++tw)
            list[at++] = p.layout.offset(h.offset + th * h.offset_step + p.source[1].pad, w.offset + tw * w.offset_step + p.source[2].pad);
      }
  }
};
template <class T, ops::conv_geometry G, conv_side Side>
inline constexpr planes_offsets<T, G, Side> planes_offsets_of{};

/// to[0 .. n-1] = 0, and up to a vector beyond.
template <class T>
VOLUTE_INLINE void zero_over(T* to, int64_t n) noexcept {
  using V = simd::vec<T>;
  V zero(T(0));
  simd::keep(zero);  // or g++ calls memset
  for (int64_t k = 0; k < n; k += simd::lanes<V>) simd::store(to + k, zero);
}

/// Rows from `first` on (of each residue class) of one plane. A row's end runs into the next one, which is written after it. Nothing is
/// read at or behind x_end. Parts: residue classes of the width.
template <class T, bool Scale, int Parts>
__attribute__((noinline)) void copy_slab(const slab_layout& l, const source_axis& h, const source_axis& w, const T* x, int64_t row,
                                         const T* x_end, int64_t first, T factor, T* to) noexcept {
  using V = simd::vec<T>;
  constexpr int64_t L = simd::lanes<V>;
  const V f(factor);
  const int64_t count = w.count, pitch = l.pitch, step = l.step[0], left[2]{w.pad / Parts, (w.pad + 1) / 2};
  const int64_t used[2]{(count + Parts - 1) / Parts, count / 2};
  for (int64_t rh = 0; rh < step; ++rh) {
    // Rows [begin, end) exist, and those before `safe` can be read by whole vectors.
    const int64_t above = h.pad - rh - first * step, begin = smaller(l.rows, larger(0, ceil_divide(above, step)));
    const int64_t end = larger(begin, smaller(l.rows, ceil_divide(h.count + above, step)));
    const T* in = x + (begin * step - above) * row;
    const int64_t ahead = x_end - in - ceil_divide(count, Parts * L) * Parts * L;
    const int64_t safe = smaller(end, ahead < 0 ? begin : begin + ahead / (step * row) + 1);
    T* line[Parts];
    for (int64_t k = 0; k < Parts; ++k) {  // source columns k, k + Parts, ...
      T* const part = to + ((w.pad + k) % Parts * step + rh) * l.part;
      line[k] = part + begin * pitch + left[k];
      zero_over(part, begin * pitch + left[k]);
    }
    const auto copy = [&](auto read) __attribute__((always_inline)) {
      for (int64_t c = 0; c < count; c += Parts * L) {
        V a = read(in + c);
        if constexpr (Scale) a = a * f;
        if constexpr (Parts == 1) {
          simd::store(line[0] + c, a);
        } else {
          V b = read(in + c + L);
          if constexpr (Scale) b = b * f;
          simd::store(line[0] + c / 2, simd::unzip<0>(a, b));
          simd::store(line[1] + c / 2, simd::unzip<1>(a, b));
        }
      }
      for (int64_t k = 0; k < Parts; ++k) {
        zero_over(line[k] + used[k], pitch - used[k]);
        line[k] += pitch;
      }
      in += step * row;
    };
    for (int64_t i = begin; i < safe; ++i) copy([](const T* p) __attribute__((always_inline)) { return simd::load<V>(p); });
    for (int64_t i = safe; i < end; ++i)
      copy([&](const T* p)
               __attribute__((always_inline)) { return simd::load_partial<V>(p, static_cast<int>(larger(0, smaller(L, x_end - p)))); });
    for (int64_t k = 0; k < Parts; ++k)  // with the gap, which surplus lanes read
      zero_over(line[k], (l.rows - end) * pitch + l.part - l.rows * pitch - left[k] - L);
  }
}

template <class T, bool Scale>
void copy_plane(const slab_layout& l, const source_axis& h, const source_axis& w, const T* x, int64_t row, const T* x_end, int64_t first,
                T factor, T* to) noexcept {
  if (l.step[1] == 2)
    copy_slab<T, Scale, 2>(l, h, w, x, row, x_end, first, factor, to);
  else
    copy_slab<T, Scale, 1>(l, h, w, x, row, x_end, first, factor, to);
}

template <class T>
struct planes_job {
  const T* x = nullptr;
  const T* w = nullptr;
  T* tile = nullptr;
  T* carry = nullptr;
  const int64_t* offset = nullptr;          // of the taps of height and width
  int64_t planes = 0, first = 0, last = 0;  // virtual planes, and those of them that exist
  int64_t done = 0;                         // the first one that completes a destination plane
  int64_t channels = 0, taps = 0, x_channel = 0, x_plane = 0, tile_plane = 0;
  bool resume = false, keep = false;  // sums come from the carry, go to the carry
  bool inside = false, open = false;  // of a single plane: it is begun already, it waits for more channels
  // What comes next is asked for while this is computed, so many lines at a time: the source of the next chunk by channel and plane, and
  // where the tile will be stored.
  const T* next = nullptr;
  const T* y = nullptr;
  int64_t next_lines = 0, y_lines = 0, next_channel = 0, next_plane = 0, y_plane = 0;
};

/// One strip of vectors through some source planes. Accumulator t belongs to the destination plane that reads the present one with tap t.
template <class T, int KD, int NV>
__attribute__((noinline)) void planes_strip(const planes_job<T>& j) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  constexpr int64_t line = 64 / sizeof(T);
  V acc[KD][NV];
  VOLUTE_UNROLL
  for (int t = 1; t < KD; ++t) VOLUTE_UNROLL
  for (int v = 0; v < NV; ++v) acc[t][v] = V(T(0));
  if (j.resume) {
    VOLUTE_UNROLL
    for (int t = 1; t < KD; ++t) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) acc[t][v] = simd::load<V>(j.carry + ((j.inside ? t : t - 1) * NV + v) * L);
  }
  for (int64_t q = 0; q < j.planes; ++q) {
    VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) acc[0][v] = j.inside ? simd::load<V>(j.carry + v * L) : V(T(0));
    if (q >= j.first && q < j.last) {
      const T* w = j.w;
      for (int64_t c = 0; c < j.channels; ++c) {
        const T* const x = j.x + c * j.x_channel + q * j.x_plane;
        for (int64_t i = 0; i < j.next_lines; ++i) simd::prefetch_far(j.next + c * j.next_channel + q * j.next_plane + i * line);
        VOLUTE_NO_UNROLL
        for (int64_t k = 0; k < j.taps; ++k, w += KD) {
          const T* const xk = x + j.offset[k];
          V xv[NV];
          VOLUTE_UNROLL
          for (int v = 0; v < NV; ++v) xv[v] = simd::load<V>(xk + v * L);
          VOLUTE_UNROLL
          for (int t = 0; t < KD; ++t) {
            const V wv(w[t]);
            VOLUTE_UNROLL
            for (int v = 0; v < NV; ++v) acc[t][v] = simd::fma(wv, xv[v], acc[t][v]);
          }
        }
      }
    }
    if (j.open) {
      VOLUTE_UNROLL
      for (int t = 0; t < KD; ++t) VOLUTE_UNROLL
      for (int v = 0; v < NV; ++v) simd::store(j.carry + (t * NV + v) * L, acc[t][v]);
      return;
    }
    if (q >= j.done) {
      for (int64_t i = 0; i < j.y_lines; ++i) simd::prefetch_write(j.y + q * j.y_plane + i * line);
      VOLUTE_UNROLL
      for (int v = 0; v < NV; ++v) simd::store(j.tile + q * j.tile_plane + v * L, acc[KD - 1][v]);
    }
    VOLUTE_UNROLL
    for (int t = KD - 1; t > 0; --t) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) acc[t][v] = acc[t - 1][v];
  }
  if (j.keep) {
    VOLUTE_UNROLL
    for (int t = 1; t < KD; ++t) VOLUTE_UNROLL
    for (int v = 0; v < NV; ++v) simd::store(j.carry + ((t - 1) * NV + v) * L, acc[t][v]);
  }
}

/// Rows of one plane from the tile into y; two residue classes of the width are zipped.
template <class T, ops::epilogue E>
__attribute__((noinline)) void store_rows(const T* tile, int64_t pitch, int64_t classes, int64_t tile_class, int64_t rows, int64_t width,
                                          int64_t y_row, T* y, const T* const* extra, const conv_place& first) noexcept {
  using V = simd::vec<T>;
  constexpr int64_t L = simd::lanes<V>;
  conv_place at = first;
  for (int64_t i = 0; i < rows; ++i, tile += pitch) {
    at.offset = first.offset + i * y_row;
    int64_t w = 0;
    const auto value = [&]() __attribute__((always_inline)) {
      return classes == 1 ? simd::load<V>(tile + w) : simd::zip_low(simd::load<V>(tile + w / 2), simd::load<V>(tile + tile_class + w / 2));
    };
    for (; w + L <= width; w += L, at.offset += L) finish<E>(value(), y, extra, at, static_cast<int>(L));
    if (w < width) finish<E>(value(), y, extra, at, static_cast<int>(width - w));
  }
}

/// Slab `slab` of block `b` of the destination channels of one group of one sample.
template <class T, int KD, int NV, ops::epilogue E, bool Scale>
__attribute__((noinline)) void planes_task(const conv_shape& s, const planes_plan& p, const int64_t* offsets, const T* x, const T* packed,
                                           const T* scale, T* memory, int64_t sample, int64_t group, int64_t b, int64_t slab,
                                           tap_range depth, T* y, const T* const* extra) noexcept {
  constexpr int64_t lanes = NV * simd::width<T>;
  const correlation_axis& cd = s.classes[0][0];
  const int64_t pair = sample * s.groups + group, classes = s.class_counts[2], h0 = slab * p.rows, volume = s.source_volume();
  const int64_t o_end = smaller(s.target_channels, (b + 1) * p.targets), all = depth.last - depth.first + KD - 1, row = s.source_size[2];
  const T* const x_end = x + s.batch * s.groups * s.source_channels * volume;
  const int64_t plane = s.source_size[1] * row, passes = p.strips * s.class_counts[1] * classes;
  constexpr int64_t line = 64 / sizeof(T);
  const int64_t next_lines = ceil_divide(p.rows * p.layout.step[0] * row, passes * line), carried = p.carried(s.source_channels) * lanes;
  T *const source = memory, *const tile = source + p.source_size, *const carry = tile + p.tile_size;
  planes_job<T> j;
  j.x_channel = p.layout.channel;
  j.x_plane = p.layout.plane;
  j.tile_plane = p.lanes;
  j.next_channel = volume;
  j.next_plane = plane;
  j.y_plane = s.target_size[1] * s.target_size[2];
  j.y_lines = ceil_divide(p.rows * s.class_counts[1] * s.target_size[2], passes * line);
  for (int64_t q0 = 0; q0 < all; q0 += p.planes) {
    j.planes = smaller(p.planes, all - q0);
    const int64_t d0 = depth.first + q0 + cd.offset;  // virtual plane q is source plane q + offset
    j.first = smaller(j.planes, larger(0, -d0));
    j.last = larger(j.first, smaller(j.planes, p.source[0].count - d0));
    j.keep = q0 + j.planes < all;
    j.done = smaller(j.planes, larger(0, KD - 1 - q0));
    const int64_t channels = j.first < j.last ? s.source_channels : smaller(p.chunk, s.source_channels);
    for (int64_t c0 = 0; c0 < channels; c0 += p.chunk) {
      j.channels = smaller(p.chunk, channels - c0);
      j.inside = c0 > 0;
      j.open = c0 + p.chunk < channels;
      j.resume = q0 > 0 || j.inside;
      for (int64_t c = 0; c < j.channels; ++c) {
        const int64_t channel = pair * s.source_channels + c0 + c;
        for (int64_t q = j.first; q < j.last; ++q)
          copy_plane<T, Scale>(p.layout, p.source[1], p.source[2], x + channel * volume + (d0 + q) * plane, row, x_end, h0,
                               Scale ? scale[channel] : T(1), source + c * p.layout.channel + q * p.layout.plane);
      }
      // What follows: more channels, the next chunk of these rows, or the first one of the next slab or pair.
      const bool more_rows = j.open || j.keep || slab + 1 < p.slabs;
      const int64_t next_row = larger(0, (j.open || j.keep ? h0 : more_rows ? h0 + p.rows : 0) * p.layout.step[0] - p.source[1].pad);
      const int64_t next_pair = more_rows ? pair : pair + 1;
      const int64_t next_plane = j.keep ? d0 + p.planes : cd.offset, next_channel = next_pair * s.source_channels;
      const T* next =
          x + (j.open ? (next_channel + c0 + p.chunk) * volume + d0 * plane : next_channel * volume + next_plane * plane) + next_row * row;
      const bool fetch = b + 1 == p.blocks && next_pair < s.batch * s.groups;
      j.carry = carry;
      const T* w = packed + (group * s.target_channels + b * p.targets) * p.weights;
      for (int64_t o = b * p.targets; o < o_end; ++o) {
        j.offset = offsets;
        j.next = next;
        j.next_lines = fetch && o + 1 == o_end ? next_lines : 0;
        j.y = y + (((pair * s.target_channels + o) * cd.n + depth.first + q0 - (KD - 1)) * s.target_size[1] + h0 * s.class_counts[1]) *
                      s.target_size[2];
        for (int64_t ih = 0; ih < s.class_counts[1]; ++ih) {
          const correlation_axis& ch = s.classes[1][ih];
          const int64_t count = smaller(p.rows, ch.n - h0);
          for (int64_t iw = 0; iw < classes; ++iw) {
            const correlation_axis& cw = s.classes[2][iw];
            j.taps = ch.taps * cw.taps;
            j.w = w + j.taps * c0 * KD;
            const int64_t total = count > 0 ? (count - 1) * p.layout.pitch + cw.n : 0;
            T* const after = j.carry + p.strips * carried;
            for (int64_t at = 0; at < total; at += lanes, j.carry += carried) {
              j.x = source + at;
              j.tile = tile + iw * p.planes * p.lanes + at;
              planes_strip<T, KD, NV>(j);
              j.next += next_lines * line;
              j.y += j.y_lines * line;
            }
            j.carry = after;
            j.offset += j.taps;
            w += j.taps * s.source_channels * KD;
          }
          if (count <= 0 || j.open) continue;
          conv_place at{sample, group * s.target_channels + o, s.groups * s.target_channels, 0};
          for (int64_t q = j.done; q < j.planes; ++q) {
            const int64_t d = depth.first + q0 + q - (KD - 1);
            at.offset =
                (((sample * at.channels + at.channel) * cd.n + d) * s.target_size[1] + ch.dst + h0 * ch.dst_step) * s.target_size[2];
            store_rows<T, E>(tile + q * p.lanes, p.layout.pitch, classes, p.planes * p.lanes, count, s.target_size[2],
                             ch.dst_step * s.target_size[2], y, extra, at);
          }
        }
      }
    }
  }
}

template <class T, ops::conv_geometry G, conv_side Side, ops::epilogue E, bool Scale>
void run_planes(const T* x, const T* packed, T* y, const T* const* extra, const T* scale, T* scratch, const team<T>& workers) noexcept {
  constexpr const conv_shape& s = conv_shape_of<G, Side>;
  static constexpr planes_plan p = plan_planes<T>(G, Side);
  // The order of no sum depends on the parts.
  const int64_t parts = workers.alone() ? 1 : p.parts, depth = s.classes[0][0].n;
  share_if<p.share != sharing::none>(
      workers, s.batch * s.groups * p.blocks * p.slabs * parts, [&](int64_t i, int worker) __attribute__((always_inline)) {
        const int64_t slab = i % p.slabs, part = i / p.slabs % parts, b = i / (p.slabs * parts) % p.blocks;
        const int64_t pair = i / (p.slabs * parts * p.blocks);
        planes_task<T, p.taps, p.vectors, E, Scale>(s, p, planes_offsets_of<T, G, Side>.list, x, packed, scale,
                                                    workers.memory(worker, scratch), pair / s.groups, pair % s.groups, b, slab,
                                                    {depth * part / parts, depth * (part + 1) / parts}, y, extra);
      });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
