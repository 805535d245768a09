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

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What the code of one register block depends on.
struct in_place_code {
  int depth = 1, rows = 1, vectors = 1;  // planes in flight, rows of each residue class, vectors of a row
  int classes[2]{1, 1};                  // residue classes of height and width
  correlation_axis height[2]{}, width[2]{};
  int64_t dst = 0, dst_step = 1;  // of the destination's rows
  int64_t before = 0;             // taps of the classes that the other code computes before
  int64_t source_width = 1, target_width = 1;
  bool stream = false;                                                             // the result outgrows the caches
  constexpr int sums() const { return classes[0] * classes[1] * rows * vectors; }  // of one plane
  constexpr int sum(int a, int b, int r, int v) const { return ((a * classes[1] + b) * rows + r) * vectors + v; }
  constexpr int64_t lowest() const { return smaller(height[0].offset, height[classes[0] - 1].offset); }
  constexpr int64_t taps_of(int a, int b) const { return depth * height[a].taps * width[b].taps; }
  constexpr int64_t taps_before(int a, int b) const {
    int64_t n = before;
    for (int k = 0; k < a * classes[1] + b; ++k) n += taps_of(k / classes[1], k % classes[1]);
    return n;
  }
  constexpr int64_t span() const {  // source rows of one block
    int64_t end = 0;
    for (int k = 0; k < classes[0]; ++k) end = larger(end, height[k].end());
    return (rows - 1) * height[0].step + end - lowest();
  }
};

/// Sums of whole rows in registers at once; half as many where a stride of the width is taken out in registers too.
inline constexpr int64_t in_place_most = machine.registers * 3 / 4;

struct in_place_plan : flight_plan {
  in_place_code code[2];  // residue classes of the height are computed one after the other if their sums are too many
  int codes = 1;
  int64_t row_blocks = 1;  // of one channel
  int64_t slab = 1;        // row blocks that all channels of the destination pass through together
  int64_t carry = 0;       // sums of one row block that wait for the next planes
  constexpr int64_t scaled() const { return whole_lines(weights); }  // filters of one channel, by the factors of the source
};

/// The code of the residue classes of the height from `first` on, `count` of them.
template <class T>
constexpr in_place_code in_place_code_of(const conv_shape& s, int first, int count) {
  in_place_code c;
  c.classes[0] = count;
  c.classes[1] = int(s.class_counts[2]);
  for (int r = 0; r < 2; ++r) {
    c.height[r] = s.correlation(1, first + (r < count ? r : 0));
    c.width[r] = s.correlation(2, r < c.classes[1] ? r : 0);
    c.height[r].n = c.height[r].dst = c.height[r].k = c.height[r].k_step = 0;  // not what the code depends on
  }
  c.depth = int(s.axis[0].taps);
  c.vectors = int(ceil_divide(c.width[0].n, simd::width<T>));
  c.dst = first;
  c.dst_step = s.class_counts[1];
  const int64_t rows = s.axis[1].n, room = in_place_most / (c.width[0].step == 2 ? 2 : 1);
  const int64_t most = larger(1, room / (c.depth * c.classes[1] * c.vectors * count));
  c.rows = int(ceil_divide(rows, ceil_divide(rows, most)));
  c.source_width = s.source_size[2];
  c.target_width = s.target_size[2];
  constexpr int64_t size = sizeof(T);
  c.stream = s.pairs() * s.target_elements() * size > machine.cached * 4 && c.target_width % line_of<T> == 0;
  return c;
}

