// What the kernels over loop nests share: an odometer over the outer axes, loads by the form of the innermost stride, and the
// gathering of many short rows into one buffer (so that an innermost extent of 1 or 3 does not leave most of a vector empty).
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/scalar_program.hpp>
#include <volute/kernels/team.hpp>
#include <volute/ops/loop_nest.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Calls f with the constants 0 .. N-1: for what must not depend on the optimiser's unrolling (g++ -O2 keeps small arrays of
/// vectors in memory if the loop over them stays a loop).
template <int N, class F>
VOLUTE_INLINE void unroll(F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) VOLUTE_ALWAYS_INLINE { (f(std::integral_constant<int, I>{}), ...); }
  (std::make_integer_sequence<int, N>{});
}

/// Walks the axes [first, last) of a nest in row-major order and keeps the offset of each input, without a division.
template <int Inputs>
struct odometer {
  const ops::loop_nest& nest;
  int first, last;
  std::int64_t index[max_rank]{};
  std::int64_t offset[Inputs]{};

  odometer(const ops::loop_nest& n, int from, int to) noexcept : nest(n), first(from), last(to) {}

  /// Starts at a position, counted in row-major order.
  odometer(const ops::loop_nest& n, int from, int to, std::int64_t position) noexcept : odometer(n, from, to) {
    for (int a = last - 1; position > 0 && a >= first; --a) {
      index[a] = position % nest.extent[a];
      position /= nest.extent[a];
      for (int i = 0; i < Inputs; ++i) offset[i] += nest.stride[i][a] * index[a];
    }
  }

  /// `count` positions on along the last axis, at most to its end; carries as next() does.
  VOLUTE_INLINE void advance(std::int64_t count) noexcept {
    const int a = last - 1;
    index[a] += count - 1;
    for (int i = 0; i < Inputs; ++i) offset[i] += nest.stride[i][a] * (count - 1);
    next();
  }

  /// To the next position; false after the last one, and then it stands at the first again.
  VOLUTE_INLINE bool next() noexcept {
    for (int a = last - 1; a >= first; --a) {
      const std::int64_t extent = nest.extent[a];
      if (++index[a] < extent) {
        for (int i = 0; i < Inputs; ++i) offset[i] += nest.stride[i][a];
        return true;
      }
      for (int i = 0; i < Inputs; ++i) offset[i] -= nest.stride[i][a] * (extent - 1);
      index[a] = 0;
    }
    return false;
  }
};

/// Product of the extents of the axes [first, last).
inline std::int64_t positions(const ops::loop_nest& nest, int first, int last) noexcept {
  std::int64_t n = 1;
  for (int a = first; a < last; ++a) n *= nest.extent[a];
  return n;
}

/// Nanoseconds of one thread for one element, roughly: what memory and the program cost. For the choice of how many threads share a kernel.
template <class T>
constexpr double program_cost(const ops::scalar_program& p) noexcept {
  double n = 0.05 * (p.inputs + 1) * sizeof(T) / 4;
  for (int i = 0; i < p.length; ++i) {
    const ops::fn f = p.code[i].f;
    const bool series = (f >= ops::fn::exp && f <= ops::fn::erf) || f == ops::fn::power;
    n += (series ? 5.0 : 0.3) / simd::width<T>;
  }
  return n;
}

/// A vector of elements p[0], p[stride], ...; the form of the stride is known.
template <ops::lane Lane, class V, class T>
VOLUTE_INLINE V load_lane(const T* p, [[maybe_unused]] std::int64_t stride) {
  if constexpr (Lane == ops::lane::contiguous)
    return simd::load<V>(p);
  else if constexpr (Lane == ops::lane::broadcast)
    return V(*p);
  else {
    alignas(64) T buffer[simd::lanes<V>];
    for (int k = 0; k < simd::lanes<V>; ++k) buffer[k] = p[k * stride];
    return V::load_aligned(buffer);
  }
}

/// The same for the first n lanes only; the other lanes are zero (or, for a broadcast, the element).
template <ops::lane Lane, class V, class T>
VOLUTE_INLINE V load_lane_partial(const T* p, [[maybe_unused]] std::int64_t stride, int n) {
  if constexpr (Lane == ops::lane::contiguous)
    return simd::load_partial<V>(p, n);
  else if constexpr (Lane == ops::lane::broadcast)
    return V(*p);
  else {
    alignas(64) T buffer[simd::lanes<V>] = {};
    for (int k = 0; k < n; ++k) buffer[k] = p[k * stride];
    return V::load_aligned(buffer);
  }
}

/// One row of a nest: the inputs at one position of the outer axes and their strides along the innermost one.
template <class T, int Inputs>
struct row {
  const T* p[Inputs];
  std::int64_t step[Inputs];
};

