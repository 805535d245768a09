// The adjoint in the filter where windows do not overlap: dW[o, (i, tap)] = sum over pixels p of g[o, p] x[(i, tap), p]. Pixels go piece by
// piece: of the one matrix they are turned, so that its rows lie in the lanes, and the other's rows are broadcast; sums stay in registers
// for a piece.
#pragma once

#include <volute/core/executor.hpp>
#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/pointwise.hpp>
#include <volute/kernels/conv3d/weights_parts.hpp>
#include <volute/kernels/copy.hpp>

#include <cstdint>
#include <cstring>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Pixels of a piece at most, and the pitch of its rows: an odd number of vectors.
inline constexpr int64_t piece_pixels = 256;
template <class T>
inline constexpr int64_t piece_pitch = ((piece_pixels / simd::width<T> + 1) | 1) * simd::width<T>;

struct pointwise_weights_plan {
  bool turn_x = false;                  // x's rows lie in the lanes, else g's
  int64_t turned = 1, broadcast = 1;    // rows of the two matrices, of one group
  int vectors = 1, last = 1;            // of a block of lanes, of the last block
  int64_t blocks = 1, part_blocks = 1;  // part_blocks: turned at a time, 256 KiB of them at most
  int rows = 1;                         // that a register block broadcasts
  int64_t step = 1, steps = 1;          // rows of whole register blocks and of whole rows of windows
  int64_t chunk = 1;                    // rows packed at a time, 128 KiB of them at most
  int64_t piece = 1;                    // pixels
  int64_t pieces = 1, parts = 1;        // of the batch; the sums of each part wait to be added in order
  int64_t sums = 0;                     // of one part and group
  bool several = false;                 // lines that a register block asks for in each row: one would not be enough
  bool shared = false;
  int64_t groups = 1, pixels = 1;
  int64_t lanes = 1, pitch = 1;
  constexpr int64_t block_lanes(int64_t b) const { return lanes * (b + 1 < blocks ? vectors : last); }
  constexpr int64_t block_sums() const { return steps * step * vectors * lanes; }
  constexpr int64_t turned_size() const { return part_blocks * vectors * lanes * piece_pixels; }
  constexpr int64_t own() const { return whole_lines(turned_size() + chunk * pitch + lanes * pitch); }
  constexpr int64_t scratch() const { return own() + parts * groups * sums; }
  constexpr int64_t worker_scratch() const { return shared ? own() : 0; }
};

/// Cycles for each pixel, roughly: two multiplications, four elements turned and eight packed in one cycle and lane of 16.
template <class T>
constexpr double pointwise_weights_cost(int64_t turned, int64_t broadcast) {
  const double copies = 0.3 * double(turned) + 0.15 * double(broadcast);
  return double(ceil_divide(turned, simd::width<T>) * broadcast) / 2 + copies * 16 / simd::width<T>;
}

template <class T>
constexpr pointwise_weights_plan plan_pointwise_weights(const conv_shape& s) {
  pointwise_weights_plan p;
  constexpr int64_t width = simd::width<T>, size = sizeof(T), registers = accumulators + 4, most_rows = 12;
  const int64_t of_x = s.source_channels * s.taps(), of_g = s.target_channels;
  p.turn_x = width % s.kernel[2] == 0 && pointwise_weights_cost<T>(of_x, of_g) < pointwise_weights_cost<T>(of_g, of_x);
  p.turned = p.turn_x ? of_x : of_g;
  p.broadcast = p.turn_x ? of_g : of_x;
  p.lanes = width;
  p.pitch = piece_pitch<T>;
  p.groups = s.groups;
  p.pixels = s.target_volume();
  const int64_t vectors = ceil_divide(p.turned, width);
  p.blocks = ceil_divide(vectors, 2);  // of three, a piece would outgrow the first-level cache, or leave few registers to the rows
  p.vectors = int(ceil_divide(vectors, p.blocks));
  p.blocks = ceil_divide(vectors, p.vectors);
  p.last = int(vectors - (p.blocks - 1) * p.vectors);
  p.part_blocks = smaller(p.blocks, larger(1, (machine.l2 / 4) / (p.vectors * width * piece_pixels * size)));
  const int64_t most = smaller(most_rows, (registers - 1 - p.vectors) / p.vectors);
  p.rows = int(near_equal(p.broadcast, most));
  p.step = p.rows;
  while (!p.turn_x && p.step % s.kernel[2] != 0) p.step += p.rows;
  p.steps = ceil_divide(p.broadcast, p.step);
  p.chunk = ceil_divide(p.steps, ceil_divide(p.steps, larger(1, (machine.l2 / 8) / (p.pitch * size * p.step)))) * p.step;
  p.sums = p.blocks * p.block_sums();
  const int64_t pieces = ceil_divide(p.pixels, piece_pixels);
  p.piece = ceil_divide(ceil_divide(p.pixels, pieces), width) * width;  // not larger than piece_pixels
  p.pieces = s.batch * pieces;
  p.several =
      p.blocks * p.steps * (p.step / p.rows) <
      p.piece * size / 64 * (ceil_divide(p.turned, p.piece) * (p.turn_x ? s.geometry.stride[2] : 1) + ceil_divide(p.broadcast, p.piece));
  p.shared = s.work() >= worth_sharing;
  // An even number of parts, of three pieces or so for the sake of the sums, and at most 2 MiB of these.
  if (p.shared) p.parts = larger(1, smaller(smaller(few_tasks, (p.pieces + 2) / 6 * 2), (machine.cached / 2) / (p.groups * p.sums * size)));
  return p;
}

