// What lies between two sweeps over a volume: a tensor of the volume's extents, and the statistics of its channels.
#pragma once

#include <volute/core/xtensor.hpp>
#include <volute/io/status.hpp>
#include <volute/volumes/sinks.hpp>
#include <volute/volumes/sources.hpp>
#include <volute/volumes/statistics.hpp>

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
  store(std::int64_t channels, const size3& extent, const std::string& folder = "") : moments_(channels, extent) {
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
      : moments_(std::move(other.moments_)),
        bytes_(other.bytes_),
        data_(std::exchange(other.data_, nullptr)) {}
  store& operator=(store&&) = delete;
  ~store() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }

  /// Of the volume: depth, height, width.
  const size3& extents() const noexcept { return moments_.extents(); }
  /// (C, D, H, W), dense.
  const T* data() const noexcept { return data_; }
  /// For later runs, as long as the store lives; of several samples where its channels are those of all. Throws shape_error unless a run has
  /// brought each plane once.
  memory_source<T> source(std::int64_t samples = 1) const {
    moments_.check_full();
    return {data_, extents(), samples, moments_.channels() / samples};
  }

  /// The moments of each channel.
  const channel_moments<T>& moments() const noexcept { return moments_; }

  /// Takes the planes of a run, in their order: `t.run(s.sink(), source)`, where `source` is another's. Statistics begin
  /// anew with the first plane.
  auto sink() {
    return scores([this](const slab<T>& s) { take(s); });
  }
  /// Means and variances (divided by n), (2, C), of each channel, or of groups of channels that follow each other; for norm(x, statistics).
  /// Made in double, plane by plane. Throws shape_error unless a run has brought each plane once.
  xt::xtensor<T, 2> statistics(std::int64_t groups = 0) const {
    const std::int64_t channels = moments_.channels();
    if (groups < 0 || (groups > 0 && channels % groups != 0))
      fail("statistics: expected groups that divide " + std::to_string(channels) + " channels, found " + std::to_string(groups));
    const std::int64_t size = groups == 0 ? 1 : channels / groups;
    xt::xtensor<T, 2> r = xt::xtensor<T, 2>::from_shape({2, static_cast<std::size_t>(channels)});
    for (std::int64_t c = 0; c < channels; c += size) {
      volumes::moments all;
      for (std::int64_t k = c; k < c + size; ++k) all.add(moments_[k]);
      for (std::int64_t k = c; k < c + size; ++k) {
        r(0, static_cast<std::size_t>(k)) = static_cast<T>(all.mean);
        r(1, static_cast<std::size_t>(k)) = static_cast<T>(all.n > 0 ? all.squares / all.n : 0);
      }
    }
    return r;
  }

 private:
  channel_moments<T> moments_;
  std::size_t bytes_ = 0;
  T* data_ = nullptr;

  void take(const slab<T>& s) {
    moments_.take(s);
    const std::int64_t plane = extents().h * extents().w, part = s.shape[2] * plane;
    for (std::int64_t c = 0; c < moments_.channels(); ++c)
      std::memcpy(static_cast<void*>(data_ + (c * extents().d + s.begin) * plane), s.data + c * part, static_cast<std::size_t>(part) * sizeof(T));
  }
};

}  // namespace VOLUTE_ISA

}  // namespace volute::volumes
