// How a 3D convolution is cut up, as values: the forward face and the adjoint in the data are both lists of dense correlations with
// stride on the source only, one for each residue class of the destination's position (forward: one class). Nothing is zero-stuffed.
#pragma once

#include <volute/kernels/conv3d/machine.hpp>
#include <volute/kernels/team.hpp>
#include <volute/ops/convolution.hpp>

#include <cstdint>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Which tensor is written: y (forward, source x) or dx (backward, source g).
enum class conv_side { forward, backward };

constexpr int64_t ceil_divide(int64_t a, int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }
constexpr int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }
constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
/// The size of near-equal parts of n, of at most `most` each.
constexpr int64_t near_equal(int64_t n, int64_t most) { return ceil_divide(n, ceil_divide(n, most)); }
/// Bytes of an element, as a number that sizes can be multiplied by.
template <class T>
inline constexpr int64_t bytes_of = sizeof(T);
/// Elements of a cache line of 64 bytes.
template <class T>
inline constexpr int line_of = 64 / int(sizeof(T));

/// Where pixel number `pixel` of a volume of so many rows and columns lies.
struct voxel_place {
  int64_t d = 0, h = 0, w = 0;
};
constexpr voxel_place voxel_at(int64_t pixel, int64_t rows, int64_t columns) {
  return {pixel / (columns * rows), pixel / columns % rows, pixel % columns};
}

/// n elements and those that fill a line, whatever their type.
constexpr int64_t whole_lines(int64_t n) { return ceil_divide(n, 16) * 16; }

/// True where every position of the target meets all taps: stride 1.
constexpr bool unit_stride(const ops::conv_geometry& g) { return g.stride[0] == 1 && g.stride[1] == 1 && g.stride[2] == 1; }

/// The same convolution with its trivial axes moved out of the width: axes without kernel, stride or padding merge (1x1x1: the whole
/// volume is one row), and a width of one voxel takes its place with the depth.
constexpr ops::conv_geometry canonical(ops::conv_geometry g) {
  const auto plain = [&](int a) { return g.kernel[a] == 1 && g.stride[a] == 1 && g.lo[a] == 0 && g.in[a] == g.out[a]; };
  const auto clear = [&](int a) {
    g.in[a] = g.out[a] = g.kernel[a] = g.stride[a] = g.dilation[a] = 1;
    g.lo[a] = 0;
  };
  for (int a = 0; a < 2; ++a)
    if (plain(a) && plain(a + 1)) {
      g.in[a + 1] *= g.in[a];
      g.out[a + 1] *= g.out[a];
      clear(a);
    }
  for (int turn = 0; turn < 2; ++turn)
    if (g.in[2] == 1 && g.out[2] == 1 && g.kernel[2] == 1 && g.lo[2] == 0) {
      for (int a = 2; a > 0; --a) {
        g.in[a] = g.in[a - 1], g.out[a] = g.out[a - 1], g.kernel[a] = g.kernel[a - 1];
        g.stride[a] = g.stride[a - 1], g.lo[a] = g.lo[a - 1], g.dilation[a] = g.dilation[a - 1];
      }
      clear(0);
    }
  return g;
}

/// Depth, height, width.
inline constexpr int volume_axes[]{0, 1, 2};

/// One axis of one dense correlation: the destination's position dst + j * dst_step, 0 <= j < n, is the sum over taps t of the source's
/// element j * step + offset + t * offset_step times the kernel's element k + t * k_step. Offsets ascend.
struct correlation_axis {
  int64_t n = 0, dst = 0, dst_step = 1, step = 1, taps = 0, offset = 0, offset_step = 1, k = 0, k_step = 1;
  /// The element that tap t reads for position j, and where that position is.
  constexpr int64_t source_of(int64_t j, int64_t t) const { return j * step + offset + t * offset_step; }
  constexpr int64_t target_of(int64_t j) const { return dst + j * dst_step; }
  /// Behind the last element that position 0 reads.
  constexpr int64_t end() const { return offset + (taps - 1) * offset_step + 1; }
};