template <class T>
constexpr in_place_plan plan_in_place(const conv_shape& s) {
  in_place_plan p;
  constexpr int64_t size = sizeof(T), width = simd::width<T>;
  const int64_t rows = s.axis[1].n, vectors = ceil_divide(s.axis[2].n, width);
  const int both = int(s.class_counts[1]);
  p.codes = s.axis[0].taps * s.class_counts[2] * vectors * both <= in_place_most ? 1 : both;
  for (int i = 0; i < p.codes; ++i) p.code[i] = in_place_code_of<T>(s, i, both / p.codes);
  const in_place_code& c = p.code[0];
  if (p.codes == 2) p.code[1].before = c.taps_before(1, 0);
  p.weights = s.source_channels * s.taps();
  p.row_blocks = ceil_divide(rows, c.rows);
  // Where several channels of the destination read the same source, a slab's stays in the second-level cache for them, and that of one
  // row block in the first (3 -> 64 channels: 11.5 -> 10.5 ms). Planes a multiple of 2 KiB apart lie in the same few sets there, which
  // hold few of them.
  const int64_t all = s.target_size[0] + c.depth - 1, plane = s.source_size[1] * c.source_width * size;
  const bool many = s.target_channels > 1 || s.source_channels > 1;
  const int64_t room = larger(1, (machine.l1 * 3 / 4) / (s.source_channels * c.span() * c.source_width * size));
  p.planes = !many ? all : smaller(plane % machine.aliasing == 0 ? 8 : all, ceil_divide(all, ceil_divide(all, room)));
  p.carry = p.planes < all ? (c.depth - 1) * c.classes[0] * c.classes[1] * c.rows * vectors * width : 0;
  p.targets = s.target_channels;
  const auto resize = [&](int64_t slab) {
    p.slab = slab;
    p.slabs = ceil_divide(p.row_blocks, slab);
    p.own_size = p.scaled() + p.slab * p.targets * p.carry;
  };
  const auto bytes = [&] {
    const int64_t high = (p.slab - 1) * c.rows * c.height[0].step + c.span();
    return (s.source_channels * p.planes * high * c.source_width + p.slab * p.targets * p.carry) * size;
  };
  resize(p.row_blocks);
  while (many && p.slab > 1 && bytes() > machine.l2 / 2) resize(p.slab - 1);
  const double work = s.work();
  if (work < worth_sharing) return p;
  const int64_t pairs = s.pairs(), tasks = smaller(few_tasks, int64_t(work / 10e3));  // of 10 us
  if (pairs * p.slabs < tasks && p.targets >= 8)
    p.cut_targets(s.target_channels, smaller(ceil_divide(tasks, pairs * p.slabs), p.targets / 4));
  while (p.slab > 1 && pairs * p.slabs * p.blocks < tasks) resize(p.slab - 1);
  resize(p.slab);
  if (pairs * p.slabs * p.blocks > 1) p.share = sharing::pairs;
  return p;
}

/// True where that is possible, rows fill their vectors, and the source has few channels or lies in the second-level cache: a copy
/// keeps many channels closer together.
template <class T>
constexpr bool prefers_in_place(const conv_shape& s) {
  if (!simd::masks<T> || !planes_possible(s)) return false;
  constexpr int64_t L = simd::width<T>;
  const correlation_axis d = s.axis[0], w = s.axis[2];
  const int64_t vectors = ceil_divide(w.n, L), classes = s.inner_classes();
  if (s.class_counts[1] > 2 || classes == 2 || d.taps * s.class_counts[2] * vectors > in_place_most) return false;
  if (w.step == 2 && d.taps * w.taps > 9) return false;
  const int64_t bytes = s.source_elements() * bytes_of<T>;
  return w.n * 4 >= vectors * L * 3 && (s.source_channels <= 8 || bytes <= machine.l2);
}

template <class T>
struct in_place_job : flight_job<T> {
  const int64_t* row = nullptr;  // offsets of the source rows in a plane; -1: a row of zeros
  int64_t rows = 0;              // of the destination that exist
  // Asked for meanwhile: what the next block reads, and what it writes.
  const T* next_x = nullptr;
  const T* next_y = nullptr;
  bool ask_x = false, ask_y = false;
};

/// Cache lines of n elements at steps of n: rows seldom begin with one. (Lines too few or too many cost a quarter of the time.)
template <class T>
constexpr int64_t lines_of(int64_t n) {
  constexpr int64_t line = line_of<T>;
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
    constexpr int odd = int(offset & 1);
    return simd::unzip<odd>(load_inside<V, column - odd, C.source_width, 2 * L>(row),
                            load_inside<V, column - odd + L, C.source_width, 2 * L>(row));
  }
}

template <class T, in_place_code C>
using in_place_sums = simd::vec<T>[C.depth][C.sums()];