/// Cache lines that a register block asks for on its way, one in each step, for the piece after this one: a line of each of `rows` rows;
/// if Several, then the next line of each, and after `lines` elements again from the first. A block that asked in one go would only wait
/// for memory.
template <class T, bool Several>
struct lines_ahead {
  static constexpr int64_t line = line_of<T>;
  const T* first = nullptr;
  int64_t step = 0, rows = 1, lines = 1;
  const T* at = first;
  const T* last = first + (rows - 1) * step;
  int64_t left = rows, offset = 0;
  VOLUTE_INLINE void ask() noexcept {
    simd::prefetch_far(at);
    if constexpr (Several) {
      at += step;
      if (--left == 0) [[unlikely]] {
        offset = offset + line < lines ? offset + line : 0;
        at = first + offset;
        left = rows;
      }
    } else {
      at = at < last ? at + step : last;
    }
  }
};

/// sum[r][v] (+)= sum over `pixels` p of rows[r][p] * turned[p][v], rows `pitch` apart; or, where `onto` is not null, onto[r][v] += what
/// sum[r][v] would be.
template <class T, int R, int NV, bool Several>
VOLUTE_NO_INLINE void pointwise_weights_block(const T* rows, int64_t pitch, const T* turned, int64_t pixels, T* sum, T* onto, bool add,
                                              lines_ahead<T, Several> ahead) noexcept {
  using V = simd::vec<T>;
  constexpr int L = simd::lanes<V>;
  V acc[R][NV];
  set_zero(acc);
  const T* third[(R + 2) / 3];  // every third row: the two behind it are one and two pitches away, which an address can say
  VOLUTE_EACH(r, (R + 2) / 3) third[r] = rows + 3 * r * pitch;
  VOLUTE_NO_UNROLL
  for (int64_t p = 0; p < pixels; ++p, turned += NV * L) {
    ahead.ask();
    V tv[NV];
    load_operands<R>(tv, turned);
    VOLUTE_EACH(r, R) add_products(acc[r], V(third[r / 3][r % 3 * pitch]), tv);
    VOLUTE_EACH(r, (R + 2) / 3) simd::keep(++third[r]);
  }
  if (add) add_tile(acc, sum);
  if (onto != nullptr) add_tile(acc, sum = onto);
  store_all(acc, sum);
}