/// How one axis of the source stands in its copy: `count` elements start, start + step, ... after `pad` zeros, `extent` in all.
struct source_axis {
  int64_t start = 0, step = 1, count = 0, pad = 0, extent = 1;
};

/// Taps, or whatever else, [first, last).
struct tap_range {
  int64_t first = 0, last = 0;
  constexpr int64_t count() const { return last - first; }
};
/// Number i of `parts` near-equal ranges of n.
constexpr tap_range nth_range(int64_t n, int64_t i, int64_t parts) { return {n * i / parts, n * (i + 1) / parts}; }

/// Taps of an axis that read an existing element for destination index j.
constexpr tap_range taps_inside(const correlation_axis& c, int64_t j, int64_t count) {
  tap_range r{0, c.taps};
  while (r.first < c.taps && c.source_of(j, r.first) < 0) ++r.first;
  while (r.last > r.first && c.source_of(j, r.last - 1) >= count) --r.last;
  return r;
}

/// Destination indices [first, last) for which tap t reads an existing element.
constexpr tap_range positions_inside(const correlation_axis& c, int64_t t, int64_t count) {
  const int64_t at = c.source_of(0, t);  // 0 <= j * step + at < count
  const int64_t first = larger(0, ceil_divide(-at, c.step));
  const int64_t last = smaller(c.n, count > at ? (count - 1 - at) / c.step + 1 : 0);
  return {first, larger(first, last)};
}

/// Neighbouring positions of an axis that are accumulated together: n of them; of the source elements that their taps span, those in
/// [low, high) exist.
struct axis_segment {
  int n = 1, low = 0, high = 0;
  constexpr int room() const { return high == low ? 1 : high - low; }  // of an array of them
};
/// That of positions [first, last) of an axis of stride 1, in a source of `count` elements.
constexpr axis_segment segment_between(const correlation_axis& c, int64_t first, int64_t last, int64_t count) {
  const int64_t from = first + c.offset, span = last - first + (c.taps - 1) * c.offset_step;
  const int64_t low = smaller(span, larger(0, -from));
  return {int(last - first), int(low), int(larger(low, smaller(span, count - from)))};
}

/// Positions of an axis of `count` elements that all its taps read, each counted.
constexpr int64_t positions_read(const correlation_axis& c, int64_t count) {
  int64_t n = 0;
  for (int64_t t = 0; t < c.taps; ++t) {
    const tap_range r = positions_inside(c, t, count);
    n += r.count();
  }
  return n;
}

/// Both of what plans are made of, a canonical geometry and a side, and all that the geometry-independent drivers read: the list of
/// correlations by axis and the strides of the tensors.
struct conv_shape {
  ops::conv_geometry geometry{};
  conv_side side{};
  const correlation_axis* classes[3]{};  // of each axis; null but in conv_shape_of
  correlation_axis axis[3]{};            // the first class of each, which is the longest
  int64_t class_counts[3]{};
  int64_t batch = 1, groups = 1, source_channels = 1, target_channels = 1;  // channels of one group
  int64_t source_size[3]{}, target_size[3]{};
  int64_t weight_target = 0, weight_source = 0;  // steps of w from one channel to the next; the kernel's axes are dense
  int64_t kernel[3]{};

  constexpr conv_shape() = default;
  constexpr conv_shape(const ops::conv_geometry& g, conv_side s = conv_side::forward)
      : geometry(g), side(s), batch(g.batch), groups(g.groups) {
    const bool forward = side == conv_side::forward;
    source_channels = forward ? g.group_in() : g.group_out();
    target_channels = forward ? g.group_out() : g.group_in();
    weight_target = forward ? g.group_in() * g.taps() : g.taps();
    weight_source = forward ? g.taps() : g.group_in() * g.taps();
    for (int a : volume_axes) {
      source_size[a] = forward ? g.in[a] : g.out[a];
      target_size[a] = forward ? g.out[a] : g.in[a];
      kernel[a] = g.kernel[a];
      class_counts[a] = forward ? 1 : smaller(g.stride[a], g.in[a]);
      axis[a] = correlation(a, 0);
    }
  }