/// acc += the products of one tap of the height of the classes (a, b), of all taps of the width; from: its source row for the first row.
template <class T, in_place_code C, int a, int b>
VOLUTE_INLINE void in_place_row(const T* const* from, const T* w, in_place_sums<T, C>& acc) noexcept {
  using V = simd::vec<T>;
  constexpr int KD = C.depth, TW = int(C.width[b].taps), N = C.rows * C.vectors;
  const auto add = [&](auto t, auto i, const V* wv) VOLUTE_ALWAYS_INLINE {
    constexpr int r = i / C.vectors, v = i % C.vectors;
    V xv = in_place_read<V, C, b, t, v>(from[r * C.height[0].step]);
    simd::keep(xv);
    VOLUTE_EACH(d, C.depth) {
      V& sum = acc[d][C.sum(a, b, r, v)];
      sum = simd::fma(wv[d], xv, sum);
    }
  };
  V wv[TW * KD];
  if constexpr (C.width[b].step == 1) {  // a vector for each tap
    unrolled<TW>([&](auto t) VOLUTE_ALWAYS_INLINE {
      VOLUTE_EACH(d, C.depth) wv[t * C.depth + d] = V(w[t * C.depth + d]), simd::keep(wv[t * C.depth + d]);
      unrolled<N>([&](auto i) VOLUTE_ALWAYS_INLINE { add(t, i, wv + t * C.depth); });
      simd::in_order();
    });
  } else {  // all taps for each vector, which they share
    VOLUTE_EACH(d, TW * KD) wv[d] = V(w[d]), simd::keep(wv[d]);
    unrolled<N>([&](auto i) VOLUTE_ALWAYS_INLINE { unrolled<TW>([&](auto t) VOLUTE_ALWAYS_INLINE { add(t, i, wv + t * C.depth); }); });
  }
}

/// The finished sums of all classes, rows and vectors to their places, of which `rows` rows exist.
template <class T, in_place_code C, ops::epilogue E>
VOLUTE_INLINE void in_place_store(const simd::vec<T> (&sum)[C.sums()], int64_t rows, const conv_output<T>& out,
                                  const conv_place& first) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>, A = C.classes[0], B = C.classes[1];
  unrolled<C.rows * A * C.vectors>([&](auto i) VOLUTE_ALWAYS_INLINE {
    constexpr int v = i % C.vectors, a = i / C.vectors % A, r = i / C.vectors / A;
    constexpr int64_t column = v * L * B, left = C.target_width - column;
    constexpr int even = C.sum(a, 0, r, v), odd = C.sum(a, B - 1, r, v);
    if (r * C.dst_step + a >= rows) return;
    conv_place at = first;
    at.offset += (r * C.dst_step + a) * C.target_width + column;
    const auto put = [&](V value, int64_t n) VOLUTE_ALWAYS_INLINE {
      finish<E, C.stream>(value, out, at, n);
      at.offset += L;
    };
    if constexpr (B == 1) {
      put(sum[even], left);
    } else {
      put(simd::zip_low(sum[even], sum[odd]), left);
      if constexpr (left > L) put(simd::zip_high(sum[even], sum[odd]), left - L);
    }
  });
}

