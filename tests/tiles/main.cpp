// One network in tiles on volumes of twenty extents, beside static models of those extents: a line for each, and one for all. `run` says
// which: NETWORK, the CHANNELS of its input, and the extents of two tiles, TILE and SECOND.
#include "../unit/volumes_networks.hpp"

#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>

namespace tiles_table {

using namespace volute;
using volume = xt::xtensor<float, 5>;
using volumes::size3;

template <class Net, std::int64_t Channels, size3 E>
using tiles_of = tiled<Net, input<"x", 1, Channels, E.d, E.h, E.w>>;

/// The volumes: those of the first tile in steps of its grid, then those of the second, which is thin or odd.
struct extents_set {
  size3 all[18];
  constexpr extents_set(const volumes::tile_axis (&a)[3], const volumes::tile_axis (&b)[3]) {
    constexpr int steps[12][3]{{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 1},  {2, 3, 5},
                               {5, 2, 3}, {3, 5, 2}, {7, 0, 0}, {0, 9, 1}, {1, 0, 13}, {11, 1, 0}};
    for (int i = 0; i < 12; ++i) all[i] = moved(a, steps[i]);
    for (int i = 12; i < 14; ++i)  // multiples of the tile, as far as the grid allows
      for (int k = 0; k < 3; ++k) all[i][k] = a[k].tile + (i - 12 == k % 2 ? a[k].tile / a[k].grid * a[k].grid : 0);
    for (int k = 0; k < 3; ++k) all[14][k] = prime_after(a[k]);
    for (int i = 15; i < 18; ++i) all[i] = moved(b, steps[i == 15 ? 0 : i == 16 ? 4 : 9]);
  }

 private:
  static constexpr size3 moved(const volumes::tile_axis (&a)[3], const int (&steps)[3]) {
    size3 e;
    for (int k = 0; k < 3; ++k) e[k] = a[k].tile + (a[k].slides() ? a[k].grid * steps[k] : 0);
    return e;
  }
  static constexpr bool is_prime(std::int64_t n) {
    for (std::int64_t i = 2; i * i <= n; ++i)
      if (n % i == 0) return false;
    return true;
  }
  static constexpr std::int64_t prime_after(const volumes::tile_axis& a) {
    for (std::int64_t e = a.tile + 2 * a.grid; e < 2 * a.tile + 40; e += a.grid)
      if (is_prime(e)) return e;
    return a.tile + 3 * a.grid;  // even ones only
  }
};

inline volume noise(std::int64_t channels, const size3& e) {
  volume x = volume::from_shape(
      {1, static_cast<std::size_t>(channels), static_cast<std::size_t>(e.d), static_cast<std::size_t>(e.h), static_cast<std::size_t>(e.w)});
  std::mt19937 random(static_cast<unsigned>(e.d * 10007 + e.h * 101 + e.w));
  for (float& v : x) v = std::uniform_real_distribution<float>(-1, 1)(random);
  return x;
}

/// Of one network.
struct summary {
  std::string name;
  int volumes = 0, promised = 0, kept = 0, same = 0;
  double worst = 0;

  /// Adds a volume: how far the results are apart, relative to the largest value.
  void add(const volume& found, const volume& wanted, const size3& e, const size3& tile, std::int64_t tiles, bool promise,
           const char* how) {
    double apart = 0, most = 1e-30;
    const bool shapes = found.shape() == wanted.shape();
    for (std::size_t i = 0; shapes && i < found.size(); ++i) {
      apart = std::max(apart, std::abs(static_cast<double>(found.data()[i]) - static_cast<double>(wanted.data()[i])));
      most = std::max(most, std::abs(static_cast<double>(wanted.data()[i])));
    }
    apart = shapes ? apart / most : INFINITY;
    const bool bits = shapes && std::memcmp(found.data(), wanted.data(), found.size() * sizeof(float)) == 0;
    std::printf("%-16s %3lld x %3lld x %3lld  %3lld tiles of %lld x %lld x %lld  %8.2g  %s%s%s\n", name.c_str(),
                static_cast<long long>(e.d), static_cast<long long>(e.h), static_cast<long long>(e.w), static_cast<long long>(tiles),
                static_cast<long long>(tile.d), static_cast<long long>(tile.h), static_cast<long long>(tile.w), apart,
                bits ? "the same bits" : "", promise ? ", promised" : "", how);
    ++volumes, promised += promise, kept += promise && bits, same += bits;
    worst = std::max(worst, apart);
  }
  int report() const {
    std::printf("= %-16s %d volumes, apart by %.2g at most; the same bits %d times, of %d promised %d\n", name.c_str(), volumes, worst,
                same, promised, kept);
    return worst < 2e-6 && kept == promised ? 0 : 1;
  }
};

/// A network in tiles of two sizes on one set of weights.
template <class Net, std::int64_t Channels, size3 Tile, size3 Second>
class table {
  using first = tiles_of<Net, Channels, Tile>;
  using second = tiles_of<Net, Channels, Second>;
  static constexpr extents_set extents{first::axis, second::axis};
  first a_;
  second b_{a_.weights()};
  summary all_;

