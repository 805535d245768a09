// Where the elements of a volume lie: NCDHW at the borders of a program, blocks of channels between two convolutions that agree on them.
#pragma once

#include <cstdint>

namespace volute::ops {

/// The memory order of a tensor (batch, channels, planes, rows, columns): NCDHW, or blocked as
/// [sample][block of channels][plane][row][column][channel], with zeros around each plane where the kernel that reads it wants them.
struct volume_layout {
  std::int64_t block = 0;  // channels that lie together, a divisor of `channels`; 0: NCDHW, and nothing below counts
  std::int64_t batch = 1, channels = 1, planes = 1, rows = 1, columns = 1;
  std::int64_t rows_before = 0, all_rows = 1;        // zeros before the first row; rows with zeros
  std::int64_t columns_before = 0, all_columns = 1;  // the same of columns
  friend constexpr bool operator==(const volume_layout&, const volume_layout&) = default;

  constexpr bool blocked() const { return block > 0; }
  constexpr std::int64_t plane() const { return all_rows * all_columns * block; }
  constexpr std::int64_t rows_after() const { return all_rows - rows_before - rows; }
  constexpr std::int64_t columns_after() const { return all_columns - columns_before - columns; }
  /// Where the first pixel of a plane lies in it.
  constexpr std::int64_t first() const { return (rows_before * all_columns + columns_before) * block; }
  /// Where a channel's elements begin in a blocked volume: with the zeros before its first plane.
  constexpr std::int64_t channel_at(std::int64_t sample, std::int64_t channel) const {
    return (sample * (channels / block) + channel / block) * planes * plane() + channel % block;
  }
  constexpr bool padded() const { return all_rows != rows || all_columns != columns; }
  /// Elements, with the zeros.
  constexpr std::int64_t size() const { return batch * (channels / block) * planes * plane(); }
};

/// Equal but for blocks and zeros.
constexpr bool same_shape(const volume_layout& a, const volume_layout& b) {
  return a.batch == b.batch && a.channels == b.channels && a.planes == b.planes && a.rows == b.rows && a.columns == b.columns;
}

/// The layout that has the zeros of both; NCDHW if they differ in more than zeros.
constexpr volume_layout join(const volume_layout& a, const volume_layout& b) {
  if (!a.blocked() || a.block != b.block || !same_shape(a, b)) return {};
  const auto larger = [](std::int64_t i, std::int64_t k) { return i < k ? k : i; };
  volume_layout l = a;
  l.rows_before = larger(a.rows_before, b.rows_before), l.columns_before = larger(a.columns_before, b.columns_before);
  l.all_rows = l.rows_before + l.rows + larger(a.rows_after(), b.rows_after());
  l.all_columns = l.columns_before + l.columns + larger(a.columns_after(), b.columns_after());
  return l;
}

/// The layouts of a convolution's source and result. An epilogue's `whole` operands have that of the result.
struct conv_layouts {
  volume_layout source{}, target{};
  friend constexpr bool operator==(const conv_layouts&, const conv_layouts&) = default;
};

/// What a planner must know of one face of a convolution: sizes in elements, and which layouts its kernel takes.
struct conv_facts {
  std::int64_t packed = 0, scratch = 0;  // of the filters (no filter's adjoint has them); scratch memory with both tensors NCDHW
  std::uint64_t order = 0;               // stands for the order of the packed filters: equal for geometries that share them
  volume_layout source{}, target{};      // shapes; of the source also the blocks in which the kernel would like to find it (0: none)
  bool more_zeros = false;               // the source may have more zeros around it than that
  std::int64_t lanes = 0;                // channels that are stored together: a block is a multiple, or all there are; 0: NCDHW alone
  bool any_source = false, any_target = false;  // the filter's adjoint: x, or g, may lie in any blocks
  // It writes blocks by other kernels than NCDHW, which want their filters packed in another order.
  bool linked = false;
  std::int64_t linked_packed = 0, linked_scratch = 0;
  std::uint64_t linked_order = 0;

  constexpr bool reads_source(const volume_layout& l) const {
    if (any_source) return same_shape(source, l);
    return l.blocked() && join(source, l) == l && (more_zeros || !l.padded());
  }
  constexpr bool reads_target(const volume_layout& l) const { return any_target && same_shape(target, l); }
  constexpr bool writes(const volume_layout& l) const {
    return lanes > 0 && l.blocked() && same_shape(target, l) && (l.block % lanes == 0 || l.block == l.channels);
  }
};

}  // namespace volute::ops
