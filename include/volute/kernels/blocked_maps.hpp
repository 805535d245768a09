// Elementwise programs, and reductions over all pixels, of volumes in blocks of channels: what stands between two convolutions that agree
// on blocks (a norm, an activation, a residual, and their derivatives). Channels are in the lanes, so what varies with the channel alone is
// loaded once for a run of pixels, and sums need no step across lanes. Geometries are read at run time; a program is compiled for a width.
#pragma once

#include <volute/kernels/scalar_program.hpp>
#include <volute/kernels/team.hpp>
#include <volute/kernels/total.hpp>
#include <volute/kernels/walk.hpp>
#include <volute/ops/elementwise.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Lanes for blocks of so many channels: a vector, or half of one if that holds them.
template <class T>
constexpr int block_lanes(std::int64_t block) {
  constexpr int full = simd::width<T>;
  if constexpr (full >= 8 && simd::has_width<T, full / 2>) {
    if (block <= full / 2) return full / 2;
  }
  return full;
}

/// Lanes of a vector that `left` channels fill.
template <int L>
constexpr int valid_lanes(std::int64_t left) {
  return left < L ? static_cast<int>(left) : L;
}

/// The operands of a program at a vector of channels of one plane. E.operand speaks of all of its inputs, the first one too. What varies
/// with the channel alone is read from the first-level cache again for each pixel: as an operand of an instruction it costs nothing.
template <class T, int L, ops::epilogue E>
struct blocked_operands {
  using V = simd::vec<T, L>;
  static constexpr int inputs = E.program.inputs;
  const T* p[inputs];

  /// base: of the plane, at the first of these channels.
  VOLUTE_INLINE blocked_operands(const ops::volume_layout& l, const T* const* from, std::int64_t sample, std::int64_t channel,
                                 std::int64_t base) {
    unroll<inputs>([&](auto i) VOLUTE_ALWAYS_INLINE {
      constexpr ops::access how = E.operand[decltype(i)::value];
      p[i] = from[i] + (how == ops::access::whole                ? base
                        : how == ops::access::per_channel        ? channel
                        : how == ops::access::per_sample_channel ? sample * l.channels + channel
                                                                 : 0);
    });
  }
  /// The program's value at an element of the plane, of n channels; Full: of all lanes.
  template <bool Full>
  VOLUTE_INLINE V at(std::int64_t offset, int n) const {
    V v[inputs];
    unroll<inputs>([&](auto i) VOLUTE_ALWAYS_INLINE {
      constexpr ops::access how = E.operand[decltype(i)::value];
      const T* const from = p[i] + (how == ops::access::whole ? offset : 0);
      if constexpr (how == ops::access::scalar)
        v[i] = V(*from);
      else
        v[i] = Full ? simd::load<V>(from) : simd::load_partial<V>(from, n);
    });
    if constexpr (E.program.length > 0)
      return run_program<E.program, V>(v);
    else
      return v[0];
  }
};

/// A plane's pixels as runs: rows, or one if no zeros stand between them.
struct blocked_runs {
  std::int64_t count, pixels, step;  // elements from one run to the next
  explicit blocked_runs(const ops::volume_layout& l) noexcept
      : count(l.padded() ? l.rows : 1), pixels(l.padded() ? l.columns : l.rows * l.columns), step(l.all_columns * l.block) {}
};

/// One plane of a vector of channels, n of which there are: the program's values, and zeros around them.
template <bool Full, class T, int L, ops::epilogue E>
VOLUTE_INLINE void map_plane(const ops::volume_layout& l, const blocked_operands<T, L, E>& of, T* plane, int n) noexcept {
  using V = simd::vec<T, L>;
  const auto store = [&](std::int64_t at, V v) VOLUTE_ALWAYS_INLINE {
    if constexpr (Full)
      simd::store(plane + at, v);
    else
      simd::store_partial(plane + at, v, n);
  };
  const auto zeros = [&](std::int64_t from, std::int64_t to) VOLUTE_ALWAYS_INLINE {
    for (; from < to; from += l.block) store(from, V(T(0)));
  };
  const blocked_runs runs(l);
  const std::int64_t step = l.block;
  std::int64_t done = 0;  // elements of the plane
  for (std::int64_t r = 0, at = l.first(); r < runs.count; ++r, at += runs.step) {
    zeros(done, at);
    done = at + runs.pixels * step;
    for (std::int64_t i = at; i < done; i += step) store(i, of.template at<Full>(i, n));
  }
  zeros(done, l.plane());
}

/// out = program(in...) with every whole operand and out in layout l, and zeros around each plane of out. out may be a whole operand.
template <class T, int L, ops::epilogue E>
void map_blocked(const ops::volume_layout& l, const T* const* in, T* out, const team<T>& workers = {}) noexcept {
  const std::int64_t blocks = l.channels / l.block, planes = l.batch * blocks * l.planes;
  const double work = static_cast<double>(planes * l.plane()) * program_cost<T>(E.program);
  share_ranges(workers, planes, 1, workers.alone() ? 1 : parts_of(work), [&](std::int64_t begin, std::int64_t end, int) noexcept {
    for (std::int64_t k = begin; k < end; ++k)
      for (std::int64_t c = 0; c < l.block; c += L) {
        const std::int64_t sample = k / (blocks * l.planes), channel = k / l.planes % blocks * l.block + c, base = k * l.plane() + c;
        const int n = valid_lanes<L>(l.block - c);
        const blocked_operands<T, L, E> of(l, in, sample, channel, base);
        if (n == L)
          map_plane<true>(l, of, out + base, n);
        else
          map_plane<false>(l, of, out + base, n);
      }
  });
}

