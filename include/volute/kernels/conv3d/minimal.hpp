// Minimal filtering in three dimensions, forward and in the data: where it was asked for (minimal_filtering()), a sixth of the products.
// Blocks of tiles are transformed, multiplied element by element of the tile with transformed filters, each a product of matrices (tiles x
// source channels x target channels), and transformed back, through the epilogue, before the next block: unfused, what goes to memory and
// back would cost what the products save.
#pragma once

#include <volute/kernels/conv3d/channels.hpp>
#include <volute/kernels/conv3d/minimal_tiles.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// R tiles times NV vectors of target channels of one element: products over all source channels.
template <class T>
struct minimal_job {
  const T* x = nullptr;  // [vector of source channels][tile][lane]
  const T* w = nullptr;  // [source channel][lane]
  T* to = nullptr;       // [tile][lane]
  int64_t vectors = 1, step = 0, chunk = 1;
  int64_t ahead = 0;  // elements from the filters to those that are fetched meanwhile
};

template <class T, int L, int NV, int R>
VOLUTE_NO_INLINE void minimal_block(const minimal_job<T>& j) noexcept {
  using V = simd::vec<T, L>;
  V acc[R][NV];
  VOLUTE_EACH(r, R)
    VOLUTE_EACH(v, NV) acc[r][v] = V(T(0));
  const T* w = j.w;
  const T* x = j.x;
  for (int64_t i = 0, left = j.chunk; i < j.vectors; ++i, x += j.step) {
    const int64_t channels = left < L ? left : L;
    left = left > L ? left - L : j.chunk;
    const T* const end = x + channels;
    VOLUTE_NO_UNROLL
    for (const T* at = x; at != end; ++at, w += NV * L) {
      V wv[NV];
      load_operands<R>(wv, w);
      VOLUTE_EACH(v, NV) simd::prefetch(w + j.ahead + v * L);
      VOLUTE_EACH(r, R) {
        const V xv(at[r * L]);
        VOLUTE_EACH(v, NV) acc[r][v] = simd::fma(xv, wv[v], acc[r][v]);
      }
    }
  }
  VOLUTE_EACH(r, R)
    VOLUTE_EACH(v, NV) simd::store(j.to + (r * NV + v) * L, acc[r][v]);
}

/// What stands for the planes that a volume does not have.
template <class T>
inline constexpr T minimal_zeros[simd::width<T>]{};

/// Blocks of a part of the depth, for one sample, group, and block of rows and columns; all target channels of the group.
template <class T, int L, minimal_tile F, int NV, int R, ops::epilogue E, bool Scale, ops::volume_layout To>
struct minimal_task {
  static constexpr int lanes = NV * L;
  const conv_shape& s;
  const minimal_plan& p;
  const conv_run<T>& o;
  int64_t sample, group, row, column;  // positions of the target
  T* const copy;
  T* const data = copy + p.copy();
  T* const products = data + p.source_vectors() * p.data_vector;
  T* const line = products + F.elements() * p.product_element;
  T* const results = line + p.line_size;
  const correlation_axis &cd = s.classes[0][0], &ch = s.classes[1][0], &cw = s.classes[2][0];
  // Rows and spans of this block that the volume has.
  const int64_t height = p.axis[1].tiles(smaller(p.block.spans[1] * p.axis[1].span(), s.target_size[1] - row));
  const int64_t spans = smaller(p.block.spans[2], ceil_divide(s.target_size[2] - column, p.axis[2].span()));
  const int64_t row_tiles = spans * p.axis[2].step;

  /// Blocks [begin, end) of the depth.
  VOLUTE_NO_INLINE void run(int64_t begin, int64_t end) const noexcept {
    int64_t copied = 0;  // planes below this one stand in the copy
    for (int64_t b = begin; b < end; ++b) {
      const int64_t d = b * p.block.spans[0] * p.axis[0].span();
      const int64_t depth = p.axis[0].tiles(smaller(p.block.spans[0] * p.axis[0].span(), s.target_size[0] - d));
      if (!p.blocked) {
        const int64_t first = larger(copied, larger(0, d + cd.offset)), last = smaller(s.source_size[0], d + cd.offset + p.planes);
        for (int64_t plane = first; plane < last; ++plane) copy_plane(plane);
        copied = larger(first, last);
      }
      const int64_t rows = depth * height;
      for (int64_t r = 0; r < rows; ++r) source_row(d, r);
      const int64_t tiles = ceil_divide(rows * row_tiles, R) * R;
      for (int64_t t = 0; t < p.target_blocks; ++t) {
        multiply(o.packed + (group * p.target_blocks + t) * p.block_filters(), tiles);
        for (int64_t r = 0; r < rows; ++r) target_row(t, d, r);
      }
    }
  }

  /// The part of a plane that this block reads, channels last with the padding's zeros, to its place in the copy.
  void copy_plane(int64_t plane) const noexcept {
    const int64_t channels = s.groups * s.source_channels, volume = s.source_volume();
    const auto part = [](int64_t first, int64_t extent, int64_t count) {
      const int64_t begin = larger(0, first), pad = smaller(extent, begin - first);
      return source_axis{begin, 1, larger(0, smaller(count - begin, extent - pad)), pad, extent};
    };
    channels_last_copy c{0,
                         p.chunk,
                         volume,
                         s.source_size[2],
                         part(row + ch.offset, p.source_plane / p.source_row, s.source_size[1]),
                         part(column + cw.offset, p.source_row / p.chunk, s.source_size[2])};
    for (int64_t i = 0; i < p.chunks; ++i) {
      const int64_t first = sample * channels + group * s.source_channels + i * p.chunk;
      c.channels = smaller(p.chunk, s.source_channels - i * p.chunk);
      copy_channels_last<T, Scale>(o.x + first * volume + plane * s.source_size[1] * s.source_size[2],
                                   copy + i * p.source_chunk + plane % p.planes * p.source_plane, Scale ? o.scale + first : nullptr, c);
    }
  }

