// How a volume is cut into tiles of one size, so that their results, put together, are those of the whole. Plain numbers: nothing here
// depends on a network.
#pragma once

#include <volute/core/ratio.hpp>
#include <volute/core/simd.hpp>
#include <volute/runtime/error.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace volute::volumes {

/// Depth, height and width.
struct size3 {
  std::int64_t d = 1, h = 1, w = 1;
  constexpr std::int64_t operator[](int a) const { return a == 0 ? d : a == 1 ? h : w; }
  constexpr std::int64_t& operator[](int a) { return a == 0 ? d : a == 1 ? h : w; }
  constexpr std::int64_t voxels() const { return d * h * w; }
  friend constexpr bool operator==(const size3&, const size3&) = default;
};

/// Part of a volume.
struct box {
  size3 begin{0, 0, 0}, extent{};
};

/// What happens to a volume that the whole network would refuse, and that no tile fits.
enum class fit {
  exact,      // shape_error
  zeros,      // it gets zeros behind its last voxel, up to the next size that fits
  replicate,  // the same with copies of its last voxel
};

/// What tiles of one program can do along an axis. The low end of a tile's result is right from position `first` on unless the tile lies
/// at the volume's low end; up to `last` unless it lies at the high end.
struct tile_axis {
  std::int64_t tile = 1, result = 1;  // extents of the program's input and result
  std::int64_t grid = 1;              // tiles begin at multiples of it, or values inside would be other ones
  std::int64_t first = 0, last = 1;
  ratio step{1};      // voxels of the input for one of the result
  bool fixed = true;  // volumes have the tile's extent

  /// Voxels by which a tile can be moved on, at most, with nothing left out between.
  constexpr std::int64_t most_move() const { return (ratio(last - first) * step / ratio(grid)).floor() * grid; }
  constexpr bool slides() const { return !fixed && most_move() >= grid; }
  /// Whether a volume of this extent has an exact cut: its high end lies where a tile's does.
  constexpr bool fits(std::int64_t extent) const { return extent == tile || (slides() && extent > tile && (extent - tile) % grid == 0); }
  /// The least extent that does, from this one on; -1: none.
  constexpr std::int64_t fitting(std::int64_t extent) const {
    if (extent <= tile) return tile;
    return slides() ? tile + (extent - tile + grid - 1) / grid * grid : -1;
  }
  /// The result's extent for a volume that fits.
  constexpr std::int64_t whole_result(std::int64_t extent) const { return result + (ratio(extent - tile) / step).floor(); }
  /// The same axis of a tile that is larger by a multiple of the grid.
  constexpr tile_axis of_extent(std::int64_t extent) const {
    tile_axis t = *this;
    const std::int64_t more = (ratio(extent - tile) / step).floor();
    t.tile = extent, t.result += more, t.last += more;
    return t;
  }
};

/// One tile along an axis: where it begins in the volume, and the positions [begin, end) of the whole result that are taken from it.
struct stretch {
  std::int64_t origin = 0, begin = 0, end = 0;
  std::int64_t from = 0;  // position `begin`, in the tile's result
};

/// The tile after `before` (null: the first) along an axis of a volume that fits.
constexpr stretch next_stretch(const tile_axis& t, std::int64_t extent, const stretch* before) {
  const std::int64_t most = extent - t.tile;
  stretch s;
  if (before != nullptr) {
    s.begin = before->end;
    s.origin = std::min(most, (ratio(s.begin - t.first) * t.step / ratio(t.grid)).floor() * t.grid);
  }
  const std::int64_t at = (ratio(s.origin) / t.step).floor();
  s.from = s.begin - at;
  s.end = s.origin == most ? t.whole_result(extent) : at + t.last;
  return s;
}
constexpr bool is_last(const tile_axis& t, std::int64_t extent, const stretch& s) { return s.origin == extent - t.tile; }

inline namespace VOLUTE_ISA {

/// All tiles along an axis. The first lies at the low end, so that its border is the volume's; the last at the high end; what is between
/// gives away what its own border has changed.
inline std::vector<stretch> cut(const tile_axis& t, std::int64_t extent) {
  std::vector<stretch> all{next_stretch(t, extent, nullptr)};
  while (!is_last(t, extent, all.back())) all.push_back(next_stretch(t, extent, &all.back()));
  return all;
}

}  // namespace VOLUTE_ISA

