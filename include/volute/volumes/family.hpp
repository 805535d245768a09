// Tiles of several sizes on one set of weights: each volume gets the size that fits it with the least work.
#pragma once

#include <volute/volumes/tiled.hpp>

namespace volute {
inline namespace VOLUTE_ISA {

/// `tile_family<tiled<net, input<"x", 1, 1, 64, 64, 64>>, tiled<net, input<"x", 1, 1, 16, 64, 64>>> t;` is used as a tiled is. For volumes
/// that are smaller than a tile, or whose extents leave another remainder on its grid.
template <class First, class... Rest>
class tile_family : public runtime::parameter_members<tile_family<First, Rest...>>,
                    public runtime::file_members<tile_family<First, Rest...>> {
 public:
  using value_type = typename First::value_type;
  using facts = typename First::facts;
  using weights_type = typename First::weights_type;
  static constexpr bool is_refused = First::is_refused || (Rest::is_refused || ...);

  tile_family() : tile_family(weights_type()) {}
  explicit tile_family(const weights_type& w) : members_(First(w), Rest(typename Rest::weights_type(w))...) {}

  /// The one set of weights of all sizes.
  weights_type& weights() noexcept { return std::get<0>(members_).weights(); }
  const weights_type& weights() const noexcept { return std::get<0>(members_).weights(); }
  /// Initial values of all parameters, from a seed.
  void initialize(std::uint64_t seed) { weights().initialize(seed); }
  /// Later runs compute tiles side by side on the workers of `e`, which must outlive it or its next use().
  void use(executor& e) {
    std::apply([&](auto&... m) { (m.use(e), ...); }, members_);
  }

  /// Which of the sizes a volume gets, in the order in which they were given: the one that computes the fewest voxels. Throws shape_error
  /// where none fits.
  static int choice(const volumes::size3& volume, volumes::fit rule = volumes::fit::exact) {
    double least = 0;
    int best = -1, i = 0;
    const auto look = [&](const volumes::tile_axis(&axis)[3]) {
      const double work = volumes::work_of(axis, volume, rule);
      if (work > 0 && (best < 0 || work < least)) best = i, least = work;
      ++i;
    };
    look(First::axis), (look(Rest::axis), ...);
    if (best < 0)
      fail("volume: expected extents that one of " + std::to_string(1 + sizeof...(Rest)) + " tiles fits, found " +
           std::to_string(volume.d) + " x " + std::to_string(volume.h) + " x " + std::to_string(volume.w));
    return best;
  }

  /// As tiled::run.
  template <class Sink, class... Source>
  bool run(const volumes::options& o, const Sink& sink, const Source&... source) {
    const int chosen = choice(First::extents_of(source...), o.fit);
    bool done = false;
    int i = 0;
    std::apply([&](auto&... m) { (void)((i++ == chosen && (done = m.run(o, sink, source...), true)) || ...); }, members_);
    return done;
  }
  template <class Sink, class... Source>
  bool run(const Sink& sink, const Source&... source) {
    return run(volumes::options{}, sink, source...);
  }
  /// As a call of tiled.
  template <runtime::shaped... V>
  auto operator()(const V&... v) {
    const int chosen = choice(First::extents_of(v...));
    xt::xtensor<value_type, 5> result;
    int i = 0;
    std::apply([&](auto&... m) { (void)((i++ == chosen && (result = m(v...), true)) || ...); }, members_);
    return result;
  }

 private:
  std::tuple<First, Rest...> members_;
};

}  // namespace VOLUTE_ISA
}  // namespace volute