  template <size3 E>
  using whole = model<Net, input<"x", 1, Channels, E.d, E.h, E.w>>;

  template <class Tiles, size3 E>
  void on(Tiles& t, const size3& tile) {
    whole<E> m(a_.weights());
    const volume x = noise(Channels, E);
    all_.add(t(x), m(x), E, tile, count<Tiles>(E), same_bits<Tiles, whole<E>>, "");
  }
  template <class Tiles>
  static std::int64_t count(const size3& e) {
    std::int64_t n = 1;
    for (int k = 0; k < 3; ++k) n *= volumes::count_tiles(Tiles::axis[k], e[k]);
    return n;
  }
  /// A volume that is smaller than the tile is refused, or padded to it by name.
  template <volumes::fit Rule>
  void smaller(const char* how) {
    size3 e = Tile;
    for (int k = 0; k < 3; ++k) e[k] -= k + 1;
    const volume x = noise(Channels, e);
    bool refused = false;
    try {
      a_(x);
    } catch (const shape_error&) {
      refused = true;
    }
    if (!refused) all_.worst = INFINITY;
    volume padded = noise(Channels, Tile);
    volumes::fill_tile(volumes::memory(x), e, {0, 0, 0}, Tile, Channels, Rule, padded.data());
    const volute::extents shape = first::result_shape(e, Rule);
    volume found = volume::from_shape({1, static_cast<std::size_t>(shape[1]), static_cast<std::size_t>(shape[2]),
                                       static_cast<std::size_t>(shape[3]), static_cast<std::size_t>(shape[4])});
    volume wanted = found;
    volumes::options o;
    o.fit = Rule;
    a_.run(o, volumes::scores([&](const volumes::slab<float>& s) { std::copy_n(s.data, s.shape.size(), found.data()); }),
           volumes::memory(x));
    whole<Tile> m(a_.weights());
    const volume y = m(padded);
    float* to = wanted.data();
    for (std::size_t c = 0; c < wanted.shape()[1]; ++c)
      for (std::size_t z = 0; z < wanted.shape()[2]; ++z)
        for (std::size_t h = 0; h < wanted.shape()[3]; ++h)
          for (std::size_t w = 0; w < wanted.shape()[4]; ++w) *to++ = y(0, c, z, h, w);
    all_.add(found, wanted, e, Tile, 1, same_bits<first, whole<Tile>>, how);
  }

 public:
  int run(const char* name) {
    all_.name = name;
    a_.initialize(3);
    for (const auto& p : a_.parameter_table())  // running statistics and gains that are not 0 and 1
      if (!p.learned)
        for (std::int64_t i = 0; i < p.shape.size(); ++i) p.data[i] = 0.5f + 0.1f * static_cast<float>(i);
    [&]<std::size_t... I>(std::index_sequence<I...>) { (on<first, extents.all[I]>(a_, Tile), ...); }
    (std::make_index_sequence<15>{});
    [&]<std::size_t... I>(std::index_sequence<I...>) { (on<second, extents.all[15 + I]>(b_, Second), ...); }
    (std::make_index_sequence<3>{});
    smaller<volumes::fit::zeros>(", padded by zeros");
    smaller<volumes::fit::replicate>(", padded by copies");
    return all_.report();
  }
};

}  // namespace tiles_table

#define TEXT(x) #x
#define NAME(x) TEXT(x)
int main() {
  using namespace tiles_table;
  return table<volumes_networks::NETWORK, CHANNELS, size3{TILE}, size3{SECOND}>().run(NAME(NETWORK));
}
