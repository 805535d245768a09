// The adjoint in the filter: dw[o,i,k] = sum over pixels of g[o] * x[i at tap k]. One tensor's channels lie in the lanes, the other is
// broadcast from a channels-last window; (x, g) may take either part, because the list of correlations of either side names every product.
// Where both have few channels, see conv3d/width_weights.hpp.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/channels.hpp>
#include <volute/kernels/conv3d/weights_driver.hpp>
#include <volute/kernels/conv3d/weights_sums.hpp>

#include <cstdint>
#include <type_traits>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// `target`: the tensor whose channels are lanes (y's gradient g for the forward side, x for the backward side). The sums of a task:
/// [class][tap d][tap h][run][window elements][lanes]. A run: neighbouring taps of the width and their channels, contiguous in the copy.
struct weights_plan : weights_cut {
  int lanes = 1, main = 1, last = 1;  // vectors of a block of target channels
  int window = 1;                     // elements of a run (neighbouring taps x channels) that one register block holds
  int64_t panel_planes = 1, panel_rows = 1;  // a panel: pixels whose share of both copies stays in the first-level cache
  bool ahead = false;                        // a panel is fetched during the one before (5 to 15 % of the time)
};

constexpr bool joined_taps(const correlation_axis& c) { return c.taps <= 1 || c.offset_step == 1; }

/// The runs of one pair of taps in depth and height, and elements of the sums of one, rounded up to whole register blocks.
struct window_runs {
  bool joined = true;
  int64_t count = 0, length = 0;
  constexpr window_runs(const correlation_axis& c, int64_t chunk, int64_t window) : joined(joined_taps(c)) {
    count = joined ? smaller(c.taps, 1) : c.taps;
    length = ceil_divide((joined ? c.taps : 1) * chunk, window) * window;
  }
  constexpr int64_t row() const { return count * length; }                        // of all runs
  constexpr int64_t tap(int64_t chunk) const { return joined ? chunk : length; }  // from one tap of the width to the next
};

template <class T>
constexpr weights_plan plan_weights(const conv_shape& s) {
  constexpr int64_t size = sizeof(T), surplus = 64;  // lanes of the copy beyond the last pixel, elements of a window beyond its run
  weights_plan p;
  const channels_plan forward = plan_channels<T>(s);
  p.lanes = forward.lanes;
  p.main = forward.main.vectors, p.last = forward.last.vectors;
  p.blocks = forward.blocks;
  p.last_lanes = p.lanes * p.last;
  p.main_lanes = p.blocks > 1 ? p.lanes * p.main : p.last_lanes;
  p.cut_channels(s.source_channels, forward.chunk);
  const auto& [depth, height, width] = s.axis;
  const int64_t vectors = larger(p.main, p.last), lanes = p.lanes * vectors;
  const int64_t length = larger(1, (joined_taps(width) ? width.taps : 1) * p.chunk);
  p.window = int(near_equal(length, most_sums / vectors));
  for (int a : volume_axes) p.source[a] = s.source(a, 1, a == 2);
  p.size_planes();
  p.source_units = p.chunks;
  const int64_t target_plane = s.target_size[1] * s.target_size[2] * lanes;
  p.size_copies(p.source[0].count, s.target_size[0], target_plane, surplus);
  s.for_each_class(2, [&](const correlation_axis& c) {
    const window_runs runs(c, p.chunk, p.window);
    p.sum += (runs.joined ? 1 : runs.count) * runs.length;
  });
  p.sum *= s.kernel[0] * s.kernel[1] * lanes;
  // With all samples at hand the sums of a chunk are complete at once and never leave the cache; otherwise those of all chunks wait.
  p.samples = p.samples_in(machine.cached, s.batch, size);
  p.share = choose_sharing(s.work(), s.groups, p.copies() * size, true);
  p.cut_planes(depth.n, height.n * width.n, size, machine.l2);
  p.sum_count = p.samples == s.batch && p.parts == 1 ? 1 : p.chunks;
  p.interleaved = p.parts > 1;
  p.cut_slabs(s, target_plane, surplus, size);
  // Copies that fill three quarters of the first-level cache, and 128 pixels at least against the cost of the sums.
  const int64_t pixels = larger(128, (machine.l1 * 3 / 4) / ((lanes + width.step * p.chunk) * size));
  p.panel_rows = smaller(height.n, ceil_divide(pixels, width.n));
  p.panel_planes = smaller(depth.n, larger(1, pixels / (height.n * width.n)));
  p.ahead = p.copies() * size > machine.l2 * 3 / 2;
  return p;
}

/// One of the two tensors, as a panel's pixels find it.
template <class T>
struct panel_operand {
  const T* first = nullptr;
  int64_t plane = 0, row = 0, pixel = 0;  // steps
  VOLUTE_INLINE const T* at(int64_t d, int64_t h, int64_t w) const { return first + d * plane + h * row + w * pixel; }
};