  VOLUTE_INLINE void source_row(int64_t depth, int64_t r) const noexcept {
    constexpr int planes = F.axis[0].size();
    const int64_t d = depth + p.axis[0].first(r / height) + cd.offset, h = p.axis[1].first(r % height), step = p.axis[2].step;
    const T* const base = p.blocked ? o.x + sample * p.chunks * p.source_chunk + p.source_first + (row + ch.offset) * p.source_row +
                                          (column + cw.offset) * p.chunk
                                    : copy;
    for (int64_t i = 0; i < p.source_vectors(); ++i)
      for (int64_t phase = 0; phase < step; ++phase) {
        const T* const from =
            base + i / p.chunk_vectors() * p.source_chunk + i % p.chunk_vectors() * L + h * p.source_row + phase * p.chunk;
        minimal_source<T, planes> source;
        for (int k = 0; k < planes; ++k) {
          const int64_t plane = d + k * p.axis[0].step;
          const bool there = plane >= 0 && plane < s.source_size[0];
          source.plane[k] = there ? from + (p.blocked ? plane : plane % p.planes) * p.source_plane : minimal_zeros<T>;
          source.row[k] = there ? p.axis[1].step * p.source_row : 0;
          source.column[k] = there ? step * p.chunk : 0;
        }
        transform_data<L, F>(source, spans, line, data + i * p.data_vector + (r * row_tiles + phase * spans) * L, p.data_element);
      }
  }

  /// All elements of a block of target channels.
  VOLUTE_INLINE void multiply(const T* filters, int64_t tiles) const noexcept {
    const int64_t element = p.chunks * p.chunk * lanes;
    minimal_job<T> j;
    j.vectors = p.source_vectors(), j.step = p.data_vector, j.chunk = p.chunk;
    for (int e = 0; e < F.elements(); ++e)
      for (int64_t r = 0; r < tiles; r += R) {
        j.x = data + e * p.data_element + r * L;
        j.w = filters + e * element;
        j.to = products + e * p.product_element + r * lanes;
        j.ahead = r == 0 ? element : 0;
        minimal_block<T, L, NV, R>(j);
      }
  }

  VOLUTE_INLINE void target_row(int64_t block, int64_t depth, int64_t r) const noexcept {
    constexpr int planes = F.axis[0].outputs, rows = F.axis[1].outputs;
    const int64_t d = depth + p.axis[0].first(r / height), h = row + p.axis[1].first(r % height);
    const int64_t step = p.axis[2].step, span = p.axis[2].span(), pitch = p.block.spans[2] * span * lanes;
    for (int64_t phase = 0; phase < step; ++phase)
      for (int64_t i = 0; i < spans; ++i)
        for (int v = 0; v < NV; ++v)
          transform_products<L, F>(products + ((r * row_tiles + phase * spans + i) * NV + v) * L, p.product_element, line,
                                   results + (i * span + phase) * lanes + v * L, rows * pitch, pitch, step * lanes);
    for (int64_t i = 0; i < planes; ++i)
      for (int64_t k = 0; k < rows; ++k) {
        const int64_t plane = d + i * p.axis[0].step, at = h + k * p.axis[1].step;
        if (plane < s.target_size[0] && at < s.target_size[1]) store(block, results + (i * rows + k) * pitch, plane, at);
      }
  }

  /// A row of this block's columns.
  VOLUTE_INLINE void store(int64_t block, const T* from, int64_t plane, int64_t at) const noexcept {
    const int64_t channel = block * lanes, channels = smaller(lanes, s.target_channels - channel);
    const int64_t first = (plane * s.target_size[1] + at) * s.target_size[2] + column;
    const int64_t width = smaller(spans * p.axis[2].span(), s.target_size[2] - column);
    store_lanes<T, L, 1, E, To>(s, {from, lanes, first, width, channels}, o.out, place_of(s, sample, group, channel));
  }
};

template <class T, const conv_call& C, const minimal_plan& p>
void run_family(const conv_run<T>& o) noexcept {
  constexpr const conv_shape& s = shape_for<C>;
  const int64_t(&n)[3] = p.block.counts;
  share_if<p.share != sharing::none>(o.workers, s.batch * s.groups * n[1] * n[2] * p.segments, [&](int64_t i, int worker) noexcept {
    const int64_t segment = i % p.segments, column = i / p.segments % n[2], row = i / (p.segments * n[2]) % n[1],
                  pair = i / (p.segments * n[2] * n[1]);
    const minimal_task<T, p.lanes, p.tile_kind, p.vectors, p.rows, C.epilogue, C.scale, C.layouts.target> task{
        s,
        p,
        o,
        pair / s.groups,
        pair % s.groups,
        row * p.block.spans[1] * p.axis[1].span(),
        column * p.block.spans[2] * p.axis[2].span(),
        o.workers.memory(worker, o.scratch)};
    task.run(n[0] * segment / p.segments, n[0] * (segment + 1) / p.segments);
    if constexpr (streams_blocks<T, p.lanes, C.layouts.target>) simd::stream_fence();
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