/// Rows [row, row + valid), valid <= vectors * lanes, of a piece to to[p][vectors * lanes], zeros behind them. `line` holds a vector of
/// rows.
template <class T>
VOLUTE_NO_INLINE void turn_pixels(const pixel_rows& q, const T* x, int64_t row, int64_t valid, int64_t first, int64_t count,
                                  int64_t vectors, T* line, T* to) noexcept {
  constexpr int L = simd::width<T>;
  constexpr int64_t pitch = piece_pitch<T>;
  for (int64_t v = 0; v < vectors; ++v) {
    const auto turn = [&](const T* from, int64_t step, int64_t p)
                          VOLUTE_ALWAYS_INLINE { turn_square(from, step, to + (p * vectors + v) * L, vectors * L); };
    const int64_t n = larger(0, smaller(L, valid - v * L));
    int64_t p = 0;
    if (q.straight && n == L)
      for (const T* const from = x + (row + v * L) * q.volume + first; p + L <= count; p += L) turn(from + p, q.volume, p);
    if (p >= count) continue;
    pack_pixels<T, false>(q, x, nullptr, row + v * L, n, first + p, count - p, line, pitch);
    if (n < L) fill_zeros(line + n * pitch, (L - n) * pitch);
    for (const T* from = line; p < count; p += L, from += L) turn(from, pitch, p);
  }
}

/// One of the two matrices, of one group, and its rows that a task takes.
template <class T>
struct pointwise_matrix {
  const pixel_rows& rows;
  const T* first;
  int64_t sample;  // elements from one sample to the next
  int64_t begin, end;
};

/// What a piece copies, pixels [first, last) of a sample, in columns of at most `count` rows: first of the one matrix, then of the other.
template <class T, bool Several>
struct piece_ahead {
  const pointwise_matrix<T>* matrix[2];
  int64_t sample, first, last, count;
  const T* nothing;  // to ask for if nothing is left
  int64_t which = 0, row = 0;
  lines_of_pixels line{first, last};
  VOLUTE_INLINE lines_ahead<T, Several> next() noexcept {
    constexpr int64_t each = lines_ahead<T, Several>::line;
    for (; which < 2; row = 0, ++which) {
      const pointwise_matrix<T>& m = *matrix[which];
      for (const int64_t all = m.end - m.begin; m.rows.taps == 1 && row < all; row += count) {
        const int64_t together = smaller(count, all - row);
        if (const int64_t offset = line.next(m.rows, each); offset >= 0) {
          int64_t lines = 1;
          while (Several && lines < count / together && line.follows(m.rows, offset + lines * each, each)) ++lines;
          return {m.first + sample * m.sample + (m.begin + row) * m.rows.volume + offset, m.rows.volume, together, lines * each};
        }
        line.first = first;
      }
    }
    return {nothing};
  }
};

/// Some pieces of one group into its sums, which at last are added to `onto` unless that is null: the rows of either matrix that it
/// names.
template <class T, int R, int NV, int Last, bool Several>
VOLUTE_NO_INLINE void pointwise_weights_task(const pointwise_weights_plan& p, const pointwise_matrix<T>& turned,
                                             const pointwise_matrix<T>& broadcast, const tap_range& part, T* memory, T* sums,
                                             T* onto) noexcept {
  constexpr int64_t L = simd::width<T>, lanes = NV * L;
  const int64_t pixels = p.pixels, pieces = ceil_divide(pixels, p.piece), step = broadcast.rows.volume;
  T* const panel = memory + p.turned_size();
  T* const line = panel + p.chunk * p.pitch;
  for (int64_t u = part.first; u < part.last; ++u) {
    const int64_t sample = u / pieces, first = u % pieces * p.piece, count = smaller(p.piece, pixels - first);
    const T *const t = turned.first + sample * turned.sample, *const b = broadcast.first + sample * broadcast.sample;
    // The next part's piece too: one thread often takes both.
    const int64_t next = u + 1 < p.pieces ? u + 1 : u, next_first = next % pieces * p.piece;
    piece_ahead<T, Several> ahead{{&turned, &broadcast}, next / pieces, next_first, smaller(pixels, next_first + p.piece), count, panel};
    for (int64_t block = 0; block < p.blocks; block += p.part_blocks) {
      const int64_t last_block = smaller(p.blocks, block + p.part_blocks);
      for (int64_t i = block; i < last_block; ++i)
        turn_pixels<T>(turned.rows, t, i * lanes, smaller(lanes, p.turned - i * lanes), first, count, i + 1 < p.blocks ? NV : Last, line,
                       memory + (i - block) * lanes * piece_pixels);
      for (int64_t row = broadcast.begin; row < broadcast.end; row += p.chunk) {
        const int64_t there = smaller(p.chunk, broadcast.end - row), rows = ceil_divide(there, R) * R;
        const int64_t direct = broadcast.rows.straight ? there / R * R : 0;
        pack_pixels<T, false>(broadcast.rows, b, nullptr, row + direct, there - direct, first, count, panel + direct * p.pitch, p.pitch);
        if (there < rows) fill_zeros(panel + there * p.pitch, (rows - there) * p.pitch);
        for (int64_t i = block; i < last_block; ++i) {
          const T* const from = memory + (i - block) * lanes * piece_pixels;
          const bool wide = Last == NV || i + 1 < p.blocks;
          for (int64_t r = 0; r < rows; r += R) {
            const int64_t at = i * p.block_sums() + (row + r) * (wide ? lanes : Last * L);
            T* const to = onto != nullptr && u + 1 == part.last ? onto + at : nullptr;
            const bool here = r < direct;  // the rows are read of the tensor
            const T* const first_row = here ? b + (row + r) * step + first : panel + r * p.pitch;
            const auto block_of = wide ? pointwise_weights_block<T, R, NV, Several> : pointwise_weights_block<T, R, Last, Several>;
            block_of(first_row, here ? step : p.pitch, from, count, sums + at, to, u > part.first, ahead.next());
          }
        }
      }
    }
  }
}

