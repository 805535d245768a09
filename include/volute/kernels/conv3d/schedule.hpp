// A family's way through the one nest of a convolution as a value that can be read: which axis lies in the lanes, what is copied, what is
// carried from one step to the next, the register block, and how threads share. Reports print it; no kernel depends on it.
#pragma once

#include <volute/kernels/conv3d/choice.hpp>

#include <cstdint>
#include <type_traits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// What neighbouring lanes of an accumulator hold. (weights: sums of neighbouring channels of g or of x; or parts of one sum.)
enum class lane_axis { target_channels, source_channels, pixels };
/// What the register blocks read: the tensor itself, channels last in blocks, rows with the padding's zeros, panels of a matrix.
enum class source_copy { none, channels_last, padded_rows, panels };
/// What waits between two steps: nothing, sums in a tile of memory, the sums of the planes that are in flight.
enum class carry { nothing, tile, planes };

struct conv_schedule {
  const char* family = "";
  lane_axis lanes{};
  source_copy copy{};
  carry carried{};
  int64_t vectors = 1, sums = 1;  // a register block: vectors of lanes times sums in each
  int64_t slabs = 1;              // of the depth, each copied and then convolved
  int64_t tile[3]{1, 1, 1};       // minimal filtering: results that share their products
  sharing share{};
};

/// Of the forward face, or the adjoint in the data, of a canonical geometry.
template <class T>
constexpr conv_schedule schedule_of(conv_family family, const ops::conv_geometry& g, conv_side side) {
  conv_schedule s;
  s.family = family_name(family);
  with_plan<T>(family, g, side, {}, [&](const auto& p) {
    using plan = std::remove_cvref_t<decltype(p)>;
    using enum lane_axis;
    const auto set = [&](lane_axis lanes, source_copy copy, carry carried, int64_t vectors, int64_t sums) {
      s.lanes = lanes, s.copy = copy, s.carried = carried, s.vectors = vectors, s.sums = sums;
    };
    const int64_t planes = correlation(g, side, 0, 0).taps;
    if constexpr (std::is_same_v<plan, channels_plan>)
      set(target_channels, source_copy::channels_last, p.together < p.chunks ? carry::tile : carry::nothing, p.main.vectors,
          p.main.rows * p.main.pixels);
    else if constexpr (std::is_same_v<plan, rows_plan>)
      set(target_channels, source_copy::channels_last, p.code.slab ? carry::tile : carry::nothing, p.code.vectors,
          p.code.rows * ceil_divide(p.code.width, p.code.segments));
    else if constexpr (std::is_same_v<plan, width_plan>)
      set(pixels, p.rows.direct ? source_copy::none : source_copy::padded_rows,
          p.chunk < shape_of(g, side).source_channels ? carry::tile : carry::nothing, p.vectors, p.channels);
    else if constexpr (std::is_same_v<plan, planes_plan>)
      set(pixels, source_copy::padded_rows, carry::planes, p.vectors, planes);
    else if constexpr (std::is_same_v<plan, in_place_plan>)
      set(pixels, source_copy::none, carry::planes, p.code[0].vectors, p.code[0].depth * p.code[0].rows);
    else if constexpr (std::is_same_v<plan, flat_plan>)
      set(pixels, source_copy::none, carry::nothing, p.code.vectors,
          p.code.channels * ceil_divide(shape_of(g, side).target_size[0], p.segments));
    else if constexpr (std::is_same_v<plan, minimal_plan>) {
      set(target_channels, source_copy::channels_last, carry::tile, p.vectors, p.rows);
      for (int a = 0; a < 3; ++a) s.tile[a] = p.tile_kind.axis[a].outputs;
    } else
      set(pixels, p.straight ? source_copy::none : source_copy::panels, carry::nothing, p.vectors, p.rows);
    if constexpr (requires { p.share; }) s.share = p.share;
    if constexpr (requires { p.slabs.count; }) s.slabs = p.slabs.count;
  });
  return s;
}

/// Of the adjoint in the filter of a canonical geometry.
template <class T>
constexpr conv_schedule schedule_of(weights_family family, const ops::conv_geometry& g) {
  conv_schedule s;
  s.family = family_name(family);
  with_weights_plan<T>(family, g, [&](const auto& p) {
    using plan = std::remove_cvref_t<decltype(p)>;
    const auto set = [&](lane_axis lanes, source_copy copy, int64_t vectors, int64_t sums) {
      s.lanes = lanes, s.copy = copy, s.carried = carry::tile, s.vectors = vectors, s.sums = sums;
    };
    const lane_axis channels = side_of(family) == conv_side::backward ? lane_axis::source_channels : lane_axis::target_channels;
    if constexpr (std::is_same_v<plan, weights_plan>)
      set(channels, source_copy::channels_last, p.main, p.window);
    else if constexpr (std::is_same_v<plan, row_weights_plan>)
      set(channels, source_copy::channels_last, p.code.vectors, p.code.taps);
    else if constexpr (std::is_same_v<plan, pixel_weights_plan>)
      set(lane_axis::pixels, p.rows.direct ? source_copy::none : source_copy::padded_rows, 1, p.channels * p.taps);
    else if constexpr (std::is_same_v<plan, planes_weights_plan>)
      set(lane_axis::pixels, source_copy::padded_rows, 1, p.depth * p.taps);
    else if constexpr (std::is_same_v<plan, in_place_weights_plan>)
      set(lane_axis::pixels, source_copy::none, p.code.vectors, p.code.depth * p.taps);
    else if constexpr (std::is_same_v<plan, flat_weights_plan>)
      set(lane_axis::pixels, source_copy::none, 1, p.code.channels * p.code.window * p.code.taps);
    else if constexpr (std::is_same_v<plan, minimal_weights_plan>) {
      set(channels, source_copy::channels_last, p.vectors, p.rows);
      for (int a = 0; a < 3; ++a) s.tile[a] = p.tile_kind.axis[a].outputs;
    } else
      set(channels, source_copy::panels, p.vectors, p.rows);
    if constexpr (requires { p.share; }) s.share = p.share;
    if constexpr (requires { p.depth.count; }) s.slabs = p.depth.count;
  });
  return s;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
