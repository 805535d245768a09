// What the positions of a value along one axis see of the program's inputs along theirs: the algebra of the receptive field
// (graph/receptive_field.hpp walks a graph with it).
#pragma once

#include <volute/core/extents.hpp>
#include <volute/core/ratio.hpp>

#include <algorithm>
#include <cstdint>

namespace volute::graph {

/// Quotients rounded down and up, for a divisor > 0.
constexpr std::int64_t floor_divide(std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
constexpr std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return -floor_divide(-a, b); }

/// How a value depends on where along an axis of the inputs it is.
enum class sight_kind : std::int8_t {
  none,        // not at all: the same everywhere
  local,       // position j sees a neighbourhood of j * step
  everything,  // all of it, or it is not known what
  placed,      // it also depends on the position itself: a parameter, a table or random numbers with an element for each voxel
};

/// One axis of the inputs as a value sees it.
struct sight {
  sight_kind kind = sight_kind::none;
  int cause = -1;  // everything, placed: the node that made it so

  // local: element i of the value, in row-major order, is at position j = i / stride % n, and sees the inputs' voxels from j * step + from
  // to j * step + to, rounded inwards; `middle` + j * step is the middle of its windows.
  std::int64_t n = 1, stride = 1;
  ratio step{1}, from{}, to{}, middle{};
  // Where the ends of the inputs are no ends of the volume: positions [first, last) are what they would be in the whole.
  std::int64_t first = 0, last = 1;
  // Pieces that were put at an end (mirrored or repeated voxels) see up to voxel `near` at the low end, down to `far` before the last one
  // at the high end; -1: none.
  std::int64_t near = -1, far = -1;

  constexpr bool is_local() const { return kind == sight_kind::local; }
  constexpr bool is_blind() const { return kind == sight_kind::everything || kind == sight_kind::placed; }
};

constexpr sight sees_everything(int node) { return {sight_kind::everything, node}; }
constexpr sight is_placed(int node) { return {sight_kind::placed, node}; }

/// The first voxel that position j sees, and the last.
constexpr std::int64_t first_seen(const sight& x, std::int64_t j) { return (x.step * ratio(j) + x.from).ceil(); }
constexpr std::int64_t last_seen(const sight& x, std::int64_t j) { return (x.step * ratio(j) + x.to).floor(); }

/// Bounds that no position reaches are narrowed: voxels have whole numbers.
constexpr sight narrowed(sight y, std::int64_t n) {
  y.n = n;
  y.from = ratio((y.from * ratio(y.step.den)).ceil(), y.step.den);
  y.to = ratio((y.to * ratio(y.step.den)).floor(), y.step.den);
  y.first = std::clamp<std::int64_t>(y.first, 0, n);
  y.last = std::clamp<std::int64_t>(y.last, 0, n);
  return y;
}

/// Position j of n reads positions j * s + at + k * d of x, k = 0 .. taps - 1: a convolution, a pooling, a slice.
constexpr sight gathered(const sight& x, std::int64_t s, std::int64_t at, std::int64_t taps, std::int64_t d, std::int64_t n) {
  const std::int64_t reach = (taps - 1) * d;
  sight y = x;
  y.step = x.step * ratio(s);
  y.from = x.from + x.step * ratio(at);
  y.to = x.to + x.step * ratio(at + reach);
  y.middle = x.middle + x.step * ratio(2 * at + reach, 2);
  y.first = ceil_divide(x.first - at, s);
  y.last = ceil_divide(x.last - at - reach, s);
  return narrowed(y, n);
}

/// Position i of x is added to positions i * s + at + k * d: the adjoint of that, a transposed convolution, zeros between voxels.
constexpr sight scattered(const sight& x, std::int64_t s, std::int64_t at, std::int64_t taps, std::int64_t d, std::int64_t n) {
  const std::int64_t reach = (taps - 1) * d;
  sight y = x;
  y.step = x.step / ratio(s);
  y.from = x.from + x.step * ratio(-at - reach, s);
  y.to = x.to + x.step * ratio(-at, s);
  y.middle = x.middle + x.step * ratio(-2 * at - reach, 2 * s);
  y.first = (x.first - 1) * s + at + reach + 1;
  y.last = x.last * s + at;
  return narrowed(y, n);
}

/// Position o lies (o + 1/2) / s - 1/2 along x, between two positions that it reads: linear interpolation.
constexpr sight interpolated(const sight& x, std::int64_t s) {
  sight y = x;
  y.step = x.step / ratio(s);
  y.from = x.from + x.step * ratio(2 - 3 * s, 2 * s);
  y.to = x.to + x.step * ratio(1, 2);
  y.middle = x.middle + x.step * ratio(1 - s, 2 * s);
  y.first = ceil_divide(2 * s * x.first + s - 1, 2);
  y.last = floor_divide(2 * s * (x.last - 1) + s - 1, 2) + 1;
  return narrowed(y, x.n * s);
}

/// A value made of both, element by element; `node` makes it.
constexpr sight joined(const sight& a, const sight& b, int node) {
  if (a.is_blind() || b.kind == sight_kind::none) return a;
  if (b.is_blind() || a.kind == sight_kind::none) return b;
  if (a.n != b.n || a.stride != b.stride || !(a.step == b.step)) return sees_everything(node);  // voxels of other places meet
  sight y = a;
  y.from = b.from < a.from ? b.from : a.from;
  y.to = a.to < b.to ? b.to : a.to;
  y.first = std::max(a.first, b.first), y.last = std::min(a.last, b.last);
  y.near = std::max(a.near, b.near), y.far = std::max(a.far, b.far);
  return y;
}

/// Where an axis of the inputs lies within a value's shape: position j is at j * inner of tensor axis `axis` (and what is between).
struct axis_place {
  int axis = -1;  // -1: over several
  std::int64_t inner = 1;
};
/// `expected` is the axis to prefer where an extent of 1 leaves a choice.
constexpr axis_place locate(const sight& x, const extents& shape, int expected) {
  for (int i = -1; i < shape.rank; ++i) {
    const int k = i < 0 ? expected : i;
    if (k >= shape.rank) continue;
    const std::int64_t stride = shape.stride(k);
    if (x.stride >= stride && x.stride % stride == 0 && x.stride * x.n <= stride * shape[k]) return {k, x.stride / stride};
  }
  return {};
}
/// Whether it is all of a tensor's axis.
constexpr bool fills(const sight& x, const axis_place& p, const extents& shape) {
  return p.axis >= 0 && p.inner == 1 && x.n == shape[p.axis];
}
/// x, lying so within a value of another shape.
constexpr sight lying(sight x, const extents& shape, int axis, std::int64_t inner = 1) {
  x.stride = shape.stride(axis) * inner;
  return x;
}

}  // namespace volute::graph
