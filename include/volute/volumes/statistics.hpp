// The statistics of a volume's channels, taken as its planes come.
#pragma once

#include <volute/volumes/sinks.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace volute::volumes {

/// Of some voxels: how many, their mean, the sum of the squares of their differences from it, and the largest (NaN if there is one).
struct moments {
  double n = 0, mean = 0, squares = 0, largest = -std::numeric_limits<double>::infinity();

  /// Those of both. (Chan, Golub and LeVeque 1983.)
  void add(const moments& o) {
    if (o.n == 0) return;
    const double total = n + o.n, apart = o.mean - mean;
    squares += o.squares + (n == 0 ? 0 : apart * apart * n * o.n / total);
    mean = n == 0 ? o.mean : std::isfinite(apart) ? mean + apart * o.n / total : mean + o.mean;
    n = total;
    largest = larger(largest, o.largest);
  }
  static double larger(double a, double b) { return b > a || b != b ? b : a; }
};

inline namespace VOLUTE_ISA {

/// In one pass around the first voxel, which is close enough to the mean where voxels are alike; in lanes, whose order is fixed.
template <class T>
moments moments_of(const T* p, std::int64_t count) {
  constexpr std::int64_t lanes = 16;
  double sum[lanes]{}, squares[lanes]{};
  T largest[lanes];
  std::fill_n(largest, lanes, p[0]);
  const double first = static_cast<double>(p[0]);
  const auto add = [&](std::int64_t i, std::int64_t lane) {
    const double v = static_cast<double>(p[i]) - first;
    sum[lane] += v, squares[lane] += v * v;
    largest[lane] = p[i] > largest[lane] || p[i] != p[i] ? p[i] : largest[lane];
  };
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (std::int64_t l = 0; l < lanes; ++l) add(i + l, l);
  for (std::int64_t l = 0; i + l < count; ++l) add(i + l, l);
  moments m{static_cast<double>(count), 0, 0, static_cast<double>(largest[0])};
  for (std::int64_t l = 1; l < lanes; ++l) {
    sum[0] += sum[l], squares[0] += squares[l];
    m.largest = moments::larger(m.largest, static_cast<double>(largest[l]));
  }
  const double mean = sum[0] / m.n;
  m.mean = first + mean;
  m.squares = squares[0] - mean * sum[0];
  if (m.squares < 0) m.squares = 0;
  if (!std::isfinite(m.mean)) {  // infinities have a mean: one of them, or NaN
    m.mean = 0;
    for (i = 0; i < count; ++i) m.mean += static_cast<double>(p[i]);
  }
  return m;
}

/// The moments of each channel of a volume whose planes come one after the other, made in double, plane by plane.
template <class T>
class channel_moments {
 public:
  channel_moments(std::int64_t channels, const size3& extent) : channels_(channels), extent_(extent) {}

  /// Of the volume, of all its samples.
  std::int64_t channels() const noexcept { return channels_; }
  /// Depth, height and width.
  const size3& extents() const noexcept { return extent_; }
  /// Of a channel. Throws shape_error unless each plane has come once.
  const moments& operator[](std::int64_t channel) const {
    check_full();
    return sums_[static_cast<std::size_t>(channel)];
  }
  void check_full() const {
    if (taken_ != extent_.d) fail("store: expected all " + std::to_string(extent_.d) + " planes of a run, found " + std::to_string(taken_));
  }
  /// Before planes come: with the first one all begins anew. Throws shape_error for those of another volume.
  void expect(std::int64_t begin, const volute::extents& shape) {
    if (shape[0] * shape[1] != channels_ || shape[3] != extent_.h || shape[4] != extent_.w || begin + shape[2] > extent_.d)
      fail("store: expected planes of (1," + std::to_string(channels_) + ',' + std::to_string(extent_.d) + ',' + std::to_string(extent_.h) +
           ',' + std::to_string(extent_.w) + "), found others");
    if (begin == 0 || sums_.empty()) sums_.assign(static_cast<std::size_t>(channels_), {}), taken_ = 0;
  }
  /// The next planes, in their order, `depth` planes from one channel to the next.
  void take(const slab<T>& s, std::int64_t depth) {
    const std::int64_t plane = extent_.h * extent_.w;
    taken_ += s.shape[2];
    for (std::int64_t c = 0; c < channels_; ++c)
      for (std::int64_t z = 0; z < s.shape[2]; ++z)
        sums_[static_cast<std::size_t>(c)].add(moments_of(s.data + (c * depth + z) * plane, plane));
  }

 private:
  std::int64_t channels_;
  size3 extent_;
  std::vector<moments> sums_;
  std::int64_t taken_ = 0;  // planes since the first one
};

}  // namespace VOLUTE_ISA

}  // namespace volute::volumes