/// A reduction of few channels is cut into this many parts, each with a total of its own, whether or not threads share them.
inline constexpr std::int64_t blocked_parts = 16;

/// A plane of a vector of channels, added to `sum`.
template <bool Full, ops::reduction R, class T, int L, ops::epilogue E>
VOLUTE_INLINE void reduce_plane(const ops::volume_layout& l, const blocked_operands<T, L, E>& of, int n,
                                total<R, simd::vec<T, L>>& sum) noexcept {
  using C = combine<R, T>;
  const blocked_runs runs(l);
  const std::int64_t step = l.block;
  const auto value = [&](std::int64_t at) VOLUTE_ALWAYS_INLINE { return of.template at<Full>(at, n); };
  for (std::int64_t r = 0; r < runs.count; ++r) {
    std::int64_t at = l.first() + r * runs.step, pixel = 0;
    while (pixel + 4 <= runs.pixels) {
      block<R, simd::vec<T, L>> b;
      std::int64_t t = 0;
      for (; t < terms_per_block && pixel + 4 <= runs.pixels; ++t, pixel += 4, at += 4 * step)
        b.add(C::apply(C::apply(value(at), value(at + step)), C::apply(value(at + 2 * step), value(at + 3 * step))));
      if (t == terms_per_block)
        sum.add(b.whole());
      else
        b.to(sum);
    }
    for (; pixel < runs.pixels; ++pixel, at += step) sum.add(value(at));
  }
}

/// A vector of channels of planes [first, last), counted over samples and depth, added to `sum`.
template <class T, int L, ops::epilogue E, ops::reduction R>
VOLUTE_INLINE void reduce_planes(const ops::volume_layout& l, const T* const* in, std::int64_t channel, std::int64_t first,
                                 std::int64_t last, total<R, simd::vec<T, L>>& sum) noexcept {
  const std::int64_t blocks = l.channels / l.block, c = channel % l.block;
  const int n = valid_lanes<L>(l.block - c);
  for (std::int64_t p = first; p < last; ++p) {
    const std::int64_t sample = p / l.planes, plane = (sample * blocks + channel / l.block) * l.planes + p % l.planes;
    const blocked_operands<T, L, E> of(l, in, sample, channel, plane * l.plane() + c);
    if (n == L)
      reduce_plane<true>(l, of, n, sum);
    else
      reduce_plane<false>(l, of, n, sum);
  }
}

/// `results` sums over `planes` planes each: add(result, first, last, sum) takes planes, finish(result, sum) stores; few ones in parts.
template <class Sum, class T, class Add, class Finish>
VOLUTE_INLINE void in_parts(const team<T>& workers, std::int64_t results, std::int64_t planes, double work, const Add& add,
                            const Finish& finish) noexcept {
  constexpr std::int64_t few = 16;
  if (results <= few && work >= worth_sharing && planes > 1) {
    Sum part[few * blocked_parts];
    share(workers, results * blocked_parts, [&](std::int64_t task, int) noexcept {
      const std::int64_t which = task % blocked_parts;
      add(task / blocked_parts, planes * which / blocked_parts, planes * (which + 1) / blocked_parts, part[task]);
    });
    for (std::int64_t k = 0; k < results; ++k) {
      for (std::int64_t t = 1; t < blocked_parts; ++t) part[k * blocked_parts].add(part[k * blocked_parts + t]);
      finish(k, part[k * blocked_parts]);
    }
    return;
  }
  share_ranges(workers, results, 1, workers.alone() ? 1 : parts_of(work), [&](std::int64_t begin, std::int64_t end, int) noexcept {
    for (std::int64_t k = begin; k < end; ++k) {
      Sum sum;
      add(k, 0, planes, sum);
      finish(k, sum);
    }
  });
}

/// out[(sample), channel] = reduction of program(in...) over all pixels (and samples, unless they are kept), whole operands in layout l.
/// The order of additions depends on the layout alone.
template <class T, int L, ops::epilogue E, ops::reduction R, bool KeepsSamples>
void reduce_blocked(const ops::volume_layout& l, const T* const* in, T* out, const team<T>& workers, double count) noexcept {
  using V = simd::vec<T, L>;
  const std::int64_t samples = KeepsSamples ? l.batch : 1, vectors = (l.block + L - 1) / L, blocks = l.channels / l.block;
  const std::int64_t planes = KeepsSamples ? l.planes : l.batch * l.planes, results = samples * blocks * vectors;
  const double work = static_cast<double>(l.batch * l.channels * l.planes * l.rows * l.columns) * program_cost<T>(E.program);
  const auto finish = [&](std::int64_t k, const total<R, V>& sum) VOLUTE_ALWAYS_INLINE {
    const std::int64_t c = k % vectors * L;
    simd::store_partial(out + k / vectors * l.block + c, sum.lanes(count), valid_lanes<L>(l.block - c));
  };
  const auto add = [&](std::int64_t k, std::int64_t first, std::int64_t last, total<R, V>& sum) VOLUTE_ALWAYS_INLINE {
    const std::int64_t sample = k / (blocks * vectors), channel = k / vectors % blocks * l.block + k % vectors * L;
    reduce_planes<T, L, E, R>(l, in, channel, sample * planes + first, sample * planes + last, sum);
  };
  in_parts<total<R, V>>(workers, results, planes, work, add, finish);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