  /// One thread's nanoseconds: 50 multiply-adds each, 90 % of a core's peak; few lanes make it slower, so this is on the low side.
  constexpr double work() const { return double(geometry.y_size() * geometry.group_in() * geometry.taps()) / 50; }
  /// True where the forward face reads only every stride-th element of an axis: the copy of the source then leaves the rest out.
  constexpr bool subsampled(int a) const { return side == conv_side::forward && geometry.kernel[a] == 1 && geometry.stride[a] > 1; }
  /// The positions of one residue class of an axis.
  constexpr correlation_axis correlation(int a, int64_t residue) const;
  /// f(correlation) for all classes of an axis.
  template <class F>
  constexpr void for_each_class(int a, F f) const {
    for (int64_t r = 0; r < class_counts[a]; ++r) f(r == 0 ? axis[a] : correlation(a, r));
  }
  /// An axis of the source in its copy. At least `block` destination positions may be asked for in a row. An axis that is not padded is
  /// clipped tap by tap instead.
  constexpr source_axis source(int a, int64_t block, bool padded) const;

  constexpr int64_t pairs() const { return batch * groups; }
  constexpr int64_t source_plane() const { return source_size[1] * source_size[2]; }
  constexpr int64_t source_volume() const { return source_size[0] * source_plane(); }
  constexpr int64_t target_plane() const { return target_size[1] * target_size[2]; }
  constexpr int64_t target_volume() const { return target_size[0] * target_plane(); }
  constexpr int64_t target_elements() const { return target_channels * target_volume(); }  // of a pair
  constexpr int64_t source_elements() const { return source_channels * source_volume(); }
  constexpr int64_t plane_taps() const { return kernel[1] * kernel[2]; }
  constexpr int64_t taps() const { return kernel[0] * plane_taps(); }
  constexpr int64_t filters() const { return groups * target_channels * source_channels * taps(); }
  constexpr int64_t inner_classes() const { return class_counts[1] * class_counts[2]; }  // of a plane
};

constexpr correlation_axis conv_shape::correlation(int a, int64_t residue) const {
  const int64_t s = geometry.stride[a], d = geometry.dilation[a], lo = geometry.lo[a];
  if (subsampled(a)) return {target_size[a], 0, 1, 1, 1, -ceil_divide(lo, s), 1, 0, 1};
  if (side == conv_side::forward) return {target_size[a], 0, 1, s, kernel[a], -lo, d, 0, 1};
  int64_t common = s, rest = d;  // greatest common divisor
  while (rest != 0) {
    const int64_t next = common % rest;
    common = rest;
    rest = next;
  }
  correlation_axis c{(target_size[a] - 1 - residue) / s + 1, residue, s, 1, 0, 0, d / common, 0, -(s / common)};
  int64_t tap = kernel[a] - 1;  // only every (s / common)-th tap meets this class; the highest comes first
  while (tap >= 0 && (residue + lo - tap * d) % s != 0) --tap;
  if (tap < 0) return c;
  c.k = tap;
  c.offset = (residue + lo - tap * d) / s;
  c.taps = tap / (s / common) + 1;
  return c;
}

constexpr source_axis conv_shape::source(int a, int64_t block, bool padded) const {
  source_axis x;
  x.count = source_size[a];
  if (subsampled(a)) {
    x.step = geometry.stride[a];
    x.start = ceil_divide(geometry.lo[a], x.step) * x.step - geometry.lo[a];
    x.count = x.start < x.count ? (x.count - 1 - x.start) / x.step + 1 : 0;
  }
  int64_t lowest = 0, read = 0, asked = 0;
  for_each_class(a, [&](const correlation_axis& c) {
    if (c.taps == 0) return;
    lowest = smaller(lowest, c.offset);
    read = larger(read, (c.n - 1) * c.step + c.end());
    asked = larger(asked, (larger(c.n, block) - 1) * c.step + c.end());
  });
  x.count = smaller(x.count, read);
  x.pad = padded ? -lowest : 0;
  x.extent = larger(1, padded ? x.pad + larger(x.count, asked) : x.count);
  return x;
}