/// How many there are.
constexpr std::int64_t count_tiles(const tile_axis& t, std::int64_t extent) {
  std::int64_t n = 1;
  for (stretch s = next_stretch(t, extent, nullptr); !is_last(t, extent, s); ++n) {
    const stretch before = s;
    s = next_stretch(t, extent, &before);
  }
  return n;
}

inline namespace VOLUTE_ISA {

/// The extents of what the tiles see of a volume: its own, or padded ones. Throws shape_error where the rule is exact and it does not fit.
inline size3 fitted(const tile_axis (&axis)[3], const size3& volume, fit rule) {
  static constexpr const char* name[] = {"depth", "height", "width"};
  size3 all = volume;
  for (int a = 0; a < 3; ++a) {
    const tile_axis& t = axis[a];
    const bool possible = rule == fit::exact || volume[a] < 1 ? t.fits(volume[a]) : t.fitting(volume[a]) > 0;
    if (!possible) {
      std::string wanted = std::to_string(t.tile);
      if (t.slides()) wanted += t.grid == 1 ? " or more" : " and a multiple of " + std::to_string(t.grid) + " more";
      fail("volume: expected a " + std::string(name[a]) + " of " + wanted + ", found " + std::to_string(volume[a]));
    }
    if (!t.fits(volume[a])) all[a] = t.fitting(volume[a]);
  }
  return all;
}

}  // namespace VOLUTE_ISA

/// Voxels that are computed for a volume; 0: it does not fit.
constexpr double work_of(const tile_axis (&axis)[3], const size3& volume, fit rule) {
  double work = 1;
  for (int a = 0; a < 3; ++a) {
    const std::int64_t extent = volume[a] < 1 ? -1 : rule == fit::exact && !axis[a].fits(volume[a]) ? -1 : axis[a].fitting(volume[a]);
    work *= extent < 0 ? 0 : static_cast<double>(count_tiles(axis[a], extent) * axis[a].tile);
  }
  return work;
}

/// The tile of at most `budget` voxels that computes the fewest voxels for a volume (0: a large one along that axis), its extents those of
/// `axis` and multiples of their grids. Where two are equal, the one with fewer tiles.
constexpr size3 least_work(const tile_axis (&axis)[3], double budget, const size3& volume) {
  constexpr int most = 24;
  struct option {
    std::int64_t extent = 0;
    double work = 0;  // voxels computed for one of the volume
  } options[3][most]{};
  int count[3]{};
  for (int a = 0; a < 3; ++a) {
    const tile_axis& t = axis[a];
    const std::int64_t coarse = t.fixed ? 1 : t.grid * std::max<std::int64_t>(1, 8 / t.grid);  // no more than 24 sizes, 8 voxels apart
    std::int64_t least = t.tile;
    while (!t.fixed && least - coarse > 0 && t.of_extent(least - coarse).slides() && t.of_extent(least - coarse).first < least - coarse)
      least -= coarse;
    // The last size is the one that takes the whole axis at once.
    const std::int64_t whole = t.fixed || volume[a] == 0 ? 0 : t.tile + (ratio(volume[a] - t.tile) / ratio(t.grid)).ceil() * t.grid;
    for (std::int64_t e = least; count[a] < most; e += coarse) {
      const bool last = t.fixed || (whole > 0 && e >= whole);
      if (last && count[a] > 0) e = whole;
      const tile_axis u = t.of_extent(e);
      double work = 0;
      if (volume[a] == 0)
        work = u.slides() ? static_cast<double>(e) / static_cast<double>(u.most_move()) : 1;
      else if (const std::int64_t fitting = u.fitting(volume[a]); fitting > 0)
        work = static_cast<double>(count_tiles(u, fitting) * e) / static_cast<double>(volume[a]);
      if (work > 0) options[a][count[a]++] = {e, work};
      if (last) break;
    }
  }
  size3 best{0, 0, 0};
  double least = std::numeric_limits<double>::max();
  for (int i = 0; i < count[0]; ++i)
    for (int j = 0; j < count[1]; ++j)
      for (int k = 0; k < count[2]; ++k) {
        const size3 tile{options[0][i].extent, options[1][j].extent, options[2][k].extent};
        const double work = options[0][i].work * options[1][j].work * options[2][k].work;
        if (static_cast<double>(tile.d) * static_cast<double>(tile.h) * static_cast<double>(tile.w) > budget) continue;
        if (work < least || (work == least && tile.voxels() > best.voxels())) least = work, best = tile;
      }
  return best;
}

}  // namespace volute::volumes
