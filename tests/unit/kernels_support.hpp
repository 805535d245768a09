// What the tests of the kernels share: random numbers that depend on the seed alone, nests from lists, a plain reference walk.
#pragma once

#include <volute/ops/loop_nest.hpp>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

namespace kernels_test {

/// A small generator: the same numbers on every machine, in [lo, hi).
struct numbers {
  std::uint64_t state;
  explicit numbers(std::uint64_t seed) : state(seed * 2654435769u + 88172645463325252u) {}
  std::uint64_t bits() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
  double uniform(double lo, double hi) { return lo + (hi - lo) * static_cast<double>(bits() >> 11) * 0x1p-53; }
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(n)); }
  template <class T>
  std::vector<T> vector(std::int64_t n, double lo = -1, double hi = 1) {
    std::vector<T> v(static_cast<std::size_t>(n));
    for (T& x : v) x = static_cast<T>(uniform(lo, hi));
    return v;
  }
};

/// Equal within a tolerance relative to max(1, |b|); NaN equals NaN and infinities equal themselves.
inline bool near(double a, double b, double tolerance) {
  if (std::isnan(b)) return std::isnan(a);
  if (std::isinf(b) || std::isinf(a)) return a == b;
  return std::abs(a - b) <= tolerance * std::fmax(1.0, std::abs(b));
}

template <class T>
constexpr double tolerance() {
  return sizeof(T) == 4 ? 2e-6 : 1e-14;
}

/// A nest with these extents; `stride` has one list for each input.
inline volute::ops::loop_nest make_nest(std::initializer_list<std::int64_t> extent, int kept,
                                        std::initializer_list<std::initializer_list<std::int64_t>> stride) {
  volute::ops::loop_nest n;
  for (std::int64_t e : extent) n.extent[n.rank++] = e;
  n.kept = kept;
  int i = 0;
  for (const auto& list : stride) {
    int a = 0;
    for (std::int64_t s : list) n.stride[i][a++] = s;
    ++i;
  }
  return n;
}

/// Elements that input i of a nest spans.
inline std::int64_t span(const volute::ops::loop_nest& n, int i) {
  std::int64_t last = 0;
  for (int a = 0; a < n.rank; ++a) last += n.stride[i][a] * (n.extent[a] - 1);
  return last + 1;
}

/// Calls f(linear position, index of every axis) for all positions in row-major order.
template <class F>
void for_each_position(const volute::ops::loop_nest& n, F f) {
  std::int64_t size = 1;
  for (int a = 0; a < n.rank; ++a) size *= n.extent[a];
  for (std::int64_t p = 0; p < size; ++p) {
    std::int64_t index[volute::max_rank]{}, rest = p;
    for (int a = n.rank - 1; a >= 0; --a) {
      index[a] = rest % n.extent[a];
      rest /= n.extent[a];
    }
    f(p, index);
  }
}

inline std::int64_t offset(const volute::ops::loop_nest& n, int i, const std::int64_t* index) {
  std::int64_t o = 0;
  for (int a = 0; a < n.rank; ++a) o += index[a] * n.stride[i][a];
  return o;
}

}  // namespace kernels_test
