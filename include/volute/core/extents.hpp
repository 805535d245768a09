// The extents of a tensor: a small structural value, so that it can be a template argument and a constexpr result alike.
#pragma once

#include <volute/core/compiler.hpp>

#include <cstdint>
#include <limits>

namespace volute {

/// The largest rank of any tensor: a bank of per-sample filters has 6 axes (b, o, i, kd, kh, kw); two are kept in reserve.
inline constexpr int max_rank = 8;

/// a * b and a + b of numbers >= 0, or the largest number where that is beyond 64 bits.
constexpr std::int64_t bounded_product(std::int64_t a, std::int64_t b) {
  std::int64_t r = 0;
  return __builtin_mul_overflow(a, b, &r) ? std::numeric_limits<std::int64_t>::max() : r;
}
constexpr std::int64_t bounded_sum(std::int64_t a, std::int64_t b) {
  std::int64_t r = 0;
  return __builtin_add_overflow(a, b, &r) ? std::numeric_limits<std::int64_t>::max() : r;
}

/// Extents of a tensor, row-major: `dim[0]` is the slowest axis (N of NCDHW). Rank 0 is a scalar.
/// A plain aggregate and not std::array: error messages print it as `{{1, 16, 8, 8, 8}, 5}`.
struct extents {
  std::int64_t dim[max_rank]{};
  int rank = 0;

  constexpr std::int64_t operator[](int axis) const { return dim[axis]; }
  constexpr std::int64_t& operator[](int axis) { return dim[axis]; }

  /// Number of elements; 1 for a scalar. The largest number where it is beyond 64 bits.
  constexpr std::int64_t size() const { return product_from(0); }

  /// Elements between two neighbours along `axis` in a dense row-major tensor.
  constexpr std::int64_t stride(int axis) const { return product_from(axis + 1); }

  constexpr void push_back(std::int64_t d) { dim[rank++] = d; }

  friend constexpr bool operator==(const extents& a, const extents& b) {
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; ++i)
      if (a.dim[i] != b.dim[i]) return false;
    return true;
  }

  constexpr std::int64_t product_from(int axis) const {
    std::int64_t n = 1;
    for (int a = axis; a < rank; ++a)
      if (__builtin_mul_overflow(n, dim[a], &n)) n = std::numeric_limits<std::int64_t>::max();
    return n;
  }
};

/// Extents from a list of numbers: `make_extents(1, 3, 8, 8, 8)`.
template <class... D>
constexpr extents make_extents(D... d) {
  static_assert(sizeof...(D) <= max_rank, "volute: a tensor has at most 8 axes");
  return extents{{static_cast<std::int64_t>(d)...}, static_cast<int>(sizeof...(D))};
}

/// A shape as a value of its own type, the way a user writes it: `y.shape() == shape<1, 8, 4, 4, 4>`, `reshape(x, shape<4, 16>)`.
template <std::int64_t... D>
struct shape_constant {
  static constexpr extents value = make_extents(D...);
  constexpr operator extents() const { return value; }
};

/// `shape<1, 8, 4, 4, 4>`: a shape as a value.
template <std::int64_t... D>
inline constexpr shape_constant<D...> shape{};

}  // namespace volute
