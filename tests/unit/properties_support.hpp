// What the tests of properties share: seeded data as flat vectors, which can be bound like any tensor, and comparisons.
#pragma once

#include "kernels_support.hpp"

#include <volute/volute.hpp>

#include <cmath>
#include <vector>

namespace properties {

/// Numbers in [lo, hi) for a tensor of this shape.
template <class T>
std::vector<T> reals(const volute::extents& e, std::uint64_t seed, double lo = -1, double hi = 1) {
  return kernels_test::numbers(seed).vector<T>(e.size(), lo, hi);
}

/// Small integers: sums of their products are exact in float, in any order.
inline std::vector<float> integers(const volute::extents& e, std::uint64_t seed) {
  auto v = reals<float>(e, seed, -4, 5);
  for (float& x : v) x = std::floor(x);
  return v;
}

/// The elements of any result, row-major.
template <class Tensor>
auto flat(const Tensor& t) {
  return std::vector<typename Tensor::value_type>(t.begin(), t.end());
}

template <class A, class B>
double dot(const A& a, const B& b) {
  double s = 0;
  auto i = b.begin();
  for (const auto& x : a) s += static_cast<double>(x) * static_cast<double>(*i++);
  return s;
}

/// The largest difference, relative to the largest magnitude of b; NaN if there is one.
template <class A, class B>
double difference(const A& a, const B& b) {
  double largest = 0, magnitude = 0;
  auto i = b.begin();
  for (const auto& x : a) {
    const double d = std::abs(static_cast<double>(x) - static_cast<double>(*i));
    if (!(d <= largest)) largest = d;
    magnitude = std::fmax(magnitude, std::abs(static_cast<double>(*i++)));
  }
  return magnitude > 0 ? largest / magnitude : largest;
}

template <class Tensor>
bool finite(const Tensor& t) {
  for (const auto& x : t)
    if (!std::isfinite(x)) return false;
  return true;
}

}  // namespace properties
