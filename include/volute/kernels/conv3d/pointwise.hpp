// Convolutions whose windows do not overlap (1x1x1, and every kernel no longer than its stride, without padding): products of matrices.
// Forward: y[o, p] = sum W[o, (i, tap)] x[(i, tap), p] over the pixels p of y; adjoint in the data: dx[(i, tap), p] = sum W[o, (i, tap)]
// g[o, p], each element of dx once. Pixels lie in the lanes, as they do in memory, and weights are broadcast. The first register block of a
// column of pixels reads the tensor itself and leaves a copy to those that follow; pixels with a stride are packed, a panel at a time, into
// the second-level cache. No copy of a sample is ever made.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>
#include <volute/kernels/conv3d/pack.hpp>
#include <volute/kernels/conv3d/registers.hpp>
#include <volute/kernels/conv3d/store.hpp>
#include <volute/kernels/conv3d/windows.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Sizes of both products; everything in elements. It is the order of the packed filters too: [group][unit][block][depth][row].
struct pointwise_plan {
  int rows = 1, vectors = 1;      // accumulators of one register block: rows of the result times vectors of pixels
  int64_t depth = 1;              // products in a sum: (channel, tap) of x, or channel of g
  int64_t targets = 1;            // rows of the result, in one group
  int64_t unit = 1, blocks = 1;   // rows that are stored together (whole windows), and the register blocks that compute them
  int64_t units = 1;              // of one group
  int64_t pixels = 1, panel = 1;  // of y, and of what is taken at a time: one column (a register block of pixels), or several
  int64_t panels = 1, pitch = 1;  // pitch of a packed panel: an odd number of vectors, so that rows spread over the sets of the cache
  int64_t slices = 1;             // parts of the units, if threads share few panels; each copies the panel again
  int64_t tasks = 1;              // of one slice, each some panels
  bool straight = true;           // the source: a panel is not packed but copied on the way, column after column
  bool crowded = false;           // planes drive each other out of the caches: panels are packed, and each unit stores all of one in a go
  int asks = 0;                   // lines of the next column, or panel, that each step of a register block asks for: the units share them
  bool shared = false;
  bool stream = false;   // a result of 8 MiB or more goes past the caches: short runs of it wait for memory twice
  int64_t tile_row = 1;  // pixels of one block, or, where results change places on their way out, of a panel
  bool forward = true;
  constexpr int64_t size(const conv_shape& s) const { return s.groups * packed(); }
  constexpr void put(hash& h) const {
    for (int64_t v : {int64_t{rows}, depth, targets, unit, blocks, units}) h.put(v);
  }
  constexpr int64_t block_weights() const { return depth * rows; }
  constexpr int64_t packed() const { return units * blocks * block_weights(); }  // of one group
  constexpr int64_t tile() const { return blocks * rows * tile_row; }
  constexpr int64_t scratch() const { return depth * pitch + tile(); }
  constexpr int64_t worker_scratch() const { return shared ? whole_lines(scratch()) : 0; }
};