template <class T, const conv_call& C, const pointwise_weights_plan& p>
void run_weights(const weights_run<T, C>& of) noexcept {
  static constexpr const ops::conv_geometry& G = shape_for<C>.geometry;
  static constexpr pixel_rows rows_of_x = rows_of_pixels(G, true), rows_of_g = rows_of_pixels(G, false);
  const auto matrix = [&](bool of_x, int64_t group, const tap_range& rows) {
    const int64_t elements = of_x ? of.s.source_elements() : of.s.target_elements();
    return pointwise_matrix<T>{of_x ? rows_of_x : rows_of_g, (of_x ? of.source : of.target) + group * elements, G.groups * elements,
                               rows.first, rows.last};
  };
  T* const sums = of.scratch + p.own();
  // Slices of the rows change no sum, so there may be as many as threads, and 4 tasks: each turns the other tensor again.
  const bool alone = of.workers.alone();
  const int64_t slices = alone ? 1 : larger(1, smaller(p.steps, ceil_divide(larger(4, of.workers.workers->threads()), p.parts * G.groups)));
  share_parts<p.shared>(of.workers, G.groups * slices, p.parts, p.pieces,
                        [&](int64_t task, int64_t part, const tap_range& pieces, int worker) VOLUTE_ALWAYS_INLINE {
                          const int64_t group = task / slices;
                          const tap_range steps = nth_range(p.steps, task % slices, slices);
                          const bool onto = alone && part > 0;  // the first part's
                          T* const first = sums + group * p.sums;
                          pointwise_weights_task<T, p.rows, p.vectors, p.last, p.several>(
                              p, matrix(p.turn_x, group, {0, p.turned}),
                              matrix(!p.turn_x, group, {steps.first * p.step, smaller(p.broadcast, steps.last * p.step)}), pieces,
                              of.workers.memory(worker, of.scratch), first + (onto ? 1 : part) * G.groups * p.sums, onto ? first : nullptr);
                        });
  share_if<p.shared>(of.workers, G.groups * p.blocks, [&](int64_t i, int) VOLUTE_ALWAYS_INLINE {
    const int64_t group = i / p.blocks, block = i % p.blocks, row = p.block_lanes(block);
    const int64_t first = block * p.vectors * p.lanes, valid = smaller(p.vectors * p.lanes, p.turned - first);
    T* const sum = sums + group * p.sums + block * p.block_sums();
    for (int64_t part = 1; part < (alone ? 1 : p.parts); ++part)
      for (int64_t k = 0; k < p.broadcast * row; ++k) sum[k] += sum[part * G.groups * p.sums + k];
    T* const to = of.dw + group * p.turned * p.broadcast;
    if constexpr (p.turn_x)
      for (int64_t r = 0; r < p.broadcast; ++r)
        std::memcpy(to + r * p.turned + first, sum + r * row, static_cast<std::size_t>(valid) * sizeof(T));
    else
      transpose_plane(sum, row, to + first * p.broadcast, p.broadcast, p.broadcast, valid);
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
