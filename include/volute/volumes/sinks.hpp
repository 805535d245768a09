// What becomes of results: scores, labels or probabilities, handed over in slabs of finished planes.
#pragma once

#include <volute/core/extents.hpp>
#include <volute/volumes/cut.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

namespace volute::volumes {

/// Finished planes of a result: dense (N, C, planes, H, W), planes `begin` and on. What it points to is overwritten after the call.
template <class T>
struct slab {
  std::int64_t begin = 0;
  extents shape{};
  const T* data = nullptr;
};

/// A row of a tile's result, channels `stride` elements apart, and where it goes.
template <class T, class U>
struct result_row {
  const T* from;
  std::int64_t from_stride, channels, length;
  U* to;
  std::int64_t to_stride;
};

inline namespace VOLUTE_ISA {

/// f(const slab<T>&) of the scores as they are.
template <class F>
struct score_sink {
  F function;
  /// The same sink for another function.
  template <class G>
  score_sink<G> with(G g) const {
    return {static_cast<G&&>(g)};
  }
  template <class T>
  using element = T;
  static constexpr std::int64_t channels(std::int64_t c) { return c; }
  template <class T>
  void store(const result_row<T, T>& r) const {
    for (std::int64_t c = 0; c < r.channels; ++c)
      std::memcpy(static_cast<void*>(r.to + c * r.to_stride), r.from + c * r.from_stride, static_cast<std::size_t>(r.length) * sizeof(T));
  }
};

/// f(const slab<Label>&) of the channel with the largest score, the first among equals: (N, 1, planes, H, W). Throws shape_error, before
/// anything is computed, where there are more channels than a Label can count.
template <class Label, class F>
struct label_sink {
  F function;
  template <class G>
  label_sink<Label, G> with(G g) const {
    return {static_cast<G&&>(g)};
  }
  template <class>
  using element = Label;
  static constexpr std::int64_t channels(std::int64_t c) {
    if (static_cast<double>(c - 1) > static_cast<double>(std::numeric_limits<Label>::max()))
      fail("labels: expected at most " + std::to_string(static_cast<std::int64_t>(std::numeric_limits<Label>::max()) + 1) +
           " channels for labels of this type, found " + std::to_string(c));
    return 1;
  }
  template <class T>
  void store(const result_row<T, Label>& r) const {
    constexpr std::int64_t most = 64;  // voxels at a time: channels are the outer loop, so that rows are read as they lie
    T best[most];
    for (std::int64_t x = 0; x < r.length; x += most) {
      const std::int64_t n = std::min(most, r.length - x);
      std::memcpy(best, r.from + x, static_cast<std::size_t>(n) * sizeof(T));
      std::fill_n(r.to + x, n, Label(0));
      for (std::int64_t c = 1; c < r.channels; ++c)
        for (std::int64_t i = 0; i < n; ++i)
          if (const T v = r.from[c * r.from_stride + x + i]; v > best[i]) best[i] = v, r.to[x + i] = static_cast<Label>(c);
    }
  }
};

/// f(const slab<T>&) of probabilities above a threshold (and NaN), zeros elsewhere: softmax over the channels, or the sigmoid of a single one.
template <class F>
struct probability_sink {
  double above;
  F function;
  template <class G>
  probability_sink<G> with(G g) const {
    return {above, static_cast<G&&>(g)};
  }
  template <class T>
  using element = T;
  static constexpr std::int64_t channels(std::int64_t c) { return c; }
  template <class T>
  void store(const result_row<T, T>& r) const {
    const T least = static_cast<T>(above);
    for (std::int64_t x = 0; x < r.length; ++x) {
      const T* const s = r.from + x;
      T largest = r.channels == 1 ? T(0) : s[0], total = r.channels == 1 ? std::exp(-std::abs(s[0])) : T(0);
      for (std::int64_t c = 1; c < r.channels; ++c) largest = std::max(largest, s[c * r.from_stride]);
      for (std::int64_t c = 0; c < r.channels && r.channels > 1; ++c) total += std::exp(s[c * r.from_stride] - largest);
      for (std::int64_t c = 0; c < r.channels; ++c) {
        const T p = r.channels > 1 ? std::exp(s[c * r.from_stride] - largest) / total : s[0] < 0 ? total / (1 + total) : 1 / (1 + total);
        r.to[c * r.to_stride + x] = p <= least ? T(0) : p;  // NaN stays
      }
    }
  }
};

/// `scores(f)`, `labels<std::uint8_t>(f)`, `probabilities(0.5, f)`: f is called with slabs in the order of depth, by the thread that runs.
/// It may throw, which ends the run.
template <class F>
score_sink<F> scores(F f) {
  return {static_cast<F&&>(f)};
}
template <class Label, class F>
label_sink<Label, F> labels(F f) {
  return {static_cast<F&&>(f)};
}
template <class F>
probability_sink<F> probabilities(double above, F f) {
  return {above, static_cast<F&&>(f)};
}

}  // namespace VOLUTE_ISA

}  // namespace volute::volumes