template <class T>
constexpr pointwise_plan plan_pointwise(const conv_shape& s) {
  pointwise_plan p;
  const ops::conv_geometry& g = s.geometry;
  constexpr int64_t width = simd::width<T>, size = sizeof(T), most_rows = accumulators >= 24 ? 8 : 4;
  const bool forward = p.forward = s.side == conv_side::forward, straight = rows_of_pixels(g, true).straight;
  const int64_t taps = forward ? 1 : g.taps();
  p.depth = forward ? g.group_in() * g.taps() : g.group_out();
  p.targets = forward ? g.group_out() : g.group_in() * g.taps();
  p.pixels = g.out_volume();
  if (taps == 1) {
    p.rows = int(near_equal(p.targets, most_rows));
    p.unit = p.rows;
  } else {  // whole windows: several of them in one block, or one of them in several blocks
    p.unit = taps * larger(1, most_rows / taps);
    p.blocks = ceil_divide(p.unit, most_rows);
    p.rows = int(ceil_divide(p.unit, p.blocks));
  }
  p.units = ceil_divide(p.targets, p.unit);
  const int64_t vectors = ceil_divide(p.pixels, width);
  const int64_t most = smaller(8, (accumulators + 3) / (p.rows + 1));  // beside the accumulators, a vector of pixels each and one weight
  p.vectors = int(near_equal(vectors, most));
  const int64_t block = p.vectors * width;
  // A panel of 256 KiB at most leaves half of the second-level cache to the weights; 1024 pixels are a run long enough for memory.
  const int64_t goal = larger(block, smaller(1024, (machine.l2 / 4) / (p.depth * size)));
  p.panel = ceil_divide(near_equal(p.pixels, goal), block) * block;
  const double work = s.work();
  p.shared = work >= worth_sharing;
  if (!straight && g.out[2] <= goal) {  // whole rows of y, as many as fill vectors and four threads best
    const int64_t all = g.out[0] * g.out[1], most_rows_of_y = smaller(goal / g.out[2], all);
    const auto fill = [&](int64_t rows) {
      const int64_t panels = g.batch * g.groups * ceil_divide(all, rows), four = p.shared ? ceil_divide(panels, 4) * 4 : panels;
      return double(rows * g.out[2]) / double(ceil_divide(rows * g.out[2], width)) * double(panels) / double(four);
    };
    int64_t best = most_rows_of_y;
    for (int64_t rows = best; rows > most_rows_of_y / 2; --rows)
      if (fill(rows) > fill(best) * 1.0001) best = rows;
    p.panel = best * g.out[2];
  }
  // A column takes a line or two of each channel, and leaves a part of them to the next: which does not find them again where the planes of
  // more channels than a cache has ways lie in the same sets of both caches. Packed in long runs (Zen 3): 32 -> 32 channels at
  // 64^3 0.62 of the time, 64 -> 16 at 32^3 0.67; its adjoint 0.46. No gain where caches hold both tensors, nor for planes of 16 KiB.
  p.crowded = straight && machine.crowded > 1.5 && larger(p.depth, p.targets) > machine.ways && p.pixels * size % machine.l2_aliasing == 0 &&
              (g.x_size() + g.y_size()) * size > machine.cached;
  p.straight = (!forward || straight) && !p.crowded;
  if (straight && !p.crowded) p.panel = block;
  p.panels = ceil_divide(p.pixels, p.panel);
  p.pitch = p.straight ? ceil_divide(p.panel, block) * block : ((ceil_divide(p.panel, width) + 1) | 1) * width;
  p.tile_row = forward || straight ? block : ceil_divide(p.panel, block) * block;
  p.stream = (forward ? g.y_size() : g.x_size()) * size >= machine.cached * 2;
  p.tasks = g.batch * g.groups * p.panels;
  const int64_t enough = p.straight ? 32 : 8;
  if (p.shared && p.tasks < enough) p.slices = smaller(larger(1, p.units / 2), smaller(ceil_divide(enough, p.tasks), parts_of(work)));
  p.tasks = smaller(p.tasks, 32);
  if (p.straight)
    p.asks = int(ceil_divide(ceil_divide(block, line_of<T>), larger(1, p.units / p.slices * p.blocks)));
  else if (g.taps() == 1 && g.x_size() * size > machine.cached)  // no gain where caches hold the source
    p.asks = 1;
  return p;
}

/// True where the product is the best way: vectors are mostly full, and a panel stays in the second-level cache.
template <class T>
constexpr bool prefers_pointwise(const conv_shape& s) {
  if (!products_possible<T>(s)) return false;
  const pointwise_plan p = plan_pointwise<T>(s);
  return p.depth > 1 && p.depth * p.pitch * bytes_of<T> <= machine.l2 / 2;
}

template <class T>
VOLUTE_NO_INLINE void pack_filters(const conv_shape& s, const pointwise_plan& p, const T* w, T* packed, const team<T>&) noexcept {
  for (int64_t group = 0; group < s.groups; ++group, w += p.targets * p.depth)
    for (int64_t b = 0; b < p.units * p.blocks; ++b)
      for (int64_t k = 0; k < p.depth; ++k)
        for (int64_t r = 0; r < p.rows; ++r, ++packed) {
          const int64_t in_unit = b % p.blocks * p.rows + r, m = b / p.blocks * p.unit + in_unit;
          *packed = in_unit < p.unit && m < p.targets ? w[p.forward ? m * p.depth + k : k * p.targets + m] : T(0);
        }
}

/// Where a register block finds its pixels: in the panel; in the tensor; in the tensor, and it copies them to the panel.
enum class pixels_from { panel, tensor, tensor_once };

template <class T>
struct pixel_operand {
  const T* from = nullptr;  // a row for each product, `step` apart
  int64_t step = 0;
  const T* scale = nullptr;  // one factor a row
  T* copy = nullptr;
  int64_t copy_step = 0;
  const T* next = nullptr;  // what to ask memory for with each product: a block that asked for all in one go would only wait
  int64_t next_step = 0;
};

