// What lies between two sweeps over a volume: a tensor of the volume's extents, and the statistics of its channels.
#pragma once

#include <volute/core/xtensor.hpp>
#include <volute/volumes/mapping.hpp>
#include <volute/volumes/sinks.hpp>
#include <volute/volumes/sources.hpp>
#include <volute/volumes/statistics.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace volute::volumes {

inline namespace VOLUTE_ISA {

/// Channels of a volume, written by one run of tiles and read by later ones, for networks whose norms look at the whole volume (`swept` does
/// it for a network as it is written): a run ends before each norm, and the next one begins with norm(x, statistics). In memory, or in a
/// file without a name in `folder`, of which the system keeps in memory what there is room for.
template <class T>
class store {
 public:
  /// Throws shape_error for extents that no memory could have, file_error where the folder, or memory, has no room.
  store(std::int64_t channels, const size3& extent, const std::string& folder = "")
      : moments_(channels, extent), memory_(bytes_for(channels, extent), folder) {}
  /// In bytes of another one, as many at least; what is more goes back to the system.
  store(std::int64_t channels, const size3& extent, mapping memory) : moments_(channels, extent), memory_(std::move(memory)) {
    if (memory_.bytes() < bytes_for(channels, extent))
      fail("store: expected " + std::to_string(bytes_for(channels, extent)) + " bytes, found " + std::to_string(memory_.bytes()));
    memory_.shrink(bytes_for(channels, extent));
  }
  /// The bytes that it needs. Throws shape_error.
  static std::size_t bytes_for(std::int64_t channels, const size3& extent) {
    std::int64_t all{sizeof(T)};
    for (const std::int64_t n : {channels, extent.d, extent.h, extent.w}) all = n < 1 ? 0 : bounded_product(all, n);
    if (all == 0 || all == std::numeric_limits<std::int64_t>::max())
      fail("store: expected channels and extents of 1 or more, and fewer than 2^63 bytes, found " +
           format_shape(std::vector<std::int64_t>{channels, extent.d, extent.h, extent.w}));
    return static_cast<std::size_t>(all);
  }
  /// Its bytes, for another one; what lies in them is lost.
  mapping release() && { return std::move(memory_); }

  /// Of the volume: depth, height, width.
  const size3& extents() const noexcept { return moments_.extents(); }
  /// (C, D, H, W), dense.
  const T* data() const noexcept { return static_cast<const T*>(memory_.data()); }
  /// For later runs, as long as the store lives; of several samples where its channels are those of all. Throws shape_error unless a run has
  /// brought each plane once.
  memory_source<T> source(std::int64_t samples = 1) const {
    moments_.check_full();
    return {data(), extents(), samples, moments_.channels() / samples};
  }

  /// The moments of each channel.
  const channel_moments<T>& moments() const noexcept { return moments_; }

  /// Takes the planes of a run, in their order: `t.run(s.sink(), source)`, where `source` is another's. Statistics begin anew with the first
  /// plane. Tiles are written to where they lie in the store; its `function` takes planes that lie elsewhere.
  auto sink() {
    const auto take = [this](const slab<T>& s) { copy(s); };
    return store_sink<decltype(take)>{{take}, this};
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
  mapping memory_;

  T* values() noexcept { return static_cast<T*>(memory_.data()); }

  /// Scores that are stored where they are made.
  template <class F>
  struct store_sink : score_sink<F> {
    store* to;
    /// Where the first channel of planes `begin` and on lies, for planes of this shape. Throws shape_error for those of another volume.
    T* place(std::int64_t begin, const volute::extents& shape) const {
      to->moments_.expect(begin, shape);
      return to->values() + begin * shape[3] * shape[4];
    }
    /// Planes from one channel to the next.
    std::int64_t depth() const { return to->extents().d; }
    /// Once they have been written.
    void placed(std::int64_t begin, const volute::extents& shape) const {
      to->moments_.take({begin, shape, to->values() + begin * shape[3] * shape[4]}, depth());
    }
  };

  void copy(const slab<T>& s) {
    moments_.expect(s.begin, s.shape);
    const std::int64_t plane = extents().h * extents().w, part = s.shape[2] * plane;
    for (std::int64_t c = 0; c < moments_.channels(); ++c)
      std::memcpy(static_cast<void*>(values() + (c * extents().d + s.begin) * plane), s.data + c * part, static_cast<std::size_t>(part) * sizeof(T));
    moments_.take(s, s.shape[2]);
  }
};

}  // namespace VOLUTE_ISA

}  // namespace volute::volumes