template <class T>
struct weights_job {
  panel_operand<T> x, g;  // the window, the lanes
  T* sum = nullptr;
  int64_t planes = 0, rows = 0, pixels = 0;
  const T* ahead = nullptr;  // what the next panel reads, and how much of it for each pixel
  int64_t ahead_step = 0;
  bool add = false;
};

/// sum[j][lanes] += x[pixel's window + j] * g[pixel][lanes] over a panel of pixels.
template <class T, int L, int NV, int J, bool Ahead>
VOLUTE_NO_INLINE void weights_block(const weights_job<T>& j) noexcept {
  using V = simd::vec<T, L>;
  constexpr int64_t most = 4096;  // pixels of a row in one chain: see add_tile
  const T* ahead = j.ahead;
  bool add = j.add;
  int64_t first = 0;
  do {
    const int64_t pixels = smaller(most, j.pixels - first);
    V acc[J][NV];
    set_zero(acc);
    for (int64_t d = 0; d < j.planes; ++d)
      for (int64_t h = 0; h < j.rows; ++h) {
        const T *x = j.x.at(d, h, first), *g = j.g.at(d, h, first);
        const int64_t x_pixel = j.x.pixel, g_pixel = j.g.pixel, ahead_step = j.ahead_step;
        VOLUTE_NO_UNROLL
        for (int64_t w = pixels; w > 0; --w, x += x_pixel, g += g_pixel) {
          V gv[NV];
          load_operands<J>(gv, g);
          if constexpr (Ahead) {
            simd::prefetch(ahead);
            ahead += ahead_step;
          }
          VOLUTE_EACH(i, J) add_products(acc[i], V(x[i]), gv);
        }
      }
    if (add) add_tile(acc, j.sum);
    store_all(acc, j.sum);
    add = true;
  } while ((first += most) < j.pixels);
}

/// What the next panel will read, fetched by the register blocks of one tap of the depth: half of them take the source, half the target.
template <class T>
struct panel_ahead {
  const T* from[2]{};
  int64_t size[2]{}, half = 1, block = 0;
  void next(weights_job<T>& j) noexcept {
    const int64_t kind = block < half ? 0 : 1, share = size[kind] / half + 1;
    j.ahead = from[kind] + (block - kind * half) * share;
    j.ahead_step = share / larger(1, j.planes * j.rows * j.pixels) + 1;
    ++block;
  }
};

/// Planes [first, last) and rows [row, row + panel_rows) of each class, and the first ones of the next panel.
struct weights_panel {
  int64_t first = 0, last = 0, row = 0, next = 0, next_row = 0;
};

/// A task: the products of one chunk of source channels and one block of target channels, panel by panel.
template <class T, int L, int NV, int J, bool Ahead>
struct weights_task {
  static constexpr int64_t lanes = NV * L;
  const conv_shape& s;
  const weights_plan& p;
  const T *source, *target;  // the copies
  T* sums;
  const weights_range& range;
  const int64_t row = s.target_size[2] * lanes, plane = s.target_size[1] * row;  // of the target

  VOLUTE_NO_INLINE void run() const noexcept {
    const int64_t depth = s.axis[0].n, height = s.axis[1].n;
    bool add = range.add;
    for_each_sample({range.first, range.last}, depth, [&](int64_t n, int64_t first, int64_t last) {
      for (int64_t d = first; d < last; d += p.panel_planes)
        for (int64_t h = 0; h < height; h += p.panel_rows, add = true) {
          const int64_t below = h + p.panel_rows < height ? h + p.panel_rows : 0;
          panel({d, smaller(d + p.panel_planes, last), h, below > 0 ? d : d + p.panel_planes, below}, n, add);
        }
    });
  }