/// to[r][v] = sum over k of w[k][r] * b[k][v].
template <class T, int R, int NV, int Asks, pixels_from From, bool Scale, bool Stream>
VOLUTE_NO_INLINE void pointwise_block(pixel_operand<T> b, const T* w, int64_t depth, T* to, int64_t to_row) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  V acc[R][NV];
  set_zero(acc);
  const T* const end = w + depth * R;
  VOLUTE_NO_UNROLL
  for (; w != end; w += R, b.from += b.step) {
    V bv[NV];
    load_operands<R>(bv, b.from);
    if constexpr (Scale) {
      const V factor(*b.scale++);
      VOLUTE_EACH(v, NV) bv[v] = bv[v] * factor;
    }
    if constexpr (From == pixels_from::tensor) {
      store_all(bv, b.copy);
      b.copy += b.copy_step;
    }
    VOLUTE_EACH(r, R) {
      const V wv(w[r]);
      VOLUTE_EACH(v, NV)  // pixels of one use: clang takes 1.05 to 1.12 times as long if it reads them before it needs them
        acc[r][v] = simd::fma(wv, From == pixels_from::tensor_once && !Scale ? simd::load<V>(b.from + v * L) : bv[v], acc[r][v]);
      if constexpr (Asks > 0) {  // some with each row: clang would ask for all of them in one go, which takes longer
        VOLUTE_UNROLL
        for (int a = Asks * r / R; a < Asks * (r + 1) / R; ++a) simd::prefetch_far(b.next + a * line_of<T>);
        simd::in_order();
      }
    }
    if constexpr (Asks > 0) b.next += b.next_step;
  }
  VOLUTE_EACH(r, R) store_all<Stream>(acc[r], to + r * to_row);
}

/// Some units of pixels [first, first + count), a panel or columns that go in a row, of one sample and group. From: of the first
/// register block of each column.
template <class T, int R, int NV, int Asks, pixels_from From, ops::epilogue E, bool Scale, bool Stream>
struct pointwise_task {
  static constexpr int64_t L = simd::width<T>, row = NV * L;
  static constexpr bool straight = From != pixels_from::panel;
  const conv_shape& s;
  const pointwise_plan& p;
  const pixel_rows &source, &target;
  const conv_run<T>& run;
  T* memory;
  int64_t pair;
  tap_range units;
  int64_t first, count;
  const T* const x = run.x + pair * s.source_elements();
  const T* const scale = Scale ? run.scale + pair * s.source_channels : nullptr;
  const T* const packed = run.packed + pair % s.groups * p.packed();
  const T* const follows = pair + 1 < s.pairs() ? x + s.source_elements() : nullptr;  // its first column comes next
  const conv_place place = place_of(s, pair, 0);
  T* const tile = memory + p.depth * p.pitch;
  lines_of_pixels ahead{};  // of the next panel, in next_panel
  const T* next_panel = nullptr;

  VOLUTE_NO_INLINE void compute() noexcept {
    if constexpr (!straight) {
      // What the next panel packs: each block asks for a line of every row (64 -> 128 channels with stride 2 at 56^2: 0.94 of
      // the time if no cache holds x).
      const int64_t after = first + count < p.pixels ? first + count : 0;
      next_panel = after > 0 ? x : follows;
      if (Asks > 0 && next_panel != nullptr) ahead = {after, smaller(p.pixels, after + p.panel)};
      pack_pixels<T, Scale>(source, x, scale, 0, p.depth, first, count, memory, p.pitch);
    }
    const int64_t together = target.straight ? row : count;  // pixels of a panel that are stored together
    if (p.crowded) {
      for (int64_t u = units.first; u < units.last; ++u)
        for (int64_t at = 0; at < count; at += row) unit(u, at, smaller(row, count - at));
      return;
    }
    for (int64_t at = 0; at < count; at += together)
      for (int64_t u = units.first; u < units.last; ++u) unit(u, at, smaller(together, count - at));
  }

  /// Unit u of n pixels from the panel's pixel `at` on.
  VOLUTE_INLINE void unit(int64_t u, int64_t at, int64_t n) noexcept {
    const int64_t valid = smaller(p.unit, p.targets - u * p.unit);
    const T* w = packed + u * p.blocks * p.block_weights();
    conv_place to = place;
    to.channel += u * p.unit / target.taps;
    to.offset = (to.sample * to.channels + to.channel) * target.volume + first + at;
    if (E.program.length == 0 && target.straight && n == row && valid == R)
      return multiply<Stream>(at, n, u - units.first, w, run.out.y + to.offset, target.volume);
    for (int64_t b = 0; b < p.blocks; ++b, w += p.block_weights())
      for (int64_t j = 0; j < n; j += row)
        multiply<false>(at + j, smaller(row, n - j), (u - units.first) * p.blocks + b, w, tile + b * R * p.tile_row + j, p.tile_row);
    if (!target.straight) return store_windows<T, E, Stream>(target, tile, p.tile_row, valid / target.taps, first + at, n, run.out, to);
    const int64_t offset = to.offset;
    for (int64_t r = 0; r < valid; ++r, ++to.channel)
      for (int64_t j = 0; j < n; j += L) {
        to.offset = offset + r * target.volume + j;
        finish<E, Stream>(simd::load<simd::vec<T>>(tile + r * row + j), run.out, to, n - j);
      }
  }

