// The adjoint in the filter: dw[o,i,k] = sum over pixels of g[o] * x[i at tap k]. One tensor's channels lie in the lanes, the other is
// broadcast from a channels-last window; (x, g) may take either part, because the list of correlations of either side names every product.
// Where both have few channels, see conv3d/width_weights.hpp.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/channels.hpp>
#include <volute/kernels/conv3d/unread.hpp>
#include <volute/kernels/conv3d/weights_driver.hpp>
#include <volute/kernels/conv3d/weights_sums.hpp>

#include <cstdint>
#include <cstring>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// `target`: the tensor whose channels are lanes (y's gradient g for the forward side, x for the backward side). The sums of a task:
/// [class][tap d][tap h][run][window elements][lanes]. A run: neighbouring taps of the width and their channels, contiguous in the copy.
struct weights_plan : weights_cut {
  int lanes = 1, main = 1, last = 1;  // vectors of a block of target channels
  int window = 1;                     // elements of a run (neighbouring taps x channels) that one register block holds
  int64_t chunk = 1;                  // source channels
  source_axis source[3]{};
  int64_t source_row = 0;
  int64_t panel_planes = 1, panel_rows = 1;  // a panel: pixels whose share of both copies stays in the first-level cache
  bool ahead = false;                        // a panel is fetched during the one before (5 to 15 % of the time)
  constexpr int64_t block_lanes(int64_t b) const { return lanes * (b + 1 < blocks ? main : last); }
  constexpr tap_range targets(int64_t b, int64_t channels) const {
    const int64_t first = b * block_lanes(0);
    return {first, smaller(channels, first + block_lanes(b))};
  }
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
constexpr weights_plan plan_weights(const ops::conv_geometry& g, conv_side side) {
  constexpr int64_t size = sizeof(T), surplus = 64;  // lanes of the copy beyond the last pixel, elements of a window beyond its run
  weights_plan p;
  const conv_shape s = shape_of(g, side);
  const channels_plan forward = plan_channels<T>(s);
  p.lanes = forward.lanes;
  p.main = forward.main.vectors, p.last = forward.last.vectors;
  p.blocks = forward.blocks, p.chunks = forward.chunks, p.chunk = forward.chunk;
  const correlation_axis width = correlation(g, side, 2, 0), depth = correlation(g, side, 0, 0);
  const int64_t height = correlation(g, side, 1, 0).n, vectors = larger(p.main, p.last), lanes = p.lanes * vectors;
  const int64_t length = larger(1, (joined_taps(width) ? width.taps : 1) * p.chunk);
  p.window = static_cast<int>(near_equal(length, most_sums / vectors));
  for (int a = 0; a < 3; ++a) p.source[a] = source_of(g, side, a, 1, a == 2);
  p.source_row = p.source[2].extent * p.chunk;
  p.source_plane = p.source[1].extent * p.source_row;
  p.source_units = p.chunks;
  const int64_t target_plane = s.target_size[1] * s.target_size[2] * lanes;
  p.size_copies(p.source[0].count, s.target_size[0], target_plane, surplus);
  for (int64_t r = 0; r < class_count(g, side, 2); ++r) {
    const window_runs runs(correlation(g, side, 2, r), p.chunk, p.window);
    p.sum += (runs.joined ? 1 : runs.count) * runs.length;
  }
  p.sum *= g.kernel[0] * g.kernel[1] * lanes;
  // With all samples at hand the sums of a chunk are complete at once and never leave the cache; otherwise those of all chunks wait.
  p.samples = p.samples_in(machine.cached, s.batch, size);
  p.share = choose_sharing(conv_work(g), s.groups, p.copies() * size, true);
  p.cut_planes(depth.n, height * width.n, size, machine.l2);
  p.sum_count = p.samples == s.batch && p.parts == 1 ? 1 : p.chunks;
  p.interleaved = p.parts > 1;
  p.cut_slabs(g, side, target_plane, surplus, size);
  // Copies that fill three quarters of the first-level cache, and 128 pixels at least against the cost of the sums.
  const int64_t pixels = larger(128, (machine.l1 * 3 / 4) / ((lanes + width.step * p.chunk) * size));
  p.panel_rows = smaller(height, ceil_divide(pixels, width.n));
  p.panel_planes = smaller(depth.n, larger(1, pixels / (height * width.n)));
  p.ahead = p.copies() * size > machine.l2 * 3 / 2;
  return p;
}

template <class T>
struct weights_job {
  const T* x = nullptr;  // the window
  const T* g = nullptr;  // the lanes
  T* sum = nullptr;
  int64_t planes = 0, rows = 0, pixels = 0;
  int64_t x_plane = 0, x_row = 0, x_pixel = 0, g_plane = 0, g_row = 0, g_pixel = 0;
  const T* ahead = nullptr;  // what the next panel reads, and how much of it for each pixel
  int64_t ahead_step = 0;
  bool add = false;
};

/// sum[j][lanes] += x[pixel's window + j] * g[pixel][lanes] over a panel of pixels.
template <class T, int L, int NV, int J, bool Ahead>
__attribute__((noinline)) void weights_block(const weights_job<T>& j) noexcept {
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
        const T* x = j.x + d * j.x_plane + h * j.x_row + first * j.x_pixel;
        const T* g = j.g + d * j.g_plane + h * j.g_row + first * j.g_pixel;
        const int64_t x_pixel = j.x_pixel, g_pixel = j.g_pixel, ahead_step = j.ahead_step;
        VOLUTE_NO_UNROLL
        for (int64_t w = pixels; w > 0; --w, x += x_pixel, g += g_pixel) {
          V gv[NV];
          load_all(gv, g);
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

/// The products of one panel of one sample, whose copies are `source` and `target`, into the sums or (add) onto them.
template <class T, int L, int NV, int J, bool Ahead>
__attribute__((noinline)) void weights_panel_task(const conv_shape& s, const weights_plan& p, const weights_range& range,
                                                  const weights_panel& panel, const T* source, const T* target, T* sum, bool add) noexcept {
  constexpr int64_t lanes = NV * L;
  const int64_t row = s.target_size[2] * lanes, plane = s.target_size[1] * row;
  weights_job<T> j;
  j.add = add;
  for_each_class(s, [&](const correlation_axis& cd, const correlation_axis& ch, const correlation_axis& cw, int64_t) {
    const window_runs runs(cw, p.chunk, J);
    j.pixels = cw.n;
    j.x_plane = cd.step * p.source_plane;
    j.x_row = ch.step * p.source_row;
    j.x_pixel = cw.step * p.chunk;
    j.g_plane = cd.dst_step * plane;
    j.g_row = ch.dst_step * row;
    j.g_pixel = cw.dst_step * lanes;
    const auto x_plane = [&](int64_t d, int64_t tap) {
      return source + (d * cd.step + cd.offset + tap * cd.offset_step - range.source_base) * p.source_plane;
    };
    const auto g_plane = [&](int64_t d) { return target + (cd.dst + d * cd.dst_step - range.target_base) * plane; };
    for (int64_t td = 0; td < cd.taps; ++td) {
      panel_ahead<T> ahead;
      if constexpr (Ahead) {  // the rows of x that this tap will read, but for those that this panel reads too, and a share of g
        const int64_t read = (ch.taps - 1) * ch.offset_step + 1, old = panel.next_row > 0 ? larger(0, read - ch.step) : 0;
        const int64_t rows = p.panel_rows * ch.dst_step * row;
        ahead.from[0] = x_plane(panel.next, td) + larger(0, panel.next_row * ch.step + ch.offset + old) * p.source_row;
        ahead.from[1] = g_plane(panel.next) + (ch.dst + panel.next_row * ch.dst_step) * row + rows * td / cd.taps;
        ahead.size[0] = ((p.panel_rows - 1) * ch.step + read - old) * p.source_row;
        ahead.size[1] = rows / cd.taps;
        ahead.half = ceil_divide(ch.taps * runs.count * (runs.length / J), 2);
      }
      const tap_range inside_d = positions_inside(cd, td, p.source[0].count);
      const int64_t d = larger(panel.first, inside_d.first);
      j.planes = smaller(panel.last, inside_d.last) - d;
      for (int64_t th = 0; th < ch.taps; ++th) {
        const tap_range inside_h = positions_inside(ch, th, p.source[1].count);
        const int64_t h = larger(panel.row, inside_h.first);
        j.rows = smaller(panel.row + p.panel_rows, inside_h.last) - h;
        if (j.add && (j.planes <= 0 || j.rows <= 0)) {
          sum += runs.row() * lanes;
          ahead.block += runs.count * (runs.length / J);
          continue;
        }
        const T* x =
            x_plane(d, td) + (h * ch.step + ch.offset + th * ch.offset_step) * p.source_row + (cw.offset + p.source[2].pad) * p.chunk;
        j.g = g_plane(d) + (ch.dst + h * ch.dst_step) * row + cw.dst * lanes;
        for (int64_t t = 0; t < runs.count; ++t, x += cw.offset_step * p.chunk)
          for (int64_t i = 0; i < runs.length; i += J, sum += J * lanes) {
            j.x = x + i;
            j.sum = sum;
            if constexpr (Ahead) ahead.next(j);
            weights_block<T, L, NV, J, Ahead>(j);
          }
      }
    }
  });
}

/// The products of one chunk of source channels and one block of target channels, panel by panel.
template <class T, int L, int NV, int J, bool Ahead>
__attribute__((noinline)) void weights_task(const conv_shape& s, const weights_plan& p, const T* source, const T* target, T* sums,
                                            const weights_range& range) noexcept {
  const int64_t depth = s.classes[0][0].n, height = s.classes[1][0].n;  // class 0 is the longest
  bool add = range.add;
  for (int64_t u = range.first, next = 0; u < range.last; u = next) {
    const int64_t n = u / depth, last = smaller(depth, range.last - n * depth);
    next = n * depth + last;
    for (int64_t d = u - n * depth; d < last; d += p.panel_planes)
      for (int64_t h = 0; h < height; h += p.panel_rows, add = true) {
        const int64_t below = h + p.panel_rows < height ? h + p.panel_rows : 0;
        const weights_panel panel{d, smaller(d + p.panel_planes, last), h, below > 0 ? d : d + p.panel_planes, below};
        weights_panel_task<T, L, NV, J, Ahead>(s, p, range, panel, source + n * p.source_sample, target + n * p.target_sample, sums, add);
      }
  }
}

/// turn_sums() for any number of classes, and filters of one element.
template <class T>
__attribute__((noinline)) void scatter_sums(const conv_shape& s, const weights_plan& p, int64_t lanes, int64_t targets, int64_t sources,
                                            const T* sums, T* dw) noexcept {
  for_each_class(s, [&](const correlation_axis& cd, const correlation_axis& ch, const correlation_axis& cw, int64_t) {
    const window_runs runs(cw, p.chunk, p.window);
    const int64_t row = runs.row() * lanes, column = runs.tap(p.chunk) * lanes;
    for_each_tap(s, cd, ch, cw, [&](int64_t d, int64_t h, int64_t w, int64_t tap) {
      const T* from = sums + (d * ch.taps + h) * row + w * column;
      T* to = dw + tap;
      for (int64_t i = 0; i < sources; ++i, from += lanes, to += s.weight_source)
        for (int64_t o = 0; o < targets; ++o) {
          T sum = from[o];
          for (int64_t k = 1; k < p.parts; ++k) sum += from[k * p.sum_count * p.sum + o];
          to[o * s.weight_target] = sum;
        }
    });
    sums += cd.taps * ch.taps * row;
  });
}

/// copy_source_channels() from a blocked layout, of a source that is read whole.
template <class T, class Plan>
void copy_blocked_planes(const conv_shape& s, const Plan& p, const ops::volume_layout& from, const T* x, int64_t sample, T* to,
                         int64_t begin, int64_t end, int64_t base) noexcept {
  const source_axis &rows = p.source[1], &row = p.source[2];
  const auto clear = [&](T* pixel, int64_t n) { std::memset(pixel, 0, static_cast<std::size_t>(n * p.chunk) * sizeof(T)); };
  for (int64_t i = begin; i < end; ++i) {
    const int64_t c = i % p.chunks, d = i / p.chunks, channel = c * p.chunk, line = row.extent * p.chunk;
    T* pixel = to + c * p.source_chunk + (d - base) * p.source_plane;
    clear(pixel, rows.pad * row.extent);
    pixel += rows.pad * line;
    for (int64_t h = 0; h < rows.count; ++h, pixel += line) {
      const int64_t first = (d * s.source_size[1] + h) * s.source_size[2];
      clear(pixel, row.pad);
      copy_blocked<T>(from, x, sample, channel, smaller(p.chunk, s.source_channels - channel), first, first + row.count,
                      pixel + row.pad * p.chunk, p.chunk);
      clear(pixel + (row.pad + row.count) * p.chunk, row.extent - row.pad - row.count);
    }
    clear(pixel, (rows.extent - rows.pad - rows.count) * row.extent);
  }
}

/// A kernel of run_weights().
template <class T, ops::conv_geometry G, conv_side Side, ops::conv_layouts Layouts>
struct channels_weights {
  static constexpr weights_plan plan = plan_weights<T>(G, Side);
  static constexpr const conv_shape& s = conv_shape_of<G, Side>;
  weights_operands<T, G, Side> of;

  void copy_source(const weights_copy& c, T* to) const noexcept {
    const int64_t base = c.base / plan.chunks;
    if constexpr (Layouts.source.blocked())
      copy_blocked_planes<T>(s, plan, Layouts.source, of.source, c.sample, to, c.begin, c.end, base);
    else
      copy_source_channels<T, false>(s, plan, of.source, nullptr, c.sample, c.group, to, c.begin, c.end, base);
  }

  void copy_target(const weights_copy& c, T* to) const noexcept {
    const int64_t plane = s.target_size[1] * s.target_size[2];
    copy_weights_pixels<T, 1, Layouts.target>(s, {of.target, s.target_channels, s.target_volume()}, plan.targets(c.block, 0).first,
                                              plan.block_lanes(c.block),
                                              {c.sample, c.group, c.begin * plane, c.end * plane, c.base * plane}, to);
  }

  void task(const weights_place& at, const T* x, const T* g, T* sum, const weights_range& range) const noexcept {
    if (plan.last == plan.main || at.block + 1 < plan.blocks)
      weights_task<T, plan.lanes, plan.main, plan.window, plan.ahead>(s, plan, x, g, sum, range);
    else if constexpr (plan.last != plan.main)
      weights_task<T, plan.lanes, plan.last, plan.window, plan.ahead>(s, plan, x, g, sum, range);
  }

  /// The copy's zeros make NaN of what is not finite (see conv3d/unread.hpp).
  void complete(const weights_place& at, const T* sums) const noexcept {
    constexpr bool forward = Side == conv_side::forward;
    constexpr bool single = forward || (G.stride[0] == 1 && G.stride[1] == 1 && G.stride[2] == 1);
    const tap_range targets = plan.targets(at.block, s.target_channels);
    const tap_range sources{at.chunk * plan.chunk, smaller(s.source_channels, (at.chunk + 1) * plan.chunk)};
    const int64_t lanes = plan.block_lanes(at.block), valid = targets.last - targets.first, channels = sources.last - sources.first;
    const int64_t part = plan.sum_count * plan.sum;
    T* const to = of.dw + filter_offset(s, at.group, targets.first, sources.first);
    if constexpr (single && G.taps() > 1) {
      const window_runs runs(s.classes[2][0], plan.chunk, plan.window);
      const int64_t row = runs.row() * lanes;
      const sums_layout layout(s, {s.classes[1][0].taps * row, row, runs.tap(plan.chunk) * lanes}, lanes, plan.parts, part);
      turn_sums<T, plan.lanes, 1>(s, layout, valid, 0, channels, sums, to);
    } else {
      scatter_sums<T>(s, plan, lanes, valid, channels, sums, to);
    }
    constexpr int64_t most_lanes = plan.lanes * larger(plan.main, plan.last);  // there is room for these
    bool finite = true;
    for (int64_t k = 0; k < plan.parts; ++k) finite = finite && all_finite(sums + k * part, plan.sum / most_lanes * lanes);
    if (finite) return;
    const int64_t first = at.group * G.group_out();
    if constexpr (forward)
      without_unread<T>(G, Layouts, of.source, of.target, of.dw, {first + targets.first, first + targets.last}, sources);
    else
      without_unread<T>(G, {Layouts.target, Layouts.source}, of.target, of.source, of.dw, {first + sources.first, first + sources.last},
                        targets);
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