  /// The products of one panel of sample n, to or (add) onto the sums: class by class.
  VOLUTE_NO_INLINE void panel(const weights_panel& at, int64_t n, bool add) const noexcept {
    const T* const from = source + n * p.source_sample - range.source_base * p.source_plane;
    const T* const by = target + n * p.target_sample - range.target_base * plane;
    T* sum = sums;
    for_each_class(s, [&](const conv_class& of_class) {
      const auto& [cd, ch, cw, before] = of_class;
      const int64_t column = (cw.offset + p.source[2].pad) * p.chunk;
      const panel_operand<T> x{from + cd.offset * p.source_plane + ch.offset * p.source_row + column, cd.step * p.source_plane,
                               ch.step * p.source_row, cw.step * p.chunk};
      const panel_operand<T> g{by + cd.dst * plane + ch.dst * row + cw.dst * lanes, cd.dst_step * plane, ch.dst_step * row,
                               cw.dst_step * lanes};
      const window_runs runs(cw, p.chunk, J);
      const int64_t blocks = runs.count * (runs.length / J);  // of a pair of taps
      weights_job<T> j{.x = x, .g = g, .pixels = cw.n, .add = add};
      for (int64_t td = 0; td < cd.taps; ++td) {
        const int64_t tap = td * cd.offset_step * p.source_plane;
        panel_ahead<T> ahead;
        if constexpr (Ahead) {  // the rows of x that this tap will read, but for those that this panel reads too, and a share of g
          const int64_t read = (ch.taps - 1) * ch.offset_step + 1, old = at.next_row > 0 ? larger(0, read - ch.step) : 0;
          const int64_t rows = p.panel_rows * ch.dst_step * row;
          ahead.from[0] = x.at(at.next, 0, 0) + tap + larger(-ch.offset, at.next_row * ch.step + old) * p.source_row;
          ahead.from[1] = g.at(at.next, at.next_row, 0) + rows * td / cd.taps;
          ahead.size[0] = ((p.panel_rows - 1) * ch.step + read - old) * p.source_row;
          ahead.size[1] = rows / cd.taps;
          ahead.half = ceil_divide(ch.taps * blocks, 2);
        }
        const tap_range inside_d = positions_inside(cd, td, p.source[0].count);
        const int64_t d = larger(at.first, inside_d.first);
        j.planes = smaller(at.last, inside_d.last) - d;
        for (int64_t th = 0; th < ch.taps; ++th) {
          const tap_range inside_h = positions_inside(ch, th, p.source[1].count);
          const int64_t h = larger(at.row, inside_h.first);
          j.rows = smaller(at.row + p.panel_rows, inside_h.last) - h;
          if (add && (j.planes <= 0 || j.rows <= 0)) {
            sum += runs.row() * lanes;
            ahead.block += blocks;
            continue;
          }
          const T* window = x.at(d, h, 0) + tap + th * ch.offset_step * p.source_row;
          j.g.first = g.at(d, h, 0);
          for (int64_t t = 0; t < runs.count; ++t, window += cw.offset_step * p.chunk)
            for (int64_t i = 0; i < runs.length; i += J, sum += J * lanes) {
              j.x.first = window + i;
              j.sum = sum;
              if constexpr (Ahead) ahead.next(j);
              weights_block<T, L, NV, J, Ahead>(j);
            }
        }
      }
    });
  }
};

/// A kernel of run_weights().
template <class T, const conv_call& C, const weights_plan& plan>
struct weights_kernel<T, C, plan> {
  static constexpr const conv_shape& s = shape_for<C>;
  weights_run<T, C> of;

  void task(const weights_place& at, const T* x, const T* g, T* sum, const weights_range& range) const noexcept {
    const auto run = [&](auto vectors) VOLUTE_ALWAYS_INLINE {
      weights_task<T, plan.lanes, vectors, plan.window, plan.ahead>{s, plan, x, g, sum, range}.run();
    };
    if (plan.last == plan.main || at.block + 1 < plan.blocks)
      run(std::integral_constant<int, plan.main>{});
    else if constexpr (plan.last != plan.main)
      run(std::integral_constant<int, plan.last>{});
  }

  /// The copy's zeros make NaN of what is not finite (see conv3d/unread.hpp).
  void complete(const weights_place& at, const T* sums) const noexcept {
    static constexpr tap_places<C.geometry, C.side> places(
        [](const auto& c) { return window_runs(c, plan.chunk, plan.window).row(); },
        [](const auto& c) { return window_runs(c, plan.chunk, plan.window).tap(plan.chunk); });
    const tap_range targets = plan.targets(at.block, s), sources = plan.sources(at.chunk, s);
    const int64_t lanes = plan.block_lanes(at.block), part = plan.sum_count * plan.sum;
    T* const dw = of.dw + filter_offset(s, at.group, targets.first, sources.first);
    const complete_sums<T> all{s, sums, dw, targets.count(), 0, sources.count(), places.of, lanes, lanes, plan.parts, part};
    if constexpr (places.all_met && s.taps() > 1)
      all.template turn<plan.lanes, 1>();
    else
      all.scatter();
    constexpr int64_t most_lanes = plan.lanes * larger(plan.main, plan.last);  // there is room for these
    bool finite = true;
    for (int64_t k = 0; k < plan.parts; ++k) finite = finite && all_finite(sums + k * part, plan.sum / most_lanes * lanes);
    if (finite) return;
    constexpr bool forward = C.side == conv_side::forward;
    const tap_range &outputs = forward ? targets : sources, &inputs = forward ? sources : targets;
    const int64_t first = at.group * C.geometry.group_out();
    of.sum_again({first + outputs.first, first + outputs.last}, inputs);
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
