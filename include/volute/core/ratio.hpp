// Rational numbers: how many voxels of a volume one voxel of a result stands for.
#pragma once

#include <cstdint>

namespace volute {

/// The largest number that divides both; of (0, 0) 0.
constexpr std::int64_t common_divisor(std::int64_t a, std::int64_t b) {
  while (b != 0) {
    const std::int64_t rest = a % b;
    a = b, b = rest;
  }
  return a < 0 ? -a : a;
}

/// A whole number divided by another, in lowest terms, the divisor > 0.
struct ratio {
  std::int64_t num = 0, den = 1;

  constexpr ratio() = default;
  constexpr ratio(std::int64_t n, std::int64_t d = 1) : num(n), den(d) {
    if (den == 1) return;
    if (const std::int64_t common = common_divisor(num, den); common > 1) num /= common, den /= common;
    if (den < 0) num = -num, den = -den;
  }
  constexpr std::int64_t floor() const { return num >= 0 ? num / den : -((-num + den - 1) / den); }
  constexpr std::int64_t ceil() const { return -ratio{-num, den}.floor(); }

  friend constexpr ratio operator+(const ratio& a, const ratio& b) {
    return a.den == b.den ? ratio(a.num + b.num, a.den) : ratio(a.num * b.den + b.num * a.den, a.den * b.den);
  }
  friend constexpr ratio operator-(const ratio& a) { return {-a.num, a.den}; }
  friend constexpr ratio operator-(const ratio& a, const ratio& b) { return a + -b; }
  friend constexpr ratio operator*(const ratio& a, const ratio& b) { return {a.num * b.num, a.den * b.den}; }
  friend constexpr ratio operator/(const ratio& a, const ratio& b) { return {a.num * b.den, a.den * b.num}; }
  friend constexpr bool operator==(const ratio&, const ratio&) = default;
  friend constexpr bool operator<(const ratio& a, const ratio& b) { return a.num * b.den < b.num * a.den; }
};

}  // namespace volute