/// The inputs at the elements j .. j+lanes-1 of a row.
template <ops::lanes L, class V, class T, int Inputs>
VOLUTE_INLINE void load_row(const row<T, Inputs>& r, std::int64_t j, V* in) {
  unroll<Inputs>([&](auto i) VOLUTE_ALWAYS_INLINE {
    constexpr ops::lane lane = L.input[decltype(i)::value];
    in[i] = load_lane<lane, V>(r.p[i] + (lane == ops::lane::broadcast ? 0 : lane == ops::lane::contiguous ? j : j * r.step[i]), r.step[i]);
  });
}
/// Those at j .. j+n-1, n < lanes; what the other lanes hold is not specified.
template <ops::lanes L, class V, class T, int Inputs>
VOLUTE_INLINE void load_row_partial(const row<T, Inputs>& r, std::int64_t j, int n, V* in) {
  unroll<Inputs>([&](auto i) VOLUTE_ALWAYS_INLINE {
    constexpr ops::lane lane = L.input[decltype(i)::value];
    const std::int64_t at = lane == ops::lane::broadcast ? 0 : lane == ops::lane::contiguous ? j : j * r.step[i];
    in[i] = load_lane_partial<lane, V>(r.p[i] + at, r.step[i], n);
  });
}

/// The program on the elements j .. j+lanes-1 of a row.
template <ops::scalar_program P, ops::lanes L, class V, class T>
VOLUTE_INLINE V program_at(const row<T, P.inputs>& r, std::int64_t j) {
  V in[P.inputs];
  load_row<L, V>(r, j, in);
  return run_program<P, V>(in);
}

/// The program on the elements j .. j+n-1 of a row, n < lanes; what the other lanes hold is not specified.
template <ops::scalar_program P, ops::lanes L, class V, class T>
VOLUTE_INLINE V program_at_partial(const row<T, P.inputs>& r, std::int64_t j, int n) {
  V in[P.inputs];
  load_row_partial<L, V>(r, j, n, in);
  return run_program<P, V>(in);
}

/// Worth repeating in the code: a few instructions. An exponential or a logarithm is a hundred.
constexpr bool short_program(const ops::scalar_program& p) {
  for (int i = 0; i < p.length; ++i)
    if ((p.code[i].f >= ops::fn::exp && p.code[i].f <= ops::fn::erf) || p.code[i].f == ops::fn::power) return false;
  return p.length <= 4;
}

/// The program on the next of the `left` elements from j on: on as many as there are lanes, at most. Stands once in the code.
template <ops::scalar_program P, ops::lanes L, class V, class T>
VOLUTE_INLINE V program_at_most(const row<T, P.inputs>& r, std::int64_t j, std::int64_t left) {
  V in[P.inputs];
  if (left >= simd::lanes<V>)
    load_row<L, V>(r, j, in);
  else
    load_row_partial<L, V>(r, j, static_cast<int>(left), in);
  return run_program<P, V>(in);
}

/// Rows of at most this many elements are gathered: with masked loads a row costs one vector however short it is, without them
/// a partial load is a call of memcpy.
template <class T>
inline constexpr std::int64_t short_row =
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
    simd::width<T> / 2;
#else
    simd::width<T> - 1;
#endif

/// Elements of one input that a buffer of gathered rows holds: 8 inputs take 8 or 16 KiB of stack.
inline constexpr int gathered = 256;

/// `rows` rows of n elements, `step` apart in a row and `row` from one to the next, one after the other.
template <class T>
__attribute__((noinline)) void gather_rows(const T* p, std::int64_t step, std::int64_t row, std::int64_t n, std::int64_t rows,
                                           T* to) noexcept {
  if ((n == 1 && row == 1) || (step == 1 && row == n)) {
    std::memcpy(to, p, static_cast<std::size_t>(rows * n) * sizeof(T));
  } else if (n == 1) {
    for (std::int64_t r = 0; r < rows; ++r) to[r] = p[r * row];
  } else {
    for (std::int64_t r = 0; r < rows; ++r, p += row, to += n)
      for (std::int64_t j = 0; j < n; ++j) to[j] = p[j * step];
  }
}
/// Writes `rows` successive rows of n elements to the buffer of each input, and moves the odometer on by as many rows; it has an axis.
/// Not a template over the program: every program with as many inputs shares it.
template <class T, int Inputs>
__attribute__((noinline)) void gather_rows(const T* const* in, odometer<Inputs>& at, const std::int64_t* step, std::int64_t n,
                                           std::int64_t rows, T (*buffer)[gathered]) noexcept {
  const int axis = at.last - 1;
  for (std::int64_t to = 0; rows > 0;) {
    const std::int64_t left = at.nest.extent[axis] - at.index[axis], run = rows < left ? rows : left;
    for (int i = 0; i < Inputs; ++i) gather_rows(in[i] + at.offset[i], step[i], at.nest.stride[i][axis], n, run, buffer[i] + to);
    at.advance(run);
    rows -= run;
    to += run * n;
  }
}

/// The lanes of gathered rows: every input is a contiguous buffer.
inline constexpr ops::lanes all_contiguous{};

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
