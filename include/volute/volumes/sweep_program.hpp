// The program of one sweep, what is known of it, and the statistics that it ends in.
#pragma once

#include <volute/volumes/statistics.hpp>
#include <volute/volumes/sweep_stage.hpp>
#include <volute/volumes/tiled.hpp>

#include <cmath>
#include <vector>

namespace volute::volumes {

/// What is known of a sweep while compiling.
struct sweep_facts {
  size3 tile{}, kept{};            // extents of the tile, and how far it can be moved on, in voxels of what the sweep reads
  std::int64_t volumes = 0;        // that it reads
  std::int64_t channels = 0;       // of the volume that it makes, of all samples
  bool is_stored = false;          // that volume, for later sweeps
  std::int64_t bytes_per_worker = 0;
  double flops = 0;                // of a tile

  /// What a tile costs beside those of other sweeps, about: its operations, and as much as eight for each element that it makes.
  constexpr double cost() const { return flops + 8 * static_cast<double>(tile.voxels() * channels); }
};

inline namespace VOLUTE_ISA {

/// The program of a sweep.
template <class T, int J, class Net, class... Input>
struct sweep_tiles {
  using plan = sweep_plan<Net, Input...>;
  using of = sweeps_of<typename plan::template output<plan::template times<J>>>;
  template <int... I>
  static auto tiles(std::integer_sequence<int, I...>)
      -> std::type_identity<basic_tiled<T, sweep_stage<Net, J, Input...>, typename of::template input_of<J, I, plan::template more<J>>{}...>>;
  using type = typename decltype(tiles(std::make_integer_sequence<int, sweep_operands<typename plan::first, J>>{}))::type;
};

/// A statistic of all voxels, from the moments of a volume's channels.
template <class T>
std::vector<T> statistic_of(const graph::statistic_info& s, std::int64_t elements, const channel_moments<T>& of) {
  std::vector<T> values(static_cast<std::size_t>(elements));
  std::vector<moments> groups(values.size());
  for (std::int64_t c = 0; c < of.channels(); ++c) groups[static_cast<std::size_t>(s.group_of(c, of.channels()))].add(of[c]);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const moments& m = groups[i];
    const double variance = m.squares / m.n;
    const double squares = std::isfinite(m.mean) ? variance + m.mean * m.mean : m.mean * m.mean;
    switch (s.kind) {
      case graph::statistic::sum: values[i] = static_cast<T>(m.mean * m.n); break;
      case graph::statistic::mean: values[i] = static_cast<T>(m.mean); break;
      case graph::statistic::maximum: values[i] = static_cast<T>(m.largest); break;
      case graph::statistic::variance: values[i] = static_cast<T>(variance); break;
      case graph::statistic::square_sum: values[i] = static_cast<T>(squares * m.n); break;
      case graph::statistic::square_mean: values[i] = static_cast<T>(squares); break;
    }
  }
  return values;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::volumes
