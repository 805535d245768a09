// Loop nests: how elementwise kernels, reductions and copies walk over tensors. Filled by the compiler (fusion, layout), kept in
// static constexpr tables, read by kernels at run time: the kernel is instantiated per form of access, not per shape.
#pragma once

#include <volute/core/extents.hpp>
#include <volute/ops/elementwise.hpp>
#include <volute/ops/volume_layout.hpp>

#include <cstdint>

namespace volute::ops {

/// The innermost stride of one input of a nest; what decides between vector loads, a broadcast and a gather.
enum class lane : std::int8_t { contiguous, broadcast, strided };

/// The access of each input of a fused kernel along the innermost axis: a structural value and so a template argument.
struct lanes {
  lane input[max_program_inputs]{};
  friend constexpr bool operator==(const lanes&, const lanes&) = default;
};

/// `rank` nested loops, outermost first, already merged where strides allow. Strides are in elements; 0 repeats an operand.
/// For an elementwise kernel the output is dense over all axes. For a reduction the first `kept` axes are the output's (dense) and the
/// others are reduced; either the last kept or the last reduced axis may be the one with unit strides.
struct loop_nest {
  int rank = 0;
  int kept = 0;  // elementwise: equal to rank
  std::int64_t extent[max_rank]{};
  std::int64_t stride[max_program_inputs][max_rank]{};
};

/// A walk over volumes in blocks of channels: the numbers of the layout, for kernels that read it at run time.
constexpr loop_nest nest_of(const volume_layout& l) {
  loop_nest n;
  n.rank = n.kept = 6;
  const std::int64_t sizes[]{l.batch, l.channels, l.planes, l.rows, l.columns, l.block};
  const std::int64_t zeros[]{l.rows_before, l.all_rows, l.columns_before, l.all_columns};
  for (int i = 0; i < 6; ++i) n.extent[i] = sizes[i];
  for (int i = 0; i < 4; ++i) n.stride[0][i] = zeros[i];
  return n;
}
constexpr volume_layout layout_of(const loop_nest& n) {
  const auto& e = n.extent;
  const auto& z = n.stride[0];
  return {e[5], e[0], e[1], e[2], e[3], e[4], z[0], z[1], z[2], z[3]};
}

/// A copy between two strided tensors of equal extents: transpose, slice, pad (after a fill) and concat are all of this kind.
struct copy_nest {
  int rank = 0;
  std::int64_t extent[max_rank]{};
  std::int64_t in_stride[max_rank]{}, out_stride[max_rank]{};
  std::int64_t in_offset = 0, out_offset = 0;
};

/// What a reduction makes of its terms; a mean is a sum that is divided once.
enum class reduction : std::int8_t { sum, maximum, mean };

}  // namespace volute::ops
