// Tiles against models of the whole volume.
#pragma once

#include "volumes_networks.hpp"

#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <random>

namespace volumes_support {
using namespace volute;
using volumes::size3;
using volume = xt::xtensor<float, 5>;

inline volume noise(std::int64_t channels, const size3& e, unsigned seed = 1, std::int64_t samples = 1) {
  volume x = volume::from_shape({static_cast<std::size_t>(samples), static_cast<std::size_t>(channels), static_cast<std::size_t>(e.d),
                                 static_cast<std::size_t>(e.h), static_cast<std::size_t>(e.w)});
  std::mt19937 random(seed);
  for (float& v : x) v = std::uniform_real_distribution<float>(-1, 1)(random);
  return x;
}
inline bool equal_bits(const volume& a, const volume& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
/// The largest difference relative to the largest magnitude; infinite where shapes differ.
inline double difference(const volume& a, const volume& b) {
  if (a.shape() != b.shape()) return INFINITY;
  double worst = 0, most = 1e-30;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, static_cast<double>(std::abs(a.data()[i] - b.data()[i])));
    most = std::max(most, static_cast<double>(std::abs(b.data()[i])));
  }
  return worst / most;
}

inline int promises = 0;  // of equal bits, in all

/// A tile of these extents on volumes of others: equal to a model of each, within rounding, and bit for bit where that is promised.
template <class Net, std::int64_t Channels, size3 Tile>
class tiles_of {
  using tiles = tiled<Net, input<"x", 1, Channels, Tile.d, Tile.h, Tile.w>>;
  tiles t_;

 public:
  tiles_of() {
    t_.initialize(3);
    for (const auto& p : t_.parameter_table())  // running statistics and gains that are not 0 and 1
      if (!p.learned)
        for (std::int64_t i = 0; i < p.shape.size(); ++i) p.data[i] = 0.5f + 0.1f * static_cast<float>(i);
  }
  template <size3 E>
  void on() {
    using whole_type = model<Net, input<"x", 1, Channels, E.d, E.h, E.w>>;
    whole_type whole(t_.weights());
    const volume x = noise(Channels, E, static_cast<unsigned>(E.d * 31 + E.h * 7 + E.w)), wanted = whole(x), found = t_(x);
    INFO(E.d << " x " << E.h << " x " << E.w);
    CHECK(difference(found, wanted) < 2e-6);
    if constexpr (same_bits<tiles, whole_type>) {
      ++promises;
      CHECK(equal_bits(found, wanted));
    }
  }
};
template <class Net, std::int64_t Channels, size3 Tile, size3... Extents>
void check_tiles(const char* name) {
  INFO(name);
  tiles_of<Net, Channels, Tile> t;
  (t.template on<Extents>(), ...);
}

/// Two sizes of tiles, one of which has been compared with models, on many volumes.
template <class Net, std::int64_t Channels, size3 Tile, size3 Larger>
void check_sizes(const char* name, int volumes = 25) {
  INFO(name);
  using small = tiled<Net, input<"x", 1, Channels, Tile.d, Tile.h, Tile.w>>;
  using large = tiled<Net, input<"x", 1, Channels, Larger.d, Larger.h, Larger.w>>;
  small t;
  t.initialize(3);
  large u(t.weights());
  std::mt19937 random(17);
  for (int i = 0; i < volumes; ++i) {
    size3 e = Larger;
    for (int a = 0; a < 3; ++a) e[a] += small::axis[a].grid * std::uniform_int_distribution<std::int64_t>(0, i % 3 == a ? 20 : 5)(random);
    INFO(e.d << " x " << e.h << " x " << e.w);
    const volume x = noise(Channels, e, static_cast<unsigned>(i));
    CHECK(difference(t(x), u(x)) < 2e-6);
  }
}

}  // namespace volumes_support