  /// n pixels of a column times the weights of one block, `done` of which this panel has seen.
  template <bool S>
  VOLUTE_INLINE void multiply(int64_t at, int64_t n, int64_t done, const T* w, T* to, int64_t to_row) noexcept {
    const bool reads = straight && done == 0;  // the tensor
    T* const own = memory + (!straight ? at : target.straight ? 0 : at * p.depth);
    pixel_operand<T> b{own, straight ? row : p.pitch, nullptr, own, 0, own, 0};
    if (reads) b = {x + first + at, source.volume, scale, own, row, own, 0};
    if (n == row) {
      if constexpr (Asks > 0) ask(b, at, done);
      if (reads)
        pointwise_block<T, R, NV, Asks, From, Scale && straight, S>(b, w, p.depth, to, to_row);
      else if constexpr (From != pixels_from::tensor_once)
        pointwise_block<T, R, NV, Asks, pixels_from::panel, false, S>(b, w, p.depth, to, to_row);
      return;
    }
    for (int64_t j = 0; j < n; j += L, b.from += L, b.copy += L, to += L) {
      if (reads && j + L <= n) {
        pointwise_block<T, R, 1, 0, From, Scale && straight, false>(b, w, p.depth, to, to_row);
        continue;
      }
      if (reads) {  // not to read behind the tensor
        pack_pixels<T, Scale>(source, x, scale, 0, p.depth, first + at + j, n - j, own + j, row);
        b.from = own + j, b.step = row;
      }
      pointwise_block<T, R, 1, 0, pixels_from::panel, false, false>(b, w, p.depth, to, to_row);
    }
  }

  /// Has a register block ask for a part of the next panel, or of the next column.
  VOLUTE_INLINE void ask(pixel_operand<T>& b, int64_t at, int64_t done) noexcept {
    constexpr int64_t line = line_of<T>;
    if constexpr (!straight) {
      if (const int64_t offset = ahead.next(source, line); offset >= 0) b.next = next_panel + offset, b.next_step = source.volume;
    } else if (done * Asks * line < row) {
      const int64_t after = first + at + (target.straight ? row : count);
      const T* const next = after < p.pixels ? x + after : follows;
      // The last element of each line: that of the line's first is the column's before, unless rows begin at lines.
      if (next != nullptr) b.next = next + (done * Asks + 1) * line - 1, b.next_step = source.volume;
    }
  }
};

template <class T, const conv_call& C, const pointwise_plan& p>
void run_family(const conv_run<T>& run) noexcept {
  constexpr const conv_shape& s = shape_for<C>;
  static constexpr pixel_rows source = rows_of_pixels(C.geometry, p.forward), target = rows_of_pixels(C.geometry, !p.forward);
  constexpr int64_t panels = s.pairs() * p.panels;
  constexpr pixels_from from = !p.straight ? pixels_from::panel : p.units * p.blocks == 1 ? pixels_from::tensor_once : pixels_from::tensor;
  const int64_t slices = run.workers.alone() ? 1 : p.slices, tasks = run.workers.alone() ? 1 : p.tasks;
  share_if<p.shared>(run.workers, tasks * slices, [&](int64_t i, int worker) VOLUTE_ALWAYS_INLINE {
    const tap_range units = nth_range(p.units, i / tasks, slices), all = nth_range(panels, i % tasks, tasks);
    for (int64_t k = all.first; k < all.last;) {
      // Panels of one sample and group; where the target is straight, they are columns that go in a row.
      const int64_t pair = k / p.panels, panel = k % p.panels, first = panel * p.panel;
      const int64_t n = target.straight && p.straight ? smaller(all.last - k, p.panels - panel) : 1;
      pointwise_task<T, p.rows, p.vectors, p.asks, from, C.epilogue, C.scale, p.stream>{
          s, p, source, target, run, run.workers.memory(worker, run.scratch), pair, units, first, smaller(n * p.panel, p.pixels - first)}
          .compute();
      k += n;
    }
    if constexpr (p.stream) simd::stream_fence();
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
