// What lies between two sweeps over a volume: a tensor of the volume's extents, and the statistics of its channels.
#pragma once

#include <volute/core/xtensor.hpp>
#include <volute/io/status.hpp>
#include <volute/volumes/sinks.hpp>
#include <volute/volumes/sources.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace volute::volumes {

inline namespace VOLUTE_ISA {

/// Channels of a volume, written by one run of tiles and read by later ones, for networks whose norms look at the whole volume: a run ends
/// before each norm, and the next one begins with norm(x, statistics). In memory, or in a file without a name in `folder`, of which the
/// system keeps in memory what there is room for.
template <class T>
class store {
 public:
  /// Throws shape_error for extents that no memory could have, file_error where the folder, or memory, has no room.
  store(std::int64_t channels, const size3& extent, const std::string& folder = "") : channels_(channels), extent_(extent) {
    std::int64_t all{sizeof(T)};
    for (const std::int64_t n : {channels, extent.d, extent.h, extent.w}) all = n < 1 ? 0 : bounded_product(all, n);
    if (all == 0 || all == std::numeric_limits<std::int64_t>::max())
      fail("store: expected channels and extents of 1 or more, and fewer than 2^63 bytes, found " +
           format_shape(std::vector<std::int64_t>{channels, extent.d, extent.h, extent.w}));
    bytes_ = static_cast<std::size_t>(all);
    int file = -1;
    if (!folder.empty()) {
      std::string name = folder + "/volute-" + std::string(6, 'X');
      file = ::mkstemp(name.data());
      if (file < 0) io::demand(io::file_failure(folder + ": no file can be made there: " + std::strerror(errno)));
      ::unlink(name.c_str());
      if (const int error = ::posix_fallocate(file, 0, static_cast<off_t>(bytes_)); error != 0) {
        ::close(file);
        io::demand(io::file_failure(folder + ": no room for " + std::to_string(bytes_) + " bytes: " + std::strerror(error)));
      }
    }
    void* const p = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
    const int error = errno;
    if (file >= 0) ::close(file);
    if (p == MAP_FAILED)
      io::demand(io::file_failure("store: no memory for " + std::to_string(bytes_) + " bytes: " + std::strerror(error)));
    data_ = static_cast<T*>(p);
  }
  store(store&& other) noexcept
      : channels_(other.channels_),
        extent_(other.extent_),
        bytes_(other.bytes_),
        data_(std::exchange(other.data_, nullptr)),
        sums_(std::move(other.sums_)),
        taken_(other.taken_) {}
  store& operator=(store&&) = delete;
  ~store() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }

  /// Of the volume: depth, height, width.
  const size3& extents() const noexcept { return extent_; }
  /// (C, D, H, W), dense.
  const T* data() const noexcept { return data_; }
  /// For later runs, as long as the store lives. Throws shape_error unless a run has brought each plane once.
  memory_source<T> source() const {
    check_full();
    return {data_, extent_, 1, channels_};
  }

  /// Takes the planes of a run with one sample, in their order: `t.run(s.sink(), source)`, where `source` is another's. Statistics begin
  /// anew with the first plane.
  auto sink() {
    return scores([this](const slab<T>& s) { take(s); });
  }
  /// Means and variances (divided by n), (2, C), of each channel, or of groups of channels that follow each other; for norm(x, statistics).
  /// Made in double, plane by plane. Throws shape_error unless a run has brought each plane once.
  xt::xtensor<T, 2> statistics(std::int64_t groups = 0) const {
    if (groups < 0 || (groups > 0 && channels_ % groups != 0))
      fail("statistics: expected groups that divide " + std::to_string(channels_) + " channels, found " + std::to_string(groups));
    check_full();
    const std::int64_t size = groups == 0 ? 1 : channels_ / groups;
    xt::xtensor<T, 2> r = xt::xtensor<T, 2>::from_shape({2, static_cast<std::size_t>(channels_)});
    for (std::int64_t c = 0; c < channels_; c += size) {
      moments all;
      for (std::int64_t k = c; k < c + size; ++k) all.add(sums_[static_cast<std::size_t>(k)]);
      for (std::int64_t k = c; k < c + size; ++k) {
        r(0, static_cast<std::size_t>(k)) = static_cast<T>(all.mean);
        r(1, static_cast<std::size_t>(k)) = static_cast<T>(all.n > 0 ? all.squares / all.n : 0);
      }
    }
    return r;
  }

 private:
  /// Number, mean, and sum of squares around it. (Chan, Golub and LeVeque 1983.)
  struct moments {
    double n = 0, mean = 0, squares = 0;
    void add(const moments& o) {
      if (o.n == 0) return;
      const double total = n + o.n, apart = o.mean - mean;
      mean += apart * o.n / total;
      squares += o.squares + apart * apart * n * o.n / total;
      n = total;
    }
  };
  std::int64_t channels_;
  size3 extent_;
  std::size_t bytes_ = 0;
  T* data_ = nullptr;
  std::vector<moments> sums_;
  std::int64_t taken_ = 0;  // planes since the first one

  /// In one pass around the first voxel, which is close enough to the mean where voxels are alike; in lanes, whose order is fixed.
  static moments of_plane(const T* p, std::int64_t n) {
    constexpr std::int64_t lanes = 16;
    double sum[lanes]{}, squares[lanes]{};
    const double first = static_cast<double>(p[0]);
    const auto add = [&](std::int64_t i, std::int64_t lane) {
      const double v = static_cast<double>(p[i]) - first;
      sum[lane] += v, squares[lane] += v * v;
    };
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (std::int64_t l = 0; l < lanes; ++l) add(i + l, l);
    for (std::int64_t l = 0; i + l < n; ++l) add(i + l, l);
    for (std::int64_t l = 1; l < lanes; ++l) sum[0] += sum[l], squares[0] += squares[l];
    const double count = static_cast<double>(n), mean = sum[0] / count;
    return {count, first + mean, std::max(0.0, squares[0] - mean * sum[0])};
  }

  void check_full() const {
    if (taken_ != extent_.d) fail("store: expected all " + std::to_string(extent_.d) + " planes of a run, found " + std::to_string(taken_));
  }
  void take(const slab<T>& s) {
    const std::int64_t plane = extent_.h * extent_.w, part = s.shape[2] * plane;
    if (s.shape[0] != 1 || s.shape[1] != channels_ || s.shape[3] != extent_.h || s.shape[4] != extent_.w ||
        s.begin + s.shape[2] > extent_.d)
      fail("store: expected planes of (1," + std::to_string(channels_) + ',' + std::to_string(extent_.d) + ',' + std::to_string(extent_.h) +
           ',' + std::to_string(extent_.w) + "), found others");
    if (s.begin == 0 || sums_.empty()) sums_.assign(static_cast<std::size_t>(channels_), {}), taken_ = 0;
    taken_ += s.shape[2];
    for (std::int64_t c = 0; c < channels_; ++c) {
      std::memcpy(static_cast<void*>(data_ + (c * extent_.d + s.begin) * plane), s.data + c * part,
                  static_cast<std::size_t>(part) * sizeof(T));
      for (std::int64_t z = 0; z < s.shape[2]; ++z) {
        sums_[static_cast<std::size_t>(c)].add(of_plane(s.data + c * part + z * plane, plane));
      }
    }
  }
};

}  // namespace VOLUTE_ISA

}  // namespace volute::volumes