/// One block of rows through the planes.
template <class T, in_place_code C, ops::epilogue E>
VOLUTE_NO_INLINE void in_place_block(const in_place_job<T>& j, conv_output<T> out, conv_place at) noexcept {
  constexpr int KD = C.depth, A = C.classes[0];
  constexpr int64_t line = line_of<T>, span = C.span();
  constexpr int64_t x_lines = lines_of<T>(C.rows * C.height[0].step * C.source_width);
  constexpr int64_t y_lines = lines_of<T>(C.rows * C.dst_step * C.target_width);
  in_place_sums<T, C> acc;
  begin_run(acc, j.resume, j.carry);
  for (int64_t q = 0; q < j.planes; ++q) {
    set_zero(acc[0]);
    if (q >= j.first && q < j.last) {
      const T* x = j.x + q * j.x_plane;
      const T* next = j.next_x + q * j.x_plane;
      for (int64_t c = 0; c < j.channels; ++c, x += j.x_channel, next += j.x_channel) {
        const T* line_at[span];
        VOLUTE_UNROLL
        for (int64_t i = 0; i < span; ++i) line_at[i] = j.row[i] < 0 ? zero_row_of<T, C.source_width>.list : x + j.row[i];
        if (j.ask_x) {  // no loop of a length that clang does not know: 1.5 times as long
          VOLUTE_UNROLL
          for (int64_t i = 0; i < x_lines; ++i) simd::prefetch(next + i * line);
        }
        unrolled<A>([&](auto a) VOLUTE_ALWAYS_INLINE {
          unrolled<C.classes[1]>([&](auto b) VOLUTE_ALWAYS_INLINE {
            const T* w = j.w + C.taps_before(a, b) * j.channels + c * C.taps_of(a, b);
            const auto add = [&](int64_t h) VOLUTE_ALWAYS_INLINE {
              in_place_row<T, C, a, b>(line_at + (C.height[a].source_of(0, h) - C.lowest()), w + h * C.width[b].taps * C.depth, acc);
            };
            if constexpr (C.height[a].taps <= 2) {
              unrolled<int(C.height[a].taps)>(add);
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
      in_place_store<T, C, E>(acc[KD - 1], j.rows, out, here);
    }
    pass_on(acc);
  }
  end_run(acc, j.keep, j.carry);
}

/// to = the filters of one target channel, each times the factor of its source channel.
template <class T, in_place_code C>
void scale_filters(const T* w, const T* scale, int64_t channels, T* to) noexcept {
  for (int k = 0; k < C.classes[0] * C.classes[1]; ++k) {
    const int a = k / C.classes[1], b = k % C.classes[1];
    const int64_t taps = C.taps_of(a, b), before = C.taps_before(a, b) * channels;
    for (int64_t i = 0; i < taps * channels; ++i) to[before + i] = w[before + i] * scale[i / taps];
  }
}

/// The slab task.rows of a block of the destination channels of a pair.
template <class T, in_place_code C, ops::epilogue E, bool Scale>
VOLUTE_NO_INLINE void in_place_task(const conv_shape& s, const in_place_plan& p, const conv_run<T>& a, const pixels_task& task,
                                    T* memory) noexcept {
  constexpr int64_t span = C.span(), step = C.height[0].step;
  const correlation_axis& cd = s.axis[0];
  const int64_t volume = s.source_volume(), y_row = C.rows * C.dst_step * C.target_width, all = cd.n + C.depth - 1;
  const int64_t begin = task.rows * p.slab, end = smaller(p.row_blocks, begin + p.slab);
  const tap_range targets = p.targets_of(s, task.block);
  in_place_job<T> j;
  int64_t row[span];
  j.row = row;
  j.channels = s.source_channels;
  j.x_channel = volume;
  j.x_plane = s.source_size[1] * C.source_width;
  j.y_plane = s.target_size[1] * C.target_width;
  for (int64_t q0 = 0; q0 < all; q0 += p.planes) {
    j.set_planes(p, q0, all, C.depth, cd.offset, s.source_size[0]);
    j.x = a.x + task.pair * s.source_elements() + (q0 + cd.offset) * j.x_plane;
    j.carry = memory + p.scaled();
    for (int64_t o = targets.first; o < targets.last; ++o) {
      const conv_place channel = place_of(s, task.pair, o);
      j.w = a.packed + channel.channel * p.weights;
      if constexpr (Scale) {
        scale_filters<T, C>(j.w, a.scale + task.pair * j.channels, j.channels, memory);
        j.w = memory;
      }
      for (int64_t i = begin; i < end; ++i, j.carry += p.carry) {
        const int64_t h0 = i * C.rows, top = h0 * step + C.lowest(), y_top = h0 * C.dst_step + C.dst;
        for (int64_t k = 0; k < span; ++k) row[k] = top + k >= 0 && top + k < s.source_size[1] ? (top + k) * C.source_width : -1;
        j.rows = s.target_size[1] - y_top;
        conv_place at = channel;
        at.offset += q0 * j.y_plane + y_top * C.target_width;
        // The rows below this block, or else the first ones of the next channels.
        const bool below = i + 1 < p.row_blocks, last = o + 1 == targets.last, other = last && task.pair + 1 < s.pairs();
        j.next_x = j.x + (below ? (top + span) * C.source_width : other ? s.source_channels * volume : 0);
        j.next_y = a.out.y + at.offset + (i + 1 < end ? y_row : s.target_volume() - (i - begin) * y_row);
        j.ask_y = below || !last || other;
        j.ask_x = j.ask_y && (o == targets.first || last);
        in_place_block<T, C, E>(j, a.out, at);
      }
    }
  }
  if constexpr (C.stream) simd::stream_fence();
}

template <class T, const conv_call& C, const in_place_plan& p>
void run_family(const conv_run<T>& run) noexcept {
  constexpr const conv_shape& s = shape_for<C>;
  share_tasks<p>(s, 1, run, [&](const pixels_task& task, T* memory) VOLUTE_ALWAYS_INLINE {
    unrolled<p.codes>([&](auto i) VOLUTE_ALWAYS_INLINE { in_place_task<T, p.code[i], C.epilogue, C.scale>(s, p, run, task, memory); });
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