constexpr const conv_shape& shape_of(const conv_shape& s, conv_side) { return s; }
constexpr conv_shape shape_of(const ops::conv_geometry& g, conv_side side) { return {g, side}; }

/// How threads share a convolution: each takes whole (sample, group) pairs, `pairs`, with a scratch memory of its own; or all work on one
/// pair (or one set of samples) at a time, `inside`, between a barrier after the copy and one at the end, each with a tile of its own.
enum class sharing { none, pairs, inside };

/// Tasks that 2, 4, 8 or 16 threads share without a rest: where each repeats something (a copy of what neighbours copy too, or sums that
/// are added at the end), and elsewhere.
inline constexpr int64_t few_tasks = 16, many_tasks = 32;

/// Pairs need no barrier, but so many of them that no thread waits long for the last one, and memory for each thread.
constexpr sharing choose_sharing(double work, int64_t pairs, int64_t scratch_bytes, bool pairs_allowed) {
  if (work < worth_sharing) return sharing::none;
  const bool possible = pairs_allowed && pairs > 1 && scratch_bytes <= machine.cached * 2;
  if (possible && pairs >= 8) return sharing::pairs;
  if (work / double(pairs) >= worth_sharing) return sharing::inside;
  return possible ? sharing::pairs : sharing::none;
}

/// Elements of scratch memory of each worker but the first: all that the first one has, what is no worker's but its own, or none.
constexpr int64_t worker_memory(sharing share, int64_t all, int64_t own) {
  return share == sharing::none ? 0 : whole_lines(share == sharing::pairs ? all : own);
}

/// Parts in which threads make a copy of so many elements: each is worth a hand-over, and 2, 4, 8 ... threads share them without a rest.
constexpr int64_t copy_parts(int64_t elements) {
  int64_t n = 1;
  while (n < many_tasks && elements >= 2 * n * machine.hand_over * machine.copied) n *= 2;
  return n;
}

/// How the adjoint in the filter is cut where its sums make only a few tasks: into parts of the pixels, each with sums of its own, which
/// are added in order. (Threads that share the taps instead read all of the copies, half of them from the other's cache: that takes twice
/// as long as one thread needs.) Planes of a part: enough that the parts make 32 tasks at most, that their sums, `bytes` each, stay below
/// `room` and that they are small beside the products: of 1024 pixels at least (5 % lost with 256), or of 256 if they stay in the
/// first-level cache.
constexpr int64_t planes_of_part(int64_t tasks, int64_t planes, int64_t pixels, int64_t bytes, int64_t room) {
  const int64_t most =
      smaller(smaller(many_tasks / tasks, room / larger(1, bytes)), planes * pixels / (bytes <= machine.l1 / 2 ? 256 : 1024));
  return most > 1 && tasks < few_tasks ? ceil_divide(planes, most) : planes;
}

/// The classes of all axes of canonical geometry G, one axis after the other.
template <ops::conv_geometry G, conv_side Side>
struct conv_classes {
  static constexpr conv_shape shape{G, Side};
  correlation_axis list[shape.class_counts[0] + shape.class_counts[1] + shape.class_counts[2]];
  constexpr conv_classes() : list{} {
    correlation_axis* to = list;
    for (int a : volume_axes) shape.for_each_class(a, [&](const correlation_axis& c) { *to++ = c; });
  }
};
template <ops::conv_geometry G, conv_side Side>
inline constexpr conv_classes<G, Side> classes_of{};

/// The list of correlations of canonical geometry G, with its classes in static storage.
template <ops::conv_geometry G, conv_side Side>
inline constexpr conv_shape conv_shape_of = [] {
  conv_shape s = conv_classes<G, Side>::shape;
  const correlation_axis* first = classes_of<G, Side>.list;
  for (int a : volume_axes) s.classes[a] = first, first += s.class_counts[a];
  return s;
}();

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
