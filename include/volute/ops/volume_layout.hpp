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
  /// Elements, with the zeros.
  constexpr std::int64_t size() const { return batch * (channels / block) * planes * plane(); }
};

/// The layouts of a convolution's tensors: whether it reads its source as conv3d_source_layout() says, instead of NCDHW, and what it
/// writes. An epilogue's `whole` operands have the layout of what is written.
struct conv_layouts {
  bool blocked_source = false;
  volume_layout target{};
  friend constexpr bool operator==(const conv_layouts&, const conv_layouts&) = default;
};

}  // namespace volute::ops
